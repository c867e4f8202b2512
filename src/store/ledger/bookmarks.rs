//! How far readers of ends have come. Few, small, and said at the beginning of each file.

use std::collections::HashMap;
use std::sync::Arc;

use super::Ledger;
use crate::store::names::Moment;
use crate::store::record::Record;

/// One for each tenant with a webhook; nobody has so many.
const BOOKMARKS_MAX: usize = 1_000;
/// Bytes of the longest name; beyond it nothing is kept.
const READER_BYTES_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Bookmarks(HashMap<Arc<str>, Moment>);

impl Bookmarks {
    /// Answers the reader whose bookmark had to go.
    fn insert(&mut self, reader: Arc<str>, place: Moment) -> Option<Arc<str>> {
        self.0.insert(reader, place);
        if self.0.len() <= BOOKMARKS_MAX {
            return None;
        }
        let (last, _) = self.0.iter().min_by_key(|(_, place)| **place)?;
        let last = last.clone();
        self.0.remove(&last);
        Some(last)
    }

    /// A reader's bookmark, and its name.
    pub(super) fn of(&self, reader: &str) -> Option<(Arc<str>, Moment)> {
        self.0.get_key_value(reader).map(|(reader, place)| (reader.clone(), *place))
    }
}

impl Ledger {
    pub(super) fn bookmarked(&mut self, reader: Arc<str>, place: Moment) {
        self.deaths.told(&reader, place);
        if let Some(last) = self.bookmarks.insert(reader, place) {
            self.deaths.told(&last, Moment(u64::MAX));
        }
    }

    pub(in crate::store) fn keep_bookmark(&mut self, reader: Arc<str>, place: Moment) {
        if reader.len() <= READER_BYTES_MAX {
            self.say(Record::Bookmark { reader, place });
        }
    }

    /// Forgets the readers that are not among these. Answers which they were.
    pub(in crate::store) fn forget_bookmarks(&mut self, but: &[Arc<str>]) -> Vec<Arc<str>> {
        let others = self.bookmarks.0.keys().filter(|reader| !but.contains(reader));
        let mut gone: Vec<Arc<str>> = others.cloned().collect();
        gone.sort_unstable();
        for reader in &gone {
            self.say(Record::Unread { reader: reader.clone() });
        }
        gone
    }

    /// With what only this reader would have told.
    pub(super) fn forget_bookmark(&mut self, reader: &str) {
        self.bookmarks.0.remove(reader);
        self.deaths.told(reader, Moment(u64::MAX));
    }

    pub(in crate::store) fn bookmark(&self, reader: &str) -> Option<Moment> {
        self.bookmarks.0.get(reader).copied()
    }

    /// Says all of them to the log alone: it has a new file.
    pub(super) fn write_bookmarks(&mut self) {
        for (reader, place) in &self.bookmarks.0 {
            self.journal.push(&Record::Bookmark { reader: reader.clone(), place: *place });
        }
    }
}
