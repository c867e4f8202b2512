//! The append-only log: numbered files of records, the newest of which is written to.
//!
//! A batch is written with one write and one sync. What could not be written is cut off before
//! anything else is written, so the file never says more than was reported, but for a cut of the
//! power, which may leave a part of the last batch.

mod damage;
mod reading;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::RwLock;

use super::disk::{Disk, DiskFile};
use super::ledger::{Frame, Place, SegmentNumber};
use super::message::Content;
use super::record::{Record, decode};

pub(super) use damage::forget as forget_damage;
pub(super) use reading::Reading;

const RESERVE: &str = "reserve";

/// The files of a log by number, for whoever reads a place.
#[derive(Default)]
pub(super) struct Files(RwLock<HashMap<SegmentNumber, Arc<dyn DiskFile>>>);

impl Files {
    pub(super) fn get(&self, number: SegmentNumber) -> Option<Arc<dyn DiskFile>> {
        self.0.read().get(&number).cloned()
    }
}

/// Why a content was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotRead {
    /// The disk did not answer this time.
    Failed(Arc<str>),
    /// It answered, and what it gave back is not what was written.
    Damaged,
}

/// The content of the message whose record lies there.
pub(super) fn content_at(file: &dyn DiskFile, place: Place) -> Result<Content, NotRead> {
    let mut bytes = vec![0; place.length as usize];
    file.read_at(&mut bytes, place.offset).map_err(|error| match error.kind() {
        // The file is shorter than it was.
        io::ErrorKind::UnexpectedEof => NotRead::Damaged,
        _ => NotRead::Failed(error.to_string().into()),
    })?;
    let frame = Frame::at_start_of(&bytes).ok_or(NotRead::Damaged)?;
    match decode_safely(&frame).flatten() {
        Some(Record::Accepted(message) | Record::Kept(message)) => Ok(message.content),
        _ => Err(NotRead::Damaged),
    }
}

/// A bug in decoding must cost one record, not the store: none then.
fn decode_safely(frame: &Frame<'_>) -> Option<Option<Record>> {
    let decoding = || decode(frame.layout, frame.kind, frame.values);
    catch_unwind(AssertUnwindSafe(decoding)).ok()
}

pub(super) struct Log {
    disk: Arc<dyn Disk>,
    files: Arc<Files>,
    /// The length of what is synced, by file.
    lengths: BTreeMap<SegmentNumber, u64>,
    head: SegmentNumber,
    head_file: Arc<dyn DiskFile>,
    /// A write failed: there may be more in the file than its length says.
    is_torn: bool,
    /// The space that is held back for a full disk.
    reserve: u64,
}

impl Log {
    /// Bytes in all files.
    pub(super) fn bytes(&self) -> u64 {
        self.lengths.values().sum()
    }

    pub(super) fn head(&self) -> SegmentNumber {
        self.head
    }

    pub(super) fn head_bytes(&self) -> u64 {
        self.lengths.get(&self.head).copied().unwrap_or_default()
    }

    /// The oldest file, when it is not the newest.
    pub(super) fn tail(&self) -> Option<SegmentNumber> {
        self.lengths.keys().next().copied().filter(|tail| *tail != self.head)
    }

    pub(super) fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// Writes a batch and syncs it. Answers where it begins.
    pub(super) fn append(&mut self, batch: &[u8]) -> io::Result<u64> {
        let start = self.head_bytes();
        if self.is_torn {
            self.head_file.set_length(start)?;
            self.is_torn = false;
        }
        let written = self.head_file.write_at(batch, start).and_then(|()| self.head_file.sync());
        if let Err(error) = written {
            // At once, so that a process that ends now does not leave what was refused.
            self.is_torn = self.head_file.set_length(start).is_err();
            return Err(error);
        }
        self.lengths.insert(self.head, start + batch.len() as u64);
        Ok(start)
    }

    /// Begins a new file.
    pub(super) fn rotate(&mut self) -> io::Result<SegmentNumber> {
        // What was cut off after a failure must not come back when this is not the newest file.
        self.head_file.set_length(self.head_bytes())?;
        self.head_file.sync()?;
        self.is_torn = false;
        let head = SegmentNumber(self.head.0 + 1);
        let file = self.disk.open(&name_of(head))?;
        self.disk.sync()?;
        self.files.0.write().insert(head, file.clone());
        self.lengths.insert(head, 0);
        (self.head, self.head_file) = (head, file);
        Ok(head)
    }

    /// Removes the oldest file. Synced, because no file may be missing before one that is there.
    pub(super) fn drop_tail(&mut self) -> io::Result<()> {
        let Some(tail) = self.tail() else { return Ok(()) };
        match self.disk.remove(&name_of(tail)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.sync()?;
        self.files.0.write().remove(&tail);
        self.lengths.remove(&tail);
        Ok(())
    }

    /// Takes space that a full disk can be given back.
    pub(super) fn take_reserve(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let file = self.disk.open(RESERVE)?;
        let taken = file.length()?;
        if taken > bytes {
            file.set_length(bytes)?;
        }
        // Zeros that are written, not a hole that is promised.
        let zeros = vec![0; 1_048_576];
        let mut at = taken;
        while at < bytes {
            let part = (bytes - at).min(zeros.len() as u64);
            let part = &zeros[..usize::try_from(part).unwrap_or(zeros.len())];
            if let Err(error) = file.write_at(part, at) {
                self.give_reserve();
                return Err(error);
            }
            at += part.len() as u64;
        }
        file.sync()?;
        self.reserve = bytes;
        Ok(())
    }

    /// Gives the space back. Answers how much it was.
    pub(super) fn give_reserve(&mut self) -> u64 {
        if let Err(error) = self.disk.remove(RESERVE)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the store's reserve cannot be released");
            return 0;
        }
        std::mem::take(&mut self.reserve)
    }
}

fn name_of(number: SegmentNumber) -> String {
    format!("{:010}.log", number.0)
}

fn number_of(name: &str) -> Option<SegmentNumber> {
    let number = name.strip_suffix(".log")?.parse().ok().map(SegmentNumber)?;
    (name_of(number) == name).then_some(number)
}
