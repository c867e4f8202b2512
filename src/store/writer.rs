//! The store's thread: runs changes in batches, and writes each batch before it is reported.
//!
//! In a batch, changes that must be kept (answers, sessions) come first and acceptances last. When a
//! batch cannot be written, the acceptances are taken back and refused, and the others are written
//! with the space of the reserve. When even that fails they stay to be written, and until they are,
//! nothing new is taken. A file that may not grow longer needs another file instead: it is begun for
//! what must be kept.
//!
//! The reserve has room for one record per owed pair: its end, which may be a dead letter. Nothing
//! else may take that room ([`Purpose`]), so a death cannot fail for space.

mod cleaning;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::config::bytes_of_mib;
use super::interface::StoreError;
use super::ledger::Ledger;
use super::local::Shared;
use super::log::Log;
use super::names::MessageSeq;
use cleaning::Unread;

/// Changes in one batch: bounds how long one commit takes.
const BATCH_MAX: usize = 4_096;
/// Between two looks at the oldest file when nothing happens.
const IDLE: Duration = Duration::from_secs(1);
/// Between two attempts to write, or to take new messages again.
const PATIENCE_MIN: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// The most that one change says which is no end: ten thousand dead letters that are owed again.
pub(super) const CHANGE_BYTES_MAX: u64 = 655_360;

/// Called once a change is durable, or failed.
pub(super) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Makes a change; with an error, tells whoever waits. Answers who is told of the outcome.
type Run = Box<dyn FnOnce(Result<&mut Ledger, StoreError>) -> Option<Done> + Send>;

/// What a change is for decides what becomes of it when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Something new: refused, and taken back when it cannot be written.
    New,
    /// Refused when only the room of the ends is left.
    Change,
    /// The end of a pair, or what takes no room by then ([`Ledger::be_frugal`]): never refused.
    End,
}

/// A change that somebody asked for.
pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) run: Run,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    log: Log,
    /// Whether a write failed, and nothing new is accepted.
    trouble: Option<Trouble>,
    /// The content that the cleaning waits for.
    unread: Option<Unread>,
    /// In trouble: what is left of the space that the reserve gave back.
    reserve_left: u64,
}

struct Trouble {
    error: StoreError,
    patience: Duration,
    retry_at: Instant,
}

/// How much of the journal is what.
struct Batch {
    before_acceptances: (usize, u32),
    newest_before: MessageSeq,
}

impl Writer {
    /// Writes what opening the store has changed.
    pub(super) fn begin(shared: Arc<Shared>, log: Log) -> Self {
        let mut writer = Self { shared, log, trouble: None, unread: None, reserve_left: 0 };
        let reserve = bytes_of_mib(writer.shared.config.reserve_mib);
        if let Err(error) = writer.log.take_reserve(reserve) {
            writer.failed(&error);
        }
        writer.commit(Vec::new(), Vec::new());
        writer
    }

