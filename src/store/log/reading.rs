//! A log is read back, whatever happened to it.
//!
//! What does not read is passed over to the next record that does. In the newest file that is
//! ordinary when it is the rest of one batch: the power was cut while it was written, and nobody
//! was told that it is kept. Anything else is damage: the file is mended from what can be read, the
//! original is set aside, and the report says how many records are missing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::{Files, Log, damage, decode_safely, name_of, number_of};
use crate::store::disk::{Disk, DiskFile, OpenError};
use crate::store::health::Damage;
use crate::store::ledger::{Frame, Ledger, MARKER, Place, SegmentNumber, mended};
use crate::store::names::Moment;
use crate::store::record::{LAYOUT, LAYOUT_MIN, Record};

/// A log that was read, and what was found.
pub(in crate::store) struct Reading {
    pub(in crate::store) log: Log,
    /// What was found now.
    pub(in crate::store) found: Option<Damage>,
    /// The same, and what was found before and nobody has seen.
    pub(in crate::store) unseen: Option<Damage>,
}

/// One file, read.
#[derive(Default)]
struct Sheet {
    records: Vec<(Record, Extent)>,
    /// Where records are missing: before the record of that index, up to that number.
    holes: Vec<(usize, u64)>,
    /// Records missing.
    lost: u64,
    /// Bytes that did not read.
    bytes: u64,
    /// Where the rest of a batch was cut off by a cut of the power.
    torn_at: Option<u64>,
}

struct Extent {
    offset: usize,
    length: usize,
}

impl Reading {
    /// Reads all files into the ledger, and begins a new one to write to.
    pub(in crate::store) fn of(
        disk: Arc<dyn Disk>,
        ledger: &mut Ledger,
        now: Moment,
    ) -> Result<Self, OpenError> {
        let mut numbers: Vec<SegmentNumber> =
            disk.names()?.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        let files = Arc::new(Files::default());
        let mut lengths = BTreeMap::new();
        // What could not be mended is found again next time, so it is not in the note.
        let (mut noted, mut unmended) = (damage::read(&*disk, now)?, Damage::none(now));
        let mut found = Damage::none(now);
        let (mut expected, mut is_checked) = (None, false);
        for (index, number) in numbers.iter().enumerate() {
            let name = name_of(*number);
            let (mut file, bytes) = whole(&*disk, &name)?;
            let is_last = index + 1 == numbers.len();
            let sheet = Sheet::read(&bytes, &mut expected, is_last);
            let mut sheet = sheet.map_err(|layout| OpenError::layout(&name, layout))?;
            found.saved += sheet.records.len() as u64;
            let mut length = bytes.len() as u64;
            if sheet.is_damaged() && !is_checked {
                // Only now, so that sound files are read once. Those before have been read.
                check_layouts(&*disk, &numbers[index + 1..], expected)?;
                is_checked = true;
            }
            if sheet.is_damaged() {
                let cost = Damage {
                    saved: found.saved,
                    lost: sheet.lost,
                    bytes: sheet.bytes,
                    set_aside: vec![format!("{name}.damaged-{}", now.0)],
                    ..Damage::none(now)
                };
                let known = noted.clone().unwrap_or_else(|| Damage::none(now)).and(&cost);
                match sheet.mend(&*disk, &name, &bytes, &known) {
                    Ok(mended) => {
                        (file, length) = mended;
                        noted = Some(known);
                        found = found.and(&cost);
                    }
                    // A full disk, perhaps: it is read as it is, and mended next time.
                    Err(error) => {
                        tracing::error!(%error, name, "a damaged file was not mended");
                        let cost = Damage { set_aside: Vec::new(), ..cost };
                        unmended = unmended.and(&cost);
                        found = found.and(&cost);
                    }
                }
            } else if let Some(torn_at) = sheet.torn_at {
                tracing::info!(name, torn_at, "the end of the store's log was cut off; mended");
                file.set_length(torn_at)?;
                length = torn_at;
            }
            if is_last {
                // What was read may not be on the disk yet when a process ended and not the power.
                file.sync()?;
            }
            ledger.segment = *number;
            sheet.hand_over(*number, ledger);
            files.0.write().insert(*number, file);
            lengths.insert(*number, length);
        }
        ledger.journal.next_number = expected.unwrap_or(1);
        let head = SegmentNumber(numbers.last().map_or(1, |last| last.0 + 1));
        let head_file = disk.open(&name_of(head))?;
        disk.sync()?;
        files.0.write().insert(head, head_file.clone());
        lengths.insert(head, 0);
        let log = Log { disk, files, lengths, head, head_file, is_torn: false, reserve: 0 };
        let found = Some(found).filter(|found| !found.is_none());
        Ok(Self { log, found, unseen: together(noted, unmended) })
    }
}

/// What was noted, and what could not be.
fn together(noted: Option<Damage>, unmended: Damage) -> Option<Damage> {
    match noted {
        Some(noted) if unmended.is_none() => Some(noted),
        Some(noted) => Some(noted.and(&unmended)),
        None => Some(unmended).filter(|unmended| !unmended.is_none()),
    }
}

/// Reads the files that come after the one to be mended, and changes nothing: whether there is a
/// record that this version does not read. What is found is forgotten, and read again in its turn.
fn check_layouts(
    disk: &dyn Disk,
    numbers: &[SegmentNumber],
    mut expected: Option<u64>,
) -> Result<(), OpenError> {
    for (index, number) in numbers.iter().enumerate() {
        let name = name_of(*number);
        let (_, bytes) = whole(disk, &name)?;
        let sheet = Sheet::read(&bytes, &mut expected, index + 1 == numbers.len());
        sheet.map_err(|layout| OpenError::layout(&name, layout))?;
    }
    Ok(())
}

