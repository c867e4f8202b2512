//! The interface, said in the words of the ledger.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::ready;

use super::LocalStore;
use super::content::Whole;
use super::unheard::{Arrived, Leaver, OnItsWay};
use crate::model::{ConnectionId, GroupName, MessageId, Tenant};
use crate::store::config::Mode;
use crate::store::dead_letter::{
    Attempt, DeadFilter, DeadKey, DeadPage, Death, DeathKey, Requeued, Spent, Target, WholeLetter,
};
use crate::store::health::Health;
use crate::store::interface::{Answer, Store, StoreError};
use crate::store::ledger::Named;
use crate::store::log::{NotRead, forget_damage};
use crate::store::message::{
    Acceptance, Ended, NewMessage, Owed, OwedPage, PairStatus, Settle, Swept, Unread, Which,
};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::receipt::{Receipt, Stats};
use crate::store::session::{Departed, Joined, Open, Opened};
use crate::store::writer::Purpose;

/// The most that one call handles, whatever limit it names.
const LIMIT_MAX: usize = 10_000;
/// Bytes that a page of whole letters says at most, unless the first says more.
const PAGE_BYTES_MAX: u64 = 8_388_608;

impl Store for LocalStore {
    fn mode(&self) -> Mode {
        self.shared.health.lock().mode
    }

    fn health(&self) -> Health {
        self.shared.health.lock().clone()
    }

    fn acknowledge_damage(&self) -> Result<(), StoreError> {
        if let Some(thread) = &self.thread {
            forget_damage(&*thread.disk)
                .map_err(|error| StoreError::Failing(error.to_string().into()))?;
        }
        self.shared.health.lock().damage = None;
        Ok(())
    }

    fn ready(&self, now: Moment) -> Answer<()> {
        self.finish(move |ledger| ledger.ready(now))
    }

    fn open(&self, open: Open, now: Moment) -> Answer<Opened> {
        match self.at_once(open, |ledger, open| ledger.open_unwritten(open, now)) {
            Ok(opened) => ready(Ok(opened)).boxed(),
            Err(open) => {
                let connection = open.connection.clone();
                let arrived = self.finish_and_tell(move |ledger| {
                    let opened = ledger.open(open, now);
                    let leaver = Leaver { subscriber: opened.subscriber, connection, at: now };
                    Arrived { opened, leaver }
                });
                async move { Ok(arrived.await?.opened) }.boxed()
            }
        }
    }

    fn join(&self, subscriber: SubscriberId, group: GroupName, now: Moment) -> Answer<Joined> {
        match self.at_once(group, |ledger, group| ledger.join_unwritten(subscriber, group, now)) {
            Ok(joined) => ready(Ok(joined)).boxed(),
            Err(group) => self.change_and_tell(move |ledger| ledger.join(subscriber, group, now)),
        }
    }

    fn leave(&self, subscriber: SubscriberId, group: GroupName) -> Answer<bool> {
        self.change(move |ledger| ledger.leave(subscriber, group))
    }

    fn revoke(
        &self,
        subscriber: SubscriberId,
        group: GroupName,
        now: Moment,
    ) -> Answer<Vec<Ended>> {
        self.finish_and_tell(move |ledger| ledger.revoke(subscriber, &group, now))
    }

    fn away(
        &self,
        subscriber: SubscriberId,
        connection: ConnectionId,
        now: Moment,
    ) -> Answer<Departed> {
        let lost = self.at_once(connection, |ledger, connection| {
            ledger.away_unwritten(subscriber, connection, now)
        });
        match lost {
            Ok(departed) => ready(Ok(departed)).boxed(),
            Err(connection) => {
                // Kept when the change is refused, and never made.
                let leaver = Leaver { subscriber, connection, at: now };
                let leaver = OnItsWay::new(leaver, self.shared.clone());
                self.finish_and_tell(move |ledger| match leaver.arrived() {
                    Some(leaver) => ledger.away(leaver.subscriber, &leaver.connection, now),
                    None => Departed::default(),
                })
            }
        }
    }

    fn end(&self, subscriber: SubscriberId, now: Moment) -> Answer<Vec<Ended>> {
        self.finish_and_tell(move |ledger| ledger.end(subscriber, now))
    }

    fn accept(&self, message: NewMessage, now: Moment) -> Answer<Acceptance> {
        let (shared, ledger) = (self.shared.clone(), self.shared.clone());
        let named = Named::from(&message);
        let answer = self.submit(
            Purpose::New,
            move |ledger| ledger.accept(message, now),
            move |acceptance| OnItsWay::new(acceptance, shared),
        );
        let refused = self.shared.metrics.refused.clone();
        let heard = async move {
            let arrived = answer.await.and_then(|way| way.arrived().ok_or(StoreError::Closed));
            // A repeat needs no room and no disk.
            let arrived =
                arrived.or_else(|error| ledger.ledger.lock().known(&named, now).ok_or(error));
            let reason = match &arrived {
                Ok(Acceptance::Refused(refusal)) => Some(refusal.name()),
                Ok(Acceptance::Accepted(_) | Acceptance::Duplicate { .. }) => None,
                Err(error) => Some(error.name()),
            };
            if let Some(reason) = reason {
                refused.with_label_values(&[reason]).inc();
            }
            arrived
        };
        heard.boxed()
    }

    fn settle(&self, pairs: Vec<Settle>, now: Moment) -> Answer<Vec<Ended>> {
        self.finish_and_tell(move |ledger| ledger.settle(&pairs, now))
    }

