//! The ledger: everything the store knows, as one pure state machine.
//!
//! No clock, no file, no lock. Decisions (`accepting`, `subscribers`, `settling`, `letters`) look at
//! the state and say [`Record`]s; [`Ledger::apply`] is the only place where a record changes it. So
//! the same records, read back from a log, make the same ledger.

mod accepting;
mod applying;
mod bookmarks;
mod deaths;
mod former;
mod hubs;
mod journal;
mod keeping;
mod keys;
mod letters;
mod members;
mod pairs;
mod reading;
mod sessions;
mod settling;
mod snapshots;
mod subscriber;
mod subscribers;
mod unwritten;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::config::Config;
use super::dead_letter::DeadKey;
use super::message::{Content, PairStatus};
use super::names::{MessageSeq, Moment, SessionDigest, SubscriberId};
use super::receipt::{Counts, Totals};
use super::record::{DeadRecord, Record, Tried};
use crate::model::{Audience, HubName, MessageId, Priority, Tenant};
use bookmarks::Bookmarks;
use deaths::Deaths;
use former::Former;
use hubs::Hub;
use journal::Journal;
use keys::Keys;
use snapshots::Snapshots;
use subscriber::Subscriber;
use usage::{Targets, Usage};

pub(super) use accepting::Named;
pub(super) use journal::{Frame, MARKER, Place, SegmentNumber, mended};
pub(super) use keeping::AtHome;
pub(super) use reading::Unread;

/// With more pairs than this, a receipt has only counts, and only while something is owed or dead
/// the pairs are known one by one.
const RECEIPT_PAIRS_MAX: usize = 100;

/// Bytes that the end of one pair, its dying included, or of one session takes of a log at most: a
/// record about one message and one subscriber.
pub(super) const END_BYTES: u64 = 56;

pub(super) struct Ledger {
    config: Arc<Config>,
    pub(super) journal: Journal,
    /// The log file that records go to or come from.
    pub(super) segment: SegmentNumber,
    /// Messages after this are in the ledger, but not yet durable: nobody may see them.
    durable: MessageSeq,
    next_seq: u64,
    next_subscriber: u64,
    messages: BTreeMap<MessageSeq, Box<Message>>,
    ids: HashMap<MessageId, SmallVec<[MessageSeq; 1]>>,
    /// When owed messages expire or are too old.
    due: BTreeSet<(Moment, MessageSeq)>,
    /// When receipts of messages that are over go.
    over: BTreeSet<(Moment, MessageSeq)>,
    /// Messages that expired for somebody, those over and those not.
    expired: BTreeSet<MessageSeq>,
    dead: BTreeMap<DeadKey, DeadRecord>,
    /// When dead letters are retired.
    retiring: BTreeSet<(Moment, DeadKey)>,
    /// Owed pairs that were tried in vain.
    tried: HashMap<DeadKey, Tried>,
    keys: Keys,
    subscribers: HashMap<SubscriberId, Box<Subscriber>>,
    sessions: HashMap<SessionDigest, SubscriberId>,
    /// Sessions per caller.
    callers: HashMap<Arc<str>, usize>,
    /// When subscribers that are away are gone.
    leaving: BTreeSet<(Moment, SubscriberId)>,
    hubs: HashMap<HubName, Hub>,
    usage: Usage,
    targets: Targets,
    totals: Totals,
    snapshots: Snapshots,
    bookmarks: Bookmarks,
    deaths: Deaths,
    former: Former,
    /// Subscribers whose first record is not durable yet.
    introduced: Vec<SubscriberId>,
    /// Which messages and keys have their newest full record in which file.
    homes: BTreeMap<SegmentNumber, Vec<MessageSeq>>,
    /// The disk is full: nothing is said that can wait.
    is_frugal: bool,
}