/// A file and all that is in it.
fn whole(disk: &dyn Disk, name: &str) -> io::Result<(Arc<dyn DiskFile>, Vec<u8>)> {
    let file = disk.open(name)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0)?;
    Ok((file, bytes))
}

/// What stands at a place of a file.
enum Found<'a> {
    Record(Frame<'a>, Record),
    /// A sound record that says nothing to this version: no damage, and not to be treated so.
    Foreign(u8),
    /// No record, or one that should have stood before.
    Nothing,
}

impl<'a> Found<'a> {
    fn at(bytes: &'a [u8], at: usize, expected: u64) -> Self {
        let frame = Frame::at_start_of(&bytes[at..]);
        let Some(frame) = frame.filter(|frame| frame.number >= expected) else {
            return Self::Nothing;
        };
        if !(LAYOUT_MIN..=LAYOUT).contains(&frame.layout) {
            return Self::Foreign(frame.layout);
        }
        match decode_safely(&frame) {
            Some(Some(record)) => Self::Record(frame, record),
            // Layout 1 was changed in builds that nobody was given.
            Some(None) if frame.layout < LAYOUT => Self::Foreign(frame.layout),
            Some(None) | None => Self::Nothing,
        }
    }
}

impl Sheet {
    /// The ledger learns what the file says.
    fn hand_over(self, segment: SegmentNumber, ledger: &mut Ledger) {
        for (record, extent) in self.records {
            let length = u32::try_from(extent.length).unwrap_or(u32::MAX);
            ledger.apply(record, Some(Place { segment, offset: extent.offset as u64, length }));
        }
    }

    /// Reads a file. `expected` is the number of its first record, when one was read before. An
    /// error is the layout of a record that this version does not read.
    fn read(bytes: &[u8], expected: &mut Option<u64>, is_last: bool) -> Result<Self, u8> {
        let mut sheet = Self::default();
        // A file begins with a record of its own, whatever stood before.
        if let Found::Foreign(layout) = Found::at(bytes, 0, 0) {
            return Err(layout);
        }
        let mut at = 0;
        while at < bytes.len() {
            let next = expected.unwrap_or_default();
            let found = Found::at(bytes, at, next);
            if let Found::Foreign(layout) = found {
                return Err(layout);
            }
            if let Found::Record(frame, record) = found {
                if expected.is_some() && frame.number != next && record != Record::Mended {
                    sheet.hole(frame.number, next);
                }
                *expected = Some(frame.number + 1);
                if record != Record::Mended {
                    let extent = Extent { offset: at, length: frame.length };
                    sheet.records.push((record, extent));
                } else {
                    sheet.holes.push((sheet.records.len(), frame.number));
                }
                at += frame.length;
                continue;
            }
            let is_found = |at| !matches!(Found::at(bytes, at, next), Found::Nothing);
            let resumed = (at + 1..bytes.len()).find(|&at| bytes[at] == MARKER[0] && is_found(at));
            if is_last && is_rest_of_a_batch(bytes, resumed, next) {
                sheet.torn_at = Some(at as u64);
                return Ok(sheet);
            }
            sheet.bytes += (resumed.unwrap_or(bytes.len()) - at) as u64;
            at = resumed.unwrap_or(bytes.len());
        }
        Ok(sheet)
    }

    fn hole(&mut self, number: u64, expected: u64) {
        self.lost += number - expected;
        self.holes.push((self.records.len(), number - 1));
    }

    fn is_damaged(&self) -> bool {
        self.lost > 0 || self.bytes > 0
    }

    /// Writes a file with what was read in the place of the damaged one, which is set aside under
    /// the last name in `known`. That is noted before, or it would be forgotten in a crash. Answers
    /// the file and its length.
    fn mend(
        &mut self,
        disk: &dyn Disk,
        name: &str,
        bytes: &[u8],
        known: &Damage,
    ) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let mut good = Vec::with_capacity(bytes.len());
        let mut holes = self.holes.iter().peekable();
        let mut moved = Vec::with_capacity(self.records.len());
        for (index, (_, extent)) in self.records.iter().enumerate() {
            while let Some((_, number)) = holes.next_if(|(before, _)| *before == index) {
                good.extend_from_slice(&mended(*number));
            }
            moved.push(good.len());
            good.extend_from_slice(&bytes[extent.offset..extent.offset + extent.length]);
        }
        for (_, number) in holes {
            good.extend_from_slice(&mended(*number));
        }
        let draft = format!("{name}.mended");
        let file = disk.open(&draft)?;
        file.set_length(0)?;
        file.write_at(&good, 0)?;
        file.sync()?;
        damage::keep(disk, known)?;
        if let Some(aside) = known.set_aside.last() {
            disk.rename(name, aside)?;
        }
        disk.rename(&draft, name)?;
        disk.sync()?;
        for ((_, extent), offset) in self.records.iter_mut().zip(moved) {
            extent.offset = offset;
        }
        Ok((file, good.len() as u64))
    }
}

/// Whether all that still reads belongs to the batch in which something does not. A batch is only
/// begun when the one before was synced, so this is the last one, and nobody was told about it.
fn is_rest_of_a_batch(bytes: &[u8], resumed: Option<usize>, expected: u64) -> bool {
    let Some(mut at) = resumed else { return true };
    while at < bytes.len() {
        match Frame::at_start_of(&bytes[at..]) {
            Some(frame) if frame.batch > expected => return false,
            Some(frame) => at += frame.length,
            None => at += 1,
        }
    }
    true
}
