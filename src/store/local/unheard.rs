//! What came of calls whose callers did not hear of it: they were gone, met the deadline, or the disk
//! failed after the change was made. The next sweep hands it over, so nobody waits for it for ever.

use std::sync::Arc;

use futures_util::FutureExt as _;
use parking_lot::Mutex;

use super::{LocalStore, Shared};
use crate::model::ConnectionId;
use crate::store::dead_letter::Requeued;
use crate::store::interface::{Answer, StoreError};
use crate::store::ledger::Ledger;
use crate::store::message::{Acceptance, Accepted, Ended, Swept};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::session::{Departed, Joined, Opened};
use crate::store::writer::Purpose;

/// What the next sweep hands over. Bounded by what the ledger knows: its messages and subscribers.
#[derive(Default)]
pub(in crate::store) struct Unheard(Mutex<Lists>);

#[derive(Default)]
pub(super) struct Lists {
    /// Messages that were accepted for nobody's ears.
    accepted: Vec<MessageSeq>,
    /// Connections that are lost, and the ledger does not know.
    leavers: Vec<Leaver>,
    departed: Departed,
    ended: Vec<Ended>,
}

/// A connection that is lost.
pub(super) struct Leaver {
    pub(super) subscriber: SubscriberId,
    pub(super) connection: ConnectionId,
    pub(super) at: Moment,
}

/// The answer to a call, of which somebody must hear.
pub(super) trait News: Send + 'static {
    /// Nobody heard of it.
    fn keep(self, lists: &mut Lists);
}

impl News for Acceptance {
    fn keep(self, lists: &mut Lists) {
        if let Self::Accepted(accepted) = self {
            lists.accepted.push(accepted.seq);
        }
    }
}

impl News for Joined {
    fn keep(self, lists: &mut Lists) {
        if let Self::Member { adopted } = self {
            lists.departed.moved.extend(adopted);
        }
    }
}

impl News for Leaver {
    fn keep(self, lists: &mut Lists) {
        lists.leavers.push(self);
    }
}

impl News for Departed {
    fn keep(self, lists: &mut Lists) {
        lists.departed.append(self);
    }
}

impl News for Vec<Ended> {
    fn keep(mut self, lists: &mut Lists) {
        lists.ended.append(&mut self);
    }
}

impl News for Requeued {
    fn keep(self, lists: &mut Lists) {
        self.ended.keep(lists);
        // Who is here is told as of a message that was accepted.
        lists.accepted.extend(self.owed.iter().map(|key| key.seq));
    }
}

impl News for Swept {
    fn keep(self, lists: &mut Lists) {
        self.departed.keep(lists);
        self.ended.keep(lists);
    }
}

/// Who a connection has become. When it is not told, nobody will say that it is lost.
pub(super) struct Arrived {
    pub(super) opened: Opened,
    pub(super) leaver: Leaver,
}

impl News for Arrived {
    fn keep(self, lists: &mut Lists) {
        lists.departed.moved.extend(self.opened.adopted);
        self.leaver.keep(lists);
    }
}

/// News on its way to whoever waits for it. Dropped on the way, it is kept.
pub(super) struct OnItsWay<T: News> {
    news: Option<T>,
    shared: Arc<Shared>,
}

impl<T: News> OnItsWay<T> {
    pub(super) fn new(news: T, shared: Arc<Shared>) -> Self {
        Self { news: Some(news), shared }
    }

    /// It has arrived. None only when it was taken before.
    pub(super) fn arrived(mut self) -> Option<T> {
        self.news.take()
    }
}

impl<T: News> Drop for OnItsWay<T> {
    fn drop(&mut self) {
        if let Some(news) = self.news.take() {
            news.keep(&mut self.shared.unheard.0.lock());
        }
    }
}

impl Unheard {
    /// Hands over messages that were accepted for nobody's ears.
    pub(super) fn take_accepted(&self, limit: usize, ledger: &Mutex<Ledger>) -> Vec<Accepted> {
        let mut lists = self.0.lock();
        let count = lists.accepted.len().min(limit);
        let seqs: Vec<MessageSeq> = lists.accepted.drain(..count).collect();
        drop(lists);
        let ledger = ledger.lock();
        let accepted = |seq| ledger.accepted(seq);
        seqs.into_iter().map(accepted).filter(|found| !found.subscribers.is_empty()).collect()
    }

    /// Lets time pass in the ledger, after what it did not hear of. What was kept before this is
    /// durable when the sweep is.
    pub(super) fn sweep(&self, ledger: &mut Ledger, now: Moment, limit: usize) -> Swept {
        let mut lists = self.0.lock();
        let leavers = std::mem::take(&mut lists.leavers);
        let mut departed = std::mem::take(&mut lists.departed);
        let mut ended = std::mem::take(&mut lists.ended);
        drop(lists);
        for Leaver { subscriber, connection, at } in leavers {
            departed.append(ledger.away(subscriber, &connection, at));
        }
        let mut swept = ledger.sweep(now, limit);
        ended.append(&mut swept.ended);
        Swept { departed, ended, ..swept }
    }
}

impl LocalStore {
    /// Makes a change of which somebody must hear; it is never refused.
    pub(super) fn finish_and_tell<T: News>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        self.tell_of(Purpose::End, change)
    }

    /// As [`LocalStore::finish_and_tell`], for changes that may be refused.
    pub(super) fn change_and_tell<T: News>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        self.tell_of(Purpose::Change, change)
    }

    fn tell_of<T: News>(
        &self,
        purpose: Purpose,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        let shared = self.shared.clone();
        // On its way from the change on: also when that is made and cannot be written.
        let change = move |ledger: &mut Ledger| OnItsWay::new(change(ledger), shared);
        let answer = self.submit(purpose, change, |way| way);
        async move { answer.await?.arrived().ok_or(StoreError::Closed) }.boxed()
    }
}
