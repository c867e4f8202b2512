//! Deaths that readers of ends may still have to tell, although their dead letters are gone: purged,
//! sent again, answered late. Few, small, and said at the beginning of each file.
//!
//! A reader of the name of a tenant tells that tenant's ends. Once its bookmark has passed a death,
//! nobody needs it here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::Ledger;
use crate::model::{MessageId, Tenant};
use crate::store::dead_letter::{Death, DeathKey, Reason};
use crate::store::names::Moment;
use crate::store::record::{DeadRecord, DeathRecord, Record};

/// Deaths of all readers together. Beyond it the oldest goes of the reader that has the most.
const DEATHS_MAX: usize = 100_000;
/// Bytes that one takes of a log, about.
const DEATH_BYTES: u64 = 100;

#[derive(Default)]
pub(super) struct Deaths {
    readers: HashMap<Arc<str>, Untold>,
    count: usize,
    /// That went for want of room, since this was asked last.
    forgotten: u64,
}

#[derive(Default)]
struct Untold {
    deaths: BTreeMap<DeathKey, (MessageId, Reason)>,
    order: BTreeSet<(Moment, DeathKey)>,
}

impl Deaths {
    pub(super) fn insert(&mut self, record: DeathRecord) {
        let DeathRecord { reader, death: Death { key, id, reason } } = record;
        let untold = self.readers.entry(reader).or_default();
        if untold.deaths.insert(key, (id, reason)).is_none() {
            untold.order.insert((key.at, key));
            self.count += 1;
        }
        while self.count > DEATHS_MAX
            && let Some(most) = self.readers.values_mut().max_by_key(|own| own.deaths.len())
            && let Some((_, oldest)) = most.order.pop_first()
        {
            most.deaths.remove(&oldest);
            self.count -= 1;
            self.forgotten += 1;
        }
    }

    /// The reader has told everything older.
    pub(super) fn told(&mut self, reader: &str, place: Moment) {
        let Some(untold) = self.readers.get_mut(reader) else { return };
        while let Some(&(at, key)) = untold.order.first()
            && at < place
        {
            untold.order.pop_first();
            untold.deaths.remove(&key);
            self.count -= 1;
        }
        if untold.deaths.is_empty() {
            self.readers.remove(reader);
        }
    }

    fn all(&self) -> impl Iterator<Item = DeathRecord> {
        self.readers.iter().flat_map(|(reader, untold)| {
            untold.deaths.iter().map(|(key, (id, reason))| DeathRecord {
                reader: reader.clone(),
                death: Death { key: *key, id: id.clone(), reason: *reason },
            })
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.count as u64 * DEATH_BYTES
    }
}

impl Ledger {
    /// A dead letter goes. Its death is remembered when its tenant's reader may not have told it.
    pub(super) fn remember_death(&mut self, key: DeathKey, dead: &DeadRecord) {
        let Some(message) = self.messages.get(&key.letter.seq) else { return };
        let Some((reader, place)) = self.bookmarks.of(message.tenant.as_str()) else { return };
        if key.at >= place {
            let death = Death { key, id: message.id.clone(), reason: dead.reason };
            self.deaths.insert(DeathRecord { reader, death });
        }
    }

    /// Deaths of a tenant since a moment, after a key: those that there is a dead letter of, and
    /// those that its reader may not have told.
    pub(in crate::store) fn deaths(
        &self,
        tenant: &Tenant,
        since: Moment,
        after: Option<DeathKey>,
        limit: usize,
    ) -> Vec<Death> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let untold = self.deaths.readers.get(tenant.as_str()).into_iter();
        let untold = untold.flat_map(|own| own.deaths.range((start, Bound::Unbounded)));
        let mut deaths: Vec<Death> = untold
            .filter(|(key, _)| key.at >= since)
            .map(|(key, (id, reason))| Death { key: *key, id: id.clone(), reason: *reason })
            .take(limit)
            .collect();
        let start = after.map_or(Bound::Unbounded, |after| Bound::Included(after.letter));
        let letters = self.dead.range((start, Bound::Unbounded)).filter_map(|(letter, dead)| {
            let key = DeathKey { letter: *letter, at: dead.at };
            let is_meant = dead.at >= since && Some(key) > after;
            let message = self.visible(letter.seq).filter(|_| is_meant)?;
            let id = message.id.clone();
            (message.tenant == *tenant).then_some(Death { key, id, reason: dead.reason })
        });
        deaths.extend(letters.take(limit));
        deaths.sort_unstable_by_key(|death| death.key);
        deaths.truncate(limit);
        deaths
    }

    /// Says all of them to the log alone: it has a new file.
    pub(super) fn write_deaths(&mut self) {
        for death in self.deaths.all() {
            self.journal.push(&Record::Death(Box::new(death)));
        }
    }

    /// How many are remembered, and how many went for want of room since this was asked last.
    pub(in crate::store) fn count_deaths(&mut self) -> (u64, u64) {
        (self.deaths.count as u64, std::mem::take(&mut self.deaths.forgotten))
    }
}