    /// Works until the other end of the queue is gone. A panic ends it with a report.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let end = catch_unwind(AssertUnwindSafe(|| self.work(jobs)));
        if let Err(panic) = end {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "a panic".to_owned());
            tracing::error!(panic = text, "the store's thread has stopped");
            self.shared.health.lock().broken = Some(text);
        }
    }

    fn work(&mut self, jobs: &Receiver<Job>) {
        loop {
            let mut batch = Vec::new();
            match jobs.recv_timeout(self.patience()) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            batch.extend(jobs.try_iter().take(BATCH_MAX - 1));
            self.recover();
            if self.is_stuck() {
                self.refuse(batch);
                continue;
            }
            let (acceptances, others): (Vec<Job>, Vec<Job>) =
                batch.into_iter().partition(|job| job.purpose == Purpose::New);
            self.commit(others, acceptances);
            self.clean();
        }
    }

    fn patience(&self) -> Duration {
        let retry = self.trouble.as_ref().map(|trouble| trouble.retry_at);
        retry.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()).min(IDLE))
    }

    /// Whether changes wait to be written that could not be.
    fn is_stuck(&self) -> bool {
        self.trouble.is_some() && !self.shared.ledger.lock().journal.bytes.is_empty()
    }

    /// Runs the changes, writes what they said, and tells everybody.
    fn commit(&mut self, others: Vec<Job>, acceptances: Vec<Job>) {
        self.rotate_if_long();
        let done = self.run_all(others);
        let ledger = self.shared.ledger.lock();
        let batch =
            Batch { before_acceptances: ledger.journal.mark(), newest_before: ledger.newest() };
        drop(ledger);
        let was_sound = self.trouble.is_none();
        let accepted = if was_sound {
            self.run_all(acceptances)
        } else {
            self.refuse(acceptances);
            Vec::new()
        };
        let Err(error) = self.write() else {
            tell(done.into_iter().chain(accepted), Ok(()));
            return;
        };
        self.failed(&error);
        // In trouble there was nothing new, and the journal may end with how a new file opens.
        if was_sound {
            self.take_back(&batch);
        }
        let why = self.why();
        tell(accepted, Err(why));
        let outcome = self.write().map_err(|error| {
            self.failed(&error);
            self.why()
        });
        tell(done, outcome);
    }

    fn run_all(&self, jobs: Vec<Job>) -> Vec<Done> {
        let run = |job: Job| {
            let mut ledger = self.shared.ledger.lock();
            let is_tight = self.is_tight(&ledger);
            ledger.be_frugal(is_tight);
            if is_tight && job.purpose != Purpose::End {
                drop(ledger);
                return (job.run)(Err(self.why()));
            }
            (job.run)(Ok(&mut ledger))
        };
        jobs.into_iter().filter_map(run).collect()
    }

    /// Whether what is left of the reserve is needed for the ends of what is owed.
    fn is_tight(&self, ledger: &Ledger) -> bool {
        let written = ledger.journal.bytes.len() as u64 + CHANGE_BYTES_MAX;
        self.trouble.is_some() && self.reserve_left < written.saturating_add(ledger.bytes_of_ends())
    }

    fn refuse(&self, jobs: Vec<Job>) {
        for job in jobs {
            (job.run)(Err(self.why()));
        }
    }

    fn why(&self) -> StoreError {
        self.trouble.as_ref().map_or(StoreError::Closed, |trouble| trouble.error.clone())
    }

    /// Writes the journal. What is in no file that may grow goes to a new one, once new messages
    /// are refused: a limit of each file leaves room for the ends of those that were accepted.
    fn write(&mut self) -> std::io::Result<()> {
        let Err(error) = self.write_to_head() else { return Ok(()) };
        let is_too_long = error.kind() == std::io::ErrorKind::FileTooLarge;
        // Where an empty file has no room, another has none either.
        if !is_too_long || self.trouble.is_none() || self.log.head_bytes() == 0 {
            return Err(error);
        }
        let head = self.log.rotate()?;
        // After what waits, as its sums count that already. What was said before this opening has
        // its home in the older file: it is said again before that goes.
        self.shared.ledger.lock().open_segment(head);
        self.write_to_head()
    }

    /// Writes the journal to the newest file. On success the ledger shows what was in it.
    fn write_to_head(&mut self) -> std::io::Result<()> {
        let bytes = std::mem::take(&mut self.shared.ledger.lock().journal.bytes);
        let written = if bytes.is_empty() { Ok(0) } else { self.write_bytes(&bytes) };
        let mut ledger = self.shared.ledger.lock();
        ledger.journal.bytes = bytes;
        let start = written?;
        self.reserve_left = self.reserve_left.saturating_sub(ledger.journal.bytes.len() as u64);
        for placed in std::mem::take(&mut ledger.journal.placed) {
            ledger.placed(placed.seq, placed.place(self.log.head(), start));
        }
        ledger.journal.clear();
        ledger.committed();
        drop(ledger);
        self.shared.gauge(self.log.bytes());
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> std::io::Result<u64> {
        let timer = self.shared.metrics.sync_seconds.start_timer();
        let start = self.log.append(bytes)?;
        timer.observe_duration();
        self.shared.metrics.commits.inc();
        Ok(start)
    }

    fn take_back(&self, batch: &Batch) {
        let mut ledger = self.shared.ledger.lock();
        ledger.retract_after(batch.newest_before);
        ledger.journal.cut(batch.before_acceptances);
    }

    fn rotate_if_long(&mut self) {
        // A file that holds little but its opening would be a waste.
        let opening = self.shared.ledger.lock().opening_bytes();
        let long = bytes_of_mib(self.shared.config.segment_mib).max(4 * opening);
        let is_long = self.log.head_bytes() >= long;
        if !is_long || self.trouble.is_some() {
            return;
        }
        match self.log.rotate() {
            Ok(head) => self.shared.ledger.lock().open_segment(head),
            // The file just grows longer than it should.
            Err(error) => tracing::warn!(%error, "the store cannot begin a new file"),
        }
    }

    /// A write failed: nothing new is accepted, and the reserve is given back.
    fn failed(&mut self, error: &std::io::Error) {
        self.shared.metrics.commit_failures.inc();
        let is_full = matches!(
            error.kind(),
            // No room on the disk, for this user, or for a file of this length: room may come.
            std::io::ErrorKind::StorageFull
                | std::io::ErrorKind::QuotaExceeded
                | std::io::ErrorKind::FileTooLarge
        );
        let error = if is_full {
            StoreError::DiskFull
        } else {
            StoreError::Failing(error.to_string().into())
        };
        if self.trouble.is_none() {
            tracing::error!(%error, "the store accepts nothing new");
        }
        // When there was none, or it did not help, nothing is left.
        self.reserve_left = self.log.give_reserve();
        let patience = self.trouble.as_ref().map_or(PATIENCE_MIN, |trouble| trouble.patience);
        let retry_at = Instant::now() + patience;
        self.shared.set_trouble(Some(&error));
        let patience = (patience * 2).min(PATIENCE_MAX);
        self.trouble = Some(Trouble { error, patience, retry_at });
    }

    /// Tries whether the disk works again: what waits is written, the reserve is taken again.
    fn recover(&mut self) {
        if self.trouble.as_ref().is_none_or(|trouble| trouble.retry_at > Instant::now()) {
            return;
        }
        let reserve = bytes_of_mib(self.shared.config.reserve_mib);
        if let Err(error) = self.write() {
            return self.failed(&error);
        }
        let left = self.reserve_left;
        match self.log.take_reserve(reserve) {
            Ok(()) => {
                tracing::info!("the store accepts again");
                self.trouble = None;
                self.reserve_left = 0;
                self.shared.set_trouble(None);
                self.shared.ledger.lock().be_frugal(false);
            }
            Err(error) => {
                self.failed(&error);
                // What it took until the disk was full it has given back.
                self.reserve_left = left;
            }
        }
    }

    /// Everybody is gone: what remains is written, and that nothing is missing.
    fn close(&mut self) {
        if self.trouble.is_some() && self.write().is_err() {
            return;
        }
        self.shared.ledger.lock().say_closed();
        if let Err(error) = self.write() {
            tracing::warn!(%error, "the store could not be closed in order");
        }
        tracing::debug!("the store is closed");
    }
}

fn tell(done: impl IntoIterator<Item = Done>, outcome: Result<(), StoreError>) {
    for done in done {
        done(outcome.clone());
    }
}
