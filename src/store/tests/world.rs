//! A store to play with, and verbs that say what is done to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::disk::SimulatedDisk;
use crate::model::{Audience, ConnectionId, GroupName, HubName, MessageId, Priority, Tenant};
use crate::store::{
    Acceptance, Accepted, Answer, ClientKey, Config, Content, DeadFilter, DeadLetter, Encoding,
    Ended, Identity, Joined, LocalStore, MessageSeq, Metrics, Moment, NewMessage, Open, Opened,
    Outcome, Owed, PairStatus, Receipt, Refusal, SessionKey, Settle, Stats, Store, SubscriberId,
    Swept, Which, WholeLetter,
};

/// 2026-11-24T12:00:00Z.
const START: Moment = Moment(1_795_521_600_000);

pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    disk: Option<SimulatedDisk>,
    config: Config,
    pub(super) now: Moment,
    runtime: tokio::runtime::Runtime,
}

/// Limits small enough to be met.
pub(super) fn small() -> Config {
    Config { segment_mib: 1, reserve_mib: 0, ..Config::default() }
}

/// Plays a story with every kind of store.
pub(super) fn with_each(config: &Config, story: impl Fn(&mut World)) {
    story(&mut World::in_memory(config.clone()));
    let mut world = World::on(SimulatedDisk::default(), config.clone());
    story(&mut world);
    world.expect_to_remember();
}

/// Plays a story with every kind of store, with limits nobody meets.
pub(super) fn with_each_store(story: impl Fn(&mut World)) {
    with_each(&small(), story);
}

pub(super) fn metrics() -> Metrics {
    Metrics::new(&prometheus::Registry::new()).unwrap()
}

