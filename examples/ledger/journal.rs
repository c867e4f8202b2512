//! The event log: one line for everything, kept when a run fails.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A log that has grown so long says no more than its beginning.
const BYTES_MAX: u64 = 512 << 20;

pub(crate) struct Journal {
    pub(crate) path: PathBuf,
    start: Instant,
    /// None: this run is for measuring.
    file: Option<Mutex<Lines>>,
}

struct Lines {
    writer: BufWriter<File>,
    bytes: u64,
}

impl Journal {
    pub(crate) fn create(path: &Path, is_on: bool) -> std::io::Result<Self> {
        let file = if is_on {
            let writer = BufWriter::new(File::create(path)?);
            Some(Mutex::new(Lines { writer, bytes: 0 }))
        } else {
            None
        };
        Ok(Self { path: path.into(), start: Instant::now(), file })
    }

    /// Microseconds since the start: the ledger's one clock.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let Some(file) = &self.file else { return };
        let at = self.now_us();
        let mut lines = file.lock();
        if lines.bytes < BYTES_MAX {
            let line = line();
            lines.bytes += line.len() as u64 + 14;
            // A log that cannot be written must not change the run.
            let _ = writeln!(lines.writer, "{at:>12} {line}");
        }
    }

    /// Keeps the log, or removes it.
    pub(crate) fn close(&self, keep: bool) -> Option<&Path> {
        let file = self.file.as_ref()?;
        let _ = file.lock().writer.flush();
        if keep {
            return Some(&self.path);
        }
        let _ = std::fs::remove_file(&self.path);
        None
    }
}