struct Message {
    id: MessageId,
    tenant: Tenant,
    hub: HubName,
    /// The event's name, which its receipt knows when its content is gone.
    target: Arc<str>,
    audience: Audience,
    priority: Priority,
    critical: bool,
    /// Another message of its id was known on its hub when it was accepted.
    is_namesake: bool,
    accepted_at: Moment,
    /// From when on its age counts: its acceptance, or its last requeue.
    age_from: Moment,
    expires_at: Option<Moment>,
    /// Set while nothing of it is owed: since when, or when its last dead letter went.
    settled_at: Option<Moment>,
    body_hash: [u8; 16],
    body: Body,
    /// What it takes of its tenant's bytes, until nothing of it is owed or dead.
    bytes: u64,
    /// Ascending by subscriber.
    pairs: Vec<Pair>,
    counts: Counts,
    /// Attempts for the pairs that expired.
    tries_of_expired: u32,
    home: SegmentNumber,
}

#[derive(Clone, Copy)]
struct Pair {
    subscriber: SubscriberId,
    status: PairStatus,
}

/// Where the content of a message is.
enum Body {
    Inline(Box<Content>),
    At(Place),
    /// Not needed any more.
    Gone,
}

impl Message {
    fn pair(&self, subscriber: SubscriberId) -> Option<usize> {
        self.pairs.binary_search_by_key(&subscriber, |pair| pair.subscriber).ok()
    }

    fn subscribers_with(&self, status: PairStatus) -> Vec<SubscriberId> {
        let with = self.pairs.iter().filter(|pair| pair.status == status);
        with.map(|pair| pair.subscriber).collect()
    }

    /// Whether nothing of it is owed or dead any more.
    fn is_over(&self) -> bool {
        self.counts.pending == 0 && self.counts.dead == 0
    }
}

impl Ledger {
    /// An empty ledger. With `journaled`, its records are kept as bytes for a log to take.
    pub(super) fn new(config: Arc<Config>, journaled: bool) -> Self {
        Self {
            journal: Journal::new(journaled),
            segment: SegmentNumber(0),
            durable: MessageSeq(0),
            next_seq: 1,
            next_subscriber: 1,
            messages: BTreeMap::new(),
            ids: HashMap::new(),
            due: BTreeSet::new(),
            over: BTreeSet::new(),
            expired: BTreeSet::new(),
            dead: BTreeMap::new(),
            retiring: BTreeSet::new(),
            tried: HashMap::new(),
            keys: Keys::default(),
            subscribers: HashMap::new(),
            sessions: HashMap::new(),
            callers: HashMap::new(),
            leaving: BTreeSet::new(),
            hubs: HashMap::new(),
            usage: Usage::default(),
            targets: Targets::default(),
            totals: Totals::default(),
            snapshots: Snapshots::default(),
            bookmarks: Bookmarks::default(),
            deaths: Deaths::default(),
            former: Former::default(),
            introduced: Vec::new(),
            homes: BTreeMap::new(),
            is_frugal: false,
            config,
        }
    }

    /// Says a record: to the log, and to the ledger itself.
    fn say(&mut self, record: Record) {
        self.journal.push(&record);
        self.apply(record, None);
    }

    /// Whether the disk has room for nothing but ends: then new clients get no session, what a lost
    /// connection was owed waits, and dead letters stay longer.
    pub(super) fn be_frugal(&mut self, is_frugal: bool) {
        self.is_frugal = is_frugal;
    }

    /// What the ends of all that is owed, and of all sessions, will take of the log.
    pub(super) fn bytes_of_ends(&self) -> u64 {
        (self.usage.total.pending + self.sessions.len() as u64) * END_BYTES
    }

    /// What was accepted so far is durable: everybody may see it.
    pub(super) fn committed(&mut self) {
        self.durable = MessageSeq(self.next_seq - 1);
        self.introduced.clear();
    }

    /// When an owed message expires or is too old.
    fn due_of(&self, message: &Message) -> Moment {
        let too_old = message.age_from.after(self.config.age_max());
        message.expires_at.map_or(too_old, |expiry| expiry.min(too_old))
    }
}
