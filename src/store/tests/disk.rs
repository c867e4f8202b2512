//! A disk that keeps only what was synced: the rest is there after a cut, or not, or in part.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::world::metrics;
use crate::store::disk::{Disk, DiskFile};
use crate::store::{Config, LocalStore, Moment};

/// The unit in which a write may be torn.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    files: Vec<FileState>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// The names after each change since the last sync.
    name_history: Vec<BTreeMap<String, usize>>,
    /// How much may be written before the disk is full.
    room: Option<u64>,
    /// How long a file may grow.
    file_limit: Option<usize>,
    /// Operations until the disk answers no more.
    life: Option<u64>,
    /// Syncs that fail from now on.
    failing_syncs: u32,
    /// What a write beyond the room says.
    full: Option<ErrorKind>,
    /// Bytes that cannot be read, so many times.
    bad: Vec<(Vec<u8>, u32)>,
}

#[derive(Clone, Default)]
struct FileState {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl SimulatedDisk {
    /// The store that is on it.
    pub(crate) fn store(&self, config: &Config, now: Moment) -> LocalStore {
        LocalStore::open_on(Arc::new(self.clone()), config.clone(), metrics(), now).unwrap()
    }

    /// The disk as it is found after the power was cut: of what was not synced, any part in any
    /// order. The old one goes on without consequences.
    pub(super) fn after_a_cut(&self, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut state = self.0.lock().clone();
        // Changes of names are journaled: any number of them is there, but in order.
        let mut found = vec![state.synced_names.clone()];
        found.append(&mut state.name_history);
        state.names = found.swap_remove(random.below(found.len()));
        state.synced_names = state.names.clone();
        for file in &mut state.files {
            let mut changes = std::mem::take(&mut file.pending);
            while !changes.is_empty() {
                let change = changes.swap_remove(random.below(changes.len()));
                if random.below(3) > 0 {
                    change.survive(&mut file.synced, &mut random);
                }
            }
            file.bytes = file.synced.clone();
        }
        let disk = Self(Arc::new(Mutex::new(state)));
        disk.heal();
        disk
    }

    /// The disk answers again, whatever it was told to do.
    pub(crate) fn heal(&self) {
        let mut state = self.0.lock();
        (state.room, state.life, state.failing_syncs) = (None, None, 0);
        state.file_limit = None;
        state.bad = Vec::new();
    }

    /// So many bytes more can be written; none: as many as one likes.
    pub(super) fn set_room(&self, room: Option<u64>) {
        self.0.lock().room = room;
    }

    /// No file may grow longer than this; none: as long as one likes.
    pub(super) fn limit_files(&self, bytes: Option<usize>) {
        self.0.lock().file_limit = bytes;
    }

    /// After so many operations the disk answers no more.
    pub(super) fn die_after(&self, operations: u64) {
        self.0.lock().life = Some(operations);
    }

    /// The next syncs fail.
    pub(crate) fn fail_syncs(&self, count: u32) {
        self.0.lock().failing_syncs = count;
    }

    /// Reads of whatever has these bytes in it fail, so many times.
    pub(crate) fn fail_reads(&self, bytes: &str, count: u32) {
        self.0.lock().bad.push((bytes.as_bytes().to_vec(), count));
    }

    /// What is said when there is no room, in the place of `StorageFull`.
    pub(super) fn say_when_full(&self, kind: ErrorKind) {
        self.0.lock().full = Some(kind);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    pub(super) fn bytes(&self) -> usize {
        let state = self.0.lock();
        state.names.values().map(|file| state.files[*file].bytes.len()).sum()
    }

    /// Changes the bytes of a file behind everybody's back.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let file = state.names[name];
        let file = &mut state.files[file];
        assert!(file.pending.is_empty());
        change(&mut file.bytes);
        file.synced = file.bytes.clone();
    }
}

impl State {
    fn live(&mut self) -> io::Result<()> {
        match &mut self.life {
            Some(0) => Err(ErrorKind::Other.into()),
            Some(life) => {
                *life -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn rename(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        change(&mut self.names);
        self.name_history.push(self.names.clone());
    }
}

impl Change {
    /// Happens to a file, or to some of its sectors.
    fn survive(self, bytes: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Length(length) => bytes.resize(length, 0),
            Self::Write(offset, written) if random.below(2) == 0 => {
                put(bytes, offset, &written);
            }
            Self::Write(offset, written) => {
                let sectors = written.chunks(SECTOR).enumerate();
                for (index, sector) in sectors {
                    if random.below(2) == 0 {
                        put(bytes, offset + index * SECTOR, sector);
                    }
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

impl Disk for SimulatedDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(Self::names(self))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.live()?;
        let file = match state.names.get(name) {
            Some(file) => *file,
            None => {
                state.files.push(FileState::default());
                let file = state.files.len() - 1;
                state.rename(|names| _ = names.insert(name.to_owned(), file));
                file
            }
        };
        Ok(Arc::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.live()?;
        let file = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
        state.rename(|names| {
            names.remove(from);
            names.insert(to.to_owned(), file);
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.live()?;
        let file = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        let freed = state.files[file].bytes.len() as u64;
        state.room = state.room.map(|room| room + freed);
        state.rename(|names| _ = names.remove(name));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.live()?;
        state.synced_names = state.names.clone();
        state.name_history.clear();
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.files[self.file].bytes.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        let has = |bad: &[u8]| buffer.windows(bad.len()).any(|own| own == bad);
        match state.bad.iter_mut().find(|(bad, count)| *count > 0 && has(bad)) {
            Some((_, count)) => {
                *count -= 1;
                Err(io::Error::from_raw_os_error(5))
            }
            None => Ok(()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.live()?;
        let offset = usize::try_from(offset).unwrap();
        let length = state.files[self.file].bytes.len();
        if state.file_limit.is_some_and(|limit| offset + bytes.len() > limit.max(length)) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let grown = ((offset + bytes.len()).saturating_sub(length)) as u64;
        let fits = state.room.is_none_or(|room| grown <= room);
        // A full disk takes what fits.
        let taken = if fits { bytes.len() } else { bytes.len() / 2 };
        if let Some(room) = &mut state.room {
            *room = room.saturating_sub(grown);
        }
        let file = &mut state.files[self.file];
        put(&mut file.bytes, offset, &bytes[..taken]);
        file.pending.push(Change::Write(offset, bytes[..taken].to_vec()));
        let full = state.full.unwrap_or(ErrorKind::StorageFull);
        if fits { Ok(()) } else { Err(full.into()) }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.live()?;
        let length = usize::try_from(length).unwrap();
        let file = &mut state.files[self.file];
        let freed = file.bytes.len().saturating_sub(length) as u64;
        file.bytes.resize(length, 0);
        file.pending.push(Change::Length(length));
        state.room = state.room.map(|room| room + freed);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.live()?;
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(ErrorKind::Other.into());
        }
        let file = &mut state.files[self.file];
        file.synced = file.bytes.clone();
        file.pending.clear();
        Ok(())
    }
}

/// A small generator (xorshift64*): the same seed, the same disk.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // Zero is its only fixed point.
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(random).unwrap_or_default() % bound.max(1)
    }
}
