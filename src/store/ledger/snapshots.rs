//! The last snapshot of each task, as many as there is room for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::Ledger;
use super::journal::SegmentNumber;
use crate::store::config::{Config, bytes_of_mib};
use crate::store::names::Moment;
use crate::store::record::Record;

#[derive(Default)]
pub(super) struct Snapshots {
    snapshots: HashMap<Arc<str>, Snapshot>,
    order: BTreeSet<(Moment, Arc<str>)>,
    bytes: u64,
}

struct Snapshot {
    snapshot: Bytes,
    at: Moment,
    home: SegmentNumber,
}

impl Snapshots {
    pub(super) fn insert(
        &mut self,
        (task, snapshot, at): (Arc<str>, Bytes, Moment),
        home: SegmentNumber,
        config: &Config,
    ) {
        self.remove(&task);
        self.bytes += snapshot.len() as u64;
        self.order.insert((at, task.clone()));
        self.snapshots.insert(task, Snapshot { snapshot, at, home });
        while self.snapshots.len() > config.snapshots_max
            || self.bytes > bytes_of_mib(config.snapshot_mib_max)
        {
            let Some((_, oldest)) = self.order.first().cloned() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, task: &Arc<str>) {
        if let Some(old) = self.snapshots.remove(task) {
            self.bytes -= old.snapshot.len() as u64;
            self.order.remove(&(old.at, task.clone()));
        }
    }

    /// Those whose newest record is in that file, to be said again.
    pub(super) fn at_home(&self, home: SegmentNumber) -> Vec<Record> {
        let here = self.snapshots.iter().filter(|(_, snapshot)| snapshot.home == home);
        here.map(|(task, Snapshot { snapshot, at, .. })| Record::Snapshot {
            task: task.clone(),
            snapshot: snapshot.clone(),
            at: *at,
        })
        .collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Ledger {
    pub(in crate::store) fn put_snapshot(
        &mut self,
        task: Arc<str>,
        snapshot: &Bytes,
        at: Moment,
    ) -> bool {
        if snapshot.len() as u64 > bytes_of_mib(self.config.snapshot_mib_max) {
            return false;
        }
        // A copy: the bytes may be a part of something large.
        let snapshot = Bytes::copy_from_slice(snapshot);
        self.say(Record::Snapshot { task, snapshot, at });
        true
    }

    pub(in crate::store) fn snapshot(&self, task: &str) -> Option<Bytes> {
        self.snapshots.snapshots.get(task).map(|found| found.snapshot.clone())
    }
}