    fn note_attempts(
        &self,
        subscriber: SubscriberId,
        attempts: Vec<(MessageSeq, Attempt, Spent)>,
    ) -> Answer<()> {
        self.change(move |ledger| {
            for (seq, attempt, spent) in attempts {
                ledger.note_attempt(DeadKey { seq, subscriber }, attempt, spent);
            }
        })
    }

    fn sweep(&self, now: Moment, limit: usize) -> Answer<Swept> {
        let limit = limit.min(LIMIT_MAX);
        let shared = self.shared.clone();
        let swept = self.finish_and_tell(move |ledger| shared.unheard.sweep(ledger, now, limit));
        let shared = self.shared.clone();
        let with_unheard = async move {
            let mut swept = swept.await?;
            swept.unheard = shared.unheard.take_accepted(limit, &shared.ledger);
            Ok(swept)
        };
        with_unheard.boxed()
    }

    fn next_due(&self) -> Answer<Option<Moment>> {
        self.read(|ledger| ledger.next_due())
    }

    fn owed(
        &self,
        subscriber: SubscriberId,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Answer<OwedPage> {
        let read = self.read_whole(|ledger| ledger.owed(subscriber, after, limit.min(LIMIT_MAX)));
        async move { Ok(page_of(read.await?)) }.boxed()
    }

    fn gone(&self, subscribers: Vec<SubscriberId>) -> Answer<Vec<SubscriberId>> {
        self.read(|ledger| ledger.gone_of(subscribers))
    }

    fn owed_count(&self, subscriber: SubscriberId) -> Answer<u64> {
        self.read(|ledger| ledger.owed_count(subscriber))
    }

    fn newest(&self) -> Answer<MessageSeq> {
        self.read(|ledger| ledger.newest_visible())
    }

    fn message(&self, seq: MessageSeq) -> Answer<Option<Owed>> {
        let read = self.read_whole(|ledger| ledger.message(seq).into_iter().collect());
        async move { Ok(read.await?.read.pop()) }.boxed()
    }

    fn status(&self, subscriber: SubscriberId, message: Which) -> Answer<Option<PairStatus>> {
        self.read(|ledger| ledger.status(subscriber, &message))
    }

    fn receipts(&self, id: MessageId, tenant: Option<Tenant>) -> Answer<Vec<Receipt>> {
        self.read(|ledger| ledger.receipts(&id, tenant.as_ref()))
    }

    fn settled_since(
        &self,
        since: Moment,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Answer<Vec<Receipt>> {
        let limit = limit.min(LIMIT_MAX);
        self.read(|ledger| ledger.settled_since(since, after, limit))
    }

    fn expired(&self, limit: usize) -> Answer<Vec<Receipt>> {
        self.read(|ledger| ledger.expired(limit.min(LIMIT_MAX)))
    }

    fn stats(&self) -> Answer<Stats> {
        self.read(|ledger| ledger.stats())
    }

    fn dead_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Answer<DeadPage> {
        self.read(|ledger| ledger.dead_letters(&filter, after, limit.clamp(1, LIMIT_MAX)))
    }

    fn whole_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Answer<DeadPage<WholeLetter>> {
        let limit = limit.clamp(1, LIMIT_MAX);
        let mut next = None;
        let read = self.read_whole(|ledger| {
            let (letters, after) = ledger.whole_letters(&filter, after, limit, PAGE_BYTES_MAX);
            next = after;
            letters
        });
        async move { Ok(DeadPage { letters: read.await?.read, next }) }.boxed()
    }

    fn requeue(
        &self,
        filter: DeadFilter,
        target: Target,
        limit: usize,
        now: Moment,
    ) -> Answer<Requeued> {
        let limit = limit.min(LIMIT_MAX);
        self.change_and_tell(move |ledger| ledger.requeue(&filter, target, limit, now))
    }

    fn purge(&self, filter: DeadFilter, limit: usize, now: Moment) -> Answer<Vec<Ended>> {
        let limit = limit.min(LIMIT_MAX);
        self.change_and_tell(move |ledger| ledger.purge(&filter, limit, now))
    }

    fn keep_bookmark(&self, reader: Arc<str>, place: Moment) -> Answer<()> {
        self.change(move |ledger| ledger.keep_bookmark(reader, place))
    }

    fn forget_bookmarks(&self, but: Vec<Arc<str>>) -> Answer<Vec<Arc<str>>> {
        self.change(move |ledger| ledger.forget_bookmarks(&but))
    }

    fn bookmark(&self, reader: Arc<str>) -> Answer<Option<Moment>> {
        self.read(|ledger| ledger.bookmark(&reader))
    }

    fn deaths(
        &self,
        tenant: Tenant,
        since: Moment,
        after: Option<DeathKey>,
        limit: usize,
    ) -> Answer<Vec<Death>> {
        self.read(|ledger| ledger.deaths(&tenant, since, after, limit.min(LIMIT_MAX)))
    }

    fn put_snapshot(&self, task: Arc<str>, snapshot: Bytes, now: Moment) -> Answer<bool> {
        self.submit(
            Purpose::New,
            move |ledger| ledger.put_snapshot(task, &snapshot, now),
            |kept| kept,
        )
    }

    fn snapshot(&self, task: Arc<str>) -> Answer<Option<Bytes>> {
        self.read(|ledger| ledger.snapshot(&task))
    }
}

fn page_of(whole: Whole<Owed>) -> OwedPage {
    let mut page = OwedPage { owed: whole.read, ..OwedPage::default() };
    for (Owed { seq, spent, .. }, why) in whole.not_read {
        match why {
            NotRead::Damaged => page.unreadable.push(seq),
            NotRead::Failed(error) => page.unread.push(Unread { seq, spent, error }),
        }
    }
    page
}
