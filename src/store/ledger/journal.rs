//! Records on their way to a log: framed so that each can be found and read alone.
//!
//! ```text
//! marker 4 | length of values 4 | number 8 | records before it in its batch 4 | kind 1 | version 1 |
//! CRC-32 of all the others 4 | values
//! ```
//! The version is that of the layout of the values ([`LAYOUT`]); the frame is the same in all.
//! Little-endian. The number ascends by one from record to record through all files, so a gap tells
//! how many are missing. Its place in the batch tells a batch torn by a cut from damage: a batch is
//! only begun when the one before was synced.

use crate::store::names::MessageSeq;
use crate::store::record::{LAYOUT, Record, encode};

/// Begins a record; not likely in text, MessagePack or zeros.
pub(in crate::store) const MARKER: [u8; 4] = [0xc1, 0x9e, 0x52, 0xd7];
/// Bytes before the values.
const FRAME_HEADER: usize = 26;
/// Longer is no record of ours: a body of the publish API has at most 64 MiB.
const VALUES_BYTES_MAX: usize = 134_217_728;

/// The number of a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct SegmentNumber(pub(in crate::store) u32);

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Place {
    pub(in crate::store) segment: SegmentNumber,
    pub(in crate::store) offset: u64,
    pub(in crate::store) length: u32,
}

/// A message's record in [`Journal::bytes`], for the log to say where that came to lie.
pub(in crate::store) struct Placed {
    pub(in crate::store) seq: MessageSeq,
    pub(in crate::store) start: usize,
    pub(in crate::store) length: usize,
}

impl Placed {
    /// Where it lies when the batch begins there.
    pub(in crate::store) fn place(&self, segment: SegmentNumber, start: u64) -> Place {
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        Place { segment, offset: start + self.start as u64, length }
    }
}

pub(in crate::store) struct Journal {
    on: bool,
    pub(in crate::store) bytes: Vec<u8>,
    pub(in crate::store) placed: Vec<Placed>,
    pub(in crate::store) next_number: u64,
    in_batch: u32,
}

impl Journal {
    pub(super) fn new(on: bool) -> Self {
        Self { on, bytes: Vec::new(), placed: Vec::new(), next_number: 1, in_batch: 0 }
    }

    pub(super) fn push(&mut self, record: &Record) {
        if !self.on {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; FRAME_HEADER]);
        let kind = encode(record, &mut self.bytes);
        let frame = &mut self.bytes[start..];
        let length = frame.len() - FRAME_HEADER;
        frame[..4].copy_from_slice(&MARKER);
        frame[4..8].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        frame[8..16].copy_from_slice(&self.next_number.to_le_bytes());
        frame[16..20].copy_from_slice(&self.in_batch.to_le_bytes());
        frame[20] = kind;
        frame[21] = LAYOUT;
        let sum = checksum(frame);
        frame[22..26].copy_from_slice(&sum.to_le_bytes());
        if let Record::Accepted(message) | Record::Kept(message) = record {
            let length = self.bytes.len() - start;
            self.placed.push(Placed { seq: message.seq, start, length });
        }
        self.next_number += 1;
        self.in_batch += 1;
    }

    /// Where a later [`Journal::cut`] goes back to.
    pub(in crate::store) fn mark(&self) -> (usize, u32) {
        (self.bytes.len(), self.in_batch)
    }

    /// Forgets the records after a mark.
    pub(in crate::store) fn cut(&mut self, (length, in_batch): (usize, u32)) {
        self.bytes.truncate(length);
        self.placed.retain(|placed| placed.start < length);
        self.next_number -= u64::from(self.in_batch - in_batch);
        self.in_batch = in_batch;
    }

    /// The batch is written: the next record begins another.
    pub(in crate::store) fn clear(&mut self) {
        self.bytes.clear();
        // A batch of many megabytes is rare; its room is not kept.
        self.bytes.shrink_to(4_194_304);
        self.placed.clear();
        self.in_batch = 0;
    }
}

/// A record as it lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Frame<'a> {
    pub(in crate::store) number: u64,
    /// The number of the first record of its batch.
    pub(in crate::store) batch: u64,
    pub(in crate::store) kind: u8,
    pub(in crate::store) layout: u8,
    pub(in crate::store) values: &'a [u8],
    /// With its header.
    pub(in crate::store) length: usize,
}

impl<'a> Frame<'a> {
    /// The record at the beginning of the bytes, if a whole and sound one is there, of any layout.
    pub(in crate::store) fn at_start_of(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER)?;
        let u32_at = |at: usize| header[at..at + 4].try_into().ok().map(u32::from_le_bytes);
        let length = u32_at(4)? as usize;
        if header[..4] != MARKER || length > VALUES_BYTES_MAX {
            return None;
        }
        let frame = bytes.get(..FRAME_HEADER + length)?;
        if checksum(frame) != u32_at(22)? {
            return None;
        }
        let number = header[8..16].try_into().ok().map(u64::from_le_bytes)?;
        Some(Self {
            number,
            batch: number.checked_sub(u64::from(u32_at(16)?))?,
            kind: header[20],
            layout: header[21],
            values: &frame[FRAME_HEADER..],
            length: frame.len(),
        })
    }
}

/// Of everything in a frame but the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..22]);
    hasher.update(&frame[FRAME_HEADER..]);
    hasher.finalize()
}

/// A record that says: what is missing up to this number was reported.
pub(in crate::store) fn mended(number: u64) -> Vec<u8> {
    let mut journal = Journal::new(true);
    journal.next_number = number;
    journal.push(&Record::Mended);
    journal.bytes
}
