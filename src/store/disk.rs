//! Files, as the log needs them: real ones here, a cruel imitation in the tests.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{LAYOUT, LAYOUT_MIN};

/// A folder of files.
pub(super) trait Disk: Send + Sync + 'static {
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file, made when it is not there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// What was made, renamed and removed is so after a cut of the power.
    fn sync(&self) -> io::Result<()>;
}

/// One file.
pub(super) trait DiskFile: Send + Sync + 'static {
    fn length(&self) -> io::Result<u64>;
    /// Fills the whole buffer.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// What was written is there after a cut of the power.
    fn sync(&self) -> io::Result<()>;
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{0} is open in another process; every server needs a store.path of its own, or \
         store.mode = \"memory\""
    )]
    InUse(PathBuf),
    /// Another version has written it. Nothing was changed.
    #[error(
        "the store's file {file} has records of layout {found}, and this version reads layout \
         {LAYOUT}, and {LAYOUT_MIN} as it was last written; open it with the version that wrote it, \
         or move the folder away to begin without what it holds"
    )]
    Layout {
        /// The file.
        file: String,
        /// The layout of its records.
        found: u8,
    },
    /// The operating system said no.
    #[error("the store's files cannot be used")]
    Io(#[from] io::Error),
}

impl OpenError {
    pub(super) fn layout(file: &str, found: u8) -> Self {
        Self::Layout { file: file.to_owned(), found }
    }
}

/// A real folder, locked against other processes for as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        Ok(Arc::new(file.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