impl World {
    /// Waits until the store goes on without a restart, at most ten seconds.
    pub(super) fn accepts_again(&self) {
        let accepts = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            self.store.health().accepts()
        });
        assert!(accepts);
    }

    pub(super) fn of(store: Arc<LocalStore>, disk: Option<SimulatedDisk>, config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { store, disk, config, now: START, runtime }
    }

    fn in_memory(config: Config) -> Self {
        let store = LocalStore::in_memory(config.clone(), metrics());
        Self::of(Arc::new(store), None, config)
    }

    /// An embedded store.
    pub(super) fn on(disk: SimulatedDisk, config: Config) -> Self {
        let store = disk.store(&config, START);
        Self::of(Arc::new(store), Some(disk), config)
    }

    /// Closes the store in order, and opens it again.
    pub(super) fn restart(&mut self) {
        let disk = self.disk.take().unwrap();
        self.begin_again(disk);
    }

    /// Cuts the power: what was not synced is there, or not, or in part.
    pub(super) fn cut(&mut self, seed: u64) {
        let disk = self.disk.take().unwrap().after_a_cut(seed);
        self.begin_again(disk);
    }

    /// Goes on with another disk.
    pub(super) fn begin_again(&mut self, disk: SimulatedDisk) {
        // The old store is closed first.
        self.store = Arc::new(LocalStore::in_memory(small(), metrics()));
        disk.heal();
        self.store = Arc::new(disk.store(&self.config, self.now));
        self.disk = Some(disk);
        self.wait(self.store.ready(self.now));
    }

    pub(super) fn disk(&self) -> &SimulatedDisk {
        self.disk.as_ref().unwrap()
    }

    /// Whatever the story was, a cut of the power changes nothing of what it has come to.
    fn expect_to_remember(&mut self) {
        // Receipts and keys whose time is over are forgotten by a sweep.
        let forget = |world: &Self| while world.sweep().more {};
        forget(self);
        let letters = self.whole_letters();
        let before = self.stats();
        self.cut(1);
        forget(self);
        let after = self.stats();
        assert_eq!(after, Stats { subscribers: after.subscribers, ..before });
        assert!(self.whole_letters() == letters);
        assert!(self.store.health().is_good());
    }

    #[track_caller]
    pub(super) fn wait<T>(&self, answer: Answer<T>) -> T {
        self.runtime.block_on(answer).unwrap()
    }

    pub(super) fn try_wait<T>(&self, answer: Answer<T>) -> Result<T, crate::store::StoreError> {
        self.runtime.block_on(answer)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    // Subscribers.

    /// A stock client: no client id.
    pub(super) fn stock(&self, user: &str, connection: &str) -> SubscriberId {
        self.open(user, None, connection).subscriber
    }

    pub(super) fn session(&self, user: &str, client: &str, connection: &str) -> SubscriberId {
        self.open(user, Some(client), connection).subscriber
    }

    pub(super) fn open(&self, user: &str, client: Option<&str>, connection: &str) -> Opened {
        let identity = Identity::Named(user.into());
        let client = client.map(|id| ClientKey::of(&identity, id).unwrap());
        self.wait(self.store.open(
            Open {
                key: SessionKey { hub: hub(), identity, client },
                connection: ConnectionId::from(connection),
                caller: user.into(),
            },
            self.now,
        ))
    }

    pub(super) fn join(&self, subscriber: SubscriberId, group: &str) -> Joined {
        self.wait(self.store.join(subscriber, GroupName::from(group), self.now))
    }

    /// The first subscriber of a store is the first that opened.
    pub(super) fn subscriber_of_first_session(&self) -> SubscriberId {
        SubscriberId(1)
    }

    pub(super) fn revoke(&self, subscriber: SubscriberId, group: &str) -> Vec<Ended> {
        self.wait(self.store.revoke(subscriber, GroupName::from(group), self.now))
    }

    pub(super) fn lose(&self, subscriber: SubscriberId, connection: &str) -> Vec<SubscriberId> {
        let away = self.store.away(subscriber, ConnectionId::from(connection), self.now);
        self.wait(away).moved.into_iter().map(|moved| moved.to).collect()
    }

    pub(super) fn end(&self, subscriber: SubscriberId) -> Vec<Ended> {
        self.wait(self.store.end(subscriber, self.now))
    }

    // Messages.

    pub(super) fn offer(&self, message: NewMessage) -> Acceptance {
        self.wait(self.store.accept(message, self.now))
    }

    #[track_caller]
    pub(super) fn publish(&self, id: &str, audience: Audience) -> Accepted {
        self.publish_message(message(id, audience))
    }

    #[track_caller]
    pub(super) fn publish_message(&self, message: NewMessage) -> Accepted {
        match self.offer(message) {
            Acceptance::Accepted(accepted) => accepted,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn refused(&self, message: NewMessage) -> Refusal {
        match self.offer(message) {
            Acceptance::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn settle(
        &self,
        subscriber: SubscriberId,
        seq: MessageSeq,
        outcome: Outcome,
    ) -> Vec<Ended> {
        let settle = Settle { subscriber, message: Which::Seq(seq), outcome };
        self.wait(self.store.settle(vec![settle], self.now))
    }

    pub(super) fn ack(&self, subscriber: SubscriberId, id: &str) -> Vec<Ended> {
        let message = Which::Id(MessageId::from(id));
        let settle = Settle { subscriber, message, outcome: Outcome::Acknowledged };
        self.wait(self.store.settle(vec![settle], self.now))
    }

    pub(super) fn sweep(&self) -> Swept {
        self.wait(self.store.sweep(self.now, 1_000))
    }

    pub(super) fn owed(&self, subscriber: SubscriberId) -> Vec<Owed> {
        self.wait(self.store.owed(subscriber, None, 1_000)).owed
    }

    /// The ids of what is owed, in order.
    pub(super) fn owed_ids(&self, subscriber: SubscriberId) -> Vec<String> {
        self.owed(subscriber).into_iter().map(|owed| owed.id.to_string()).collect()
    }

    pub(super) fn status(&self, subscriber: SubscriberId, id: &str) -> Option<PairStatus> {
        self.wait(self.store.status(subscriber, Which::Id(MessageId::from(id))))
    }

    pub(super) fn receipt(&self, id: &str) -> Option<Receipt> {
        self.wait(self.store.receipts(MessageId::from(id), Some(tenant()))).pop()
    }

    pub(super) fn dead(&self) -> Vec<DeadLetter> {
        self.wait(self.store.dead_letters(DeadFilter::default(), None, 1_000)).letters
    }

    pub(super) fn dead_in_pages(&self, filter: &DeadFilter, limit: usize) -> Vec<Vec<DeadLetter>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = self.wait(self.store.dead_letters(filter.clone(), after, limit));
            pages.push(page.letters);
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    /// All of them, with what they say.
    pub(super) fn whole_letters(&self) -> Vec<WholeLetter> {
        self.pages_of_letters().into_iter().flatten().collect()
    }

    pub(super) fn pages_of_letters(&self) -> Vec<Vec<WholeLetter>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let reading = self.store.whole_letters(DeadFilter::default(), after, 1_000);
            let page = self.wait(reading);
            pages.push(page.letters);
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    /// The counts, once it is sure that they add up.
    #[track_caller]
    pub(super) fn stats(&self) -> Stats {
        let stats = self.wait(self.store.stats());
        assert_eq!(stats.totals.targeted, stats.pairs.targeted(), "{stats:?}");
        assert_eq!(stats.messages_accepted, stats.messages_settled + stats.messages_open);
        stats
    }
}

pub(super) fn hub() -> HubName {
    HubName::from("tasks")
}

pub(super) fn tenant() -> Tenant {
    Tenant::from("billing")
}

pub(super) fn group(name: &str) -> Audience {
    Audience::group(name)
}

pub(super) fn message(id: &str, audience: Audience) -> NewMessage {
    NewMessage {
        id: MessageId::from(id),
        tenant: tenant(),
        hub: hub(),
        audience,
        priority: Priority::default(),
        critical: false,
        expires_at: None,
        content: content(&format!("[\"{id}\"]")),
        body_hash: [7; 16],
        require_audience: false,
    }
}

pub(super) fn content(arguments: &str) -> Content {
    Content {
        target: "News".into(),
        encoding: Encoding::Json,
        arguments: Bytes::copy_from_slice(arguments.as_bytes()),
        ordering_key: None,
        correlation_id: Some("c".into()),
    }
}
