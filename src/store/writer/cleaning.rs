//! Old files go: what is still needed of the oldest is said again, a little with each batch.

use std::time::{Duration, Instant, SystemTime};

use super::Writer;
use crate::store::config::bytes_of_mib;
use crate::store::ledger::{AtHome, SegmentNumber};
use crate::store::log::{NotRead, content_at};
use crate::store::names::{MessageSeq, Moment};

/// Messages and keys looked at after one batch.
const LOOK_MAX: usize = 8_192;
/// Bytes said again with one batch: about a millisecond of a slow disk.
const AGAIN_BYTES_MAX: usize = 262_144;

/// Reads of one content that is to move on. When the last has failed, too, it is lost. Together they
/// take about six minutes: nothing is lost meanwhile, only a file stays longer.
const READS_MAX: u32 = 10;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A content that was not read, and is read again.
pub(super) struct Unread {
    seq: MessageSeq,
    reads: u32,
    again_at: Instant,
}

impl Writer {
    /// Takes the oldest file a step nearer to its end, and removes it when nothing in it is needed.
    pub(super) fn clean(&mut self) {
        let waits = self.unread.as_ref().is_some_and(|unread| unread.again_at > Instant::now());
        if self.trouble.is_some() || waits {
            return;
        }
        let Some(tail) = self.log.tail() else { return };
        let mut is_empty = self.pass_over(tail);
        if !is_empty && self.is_wasteful() {
            is_empty = self.say_again(tail);
        }
        if !is_empty {
            return;
        }
        self.shared.ledger.lock().keep_snapshots(tail);
        // What was said again must be durable before the file goes.
        let removed = self.write().and_then(|()| self.log.drop_tail());
        if let Err(error) = removed {
            self.failed(&error);
        }
    }

    /// Passes over what is not needed. Whether nothing is left.
    fn pass_over(&self, tail: SegmentNumber) -> bool {
        let mut ledger = self.shared.ledger.lock();
        ledger.at_home(tail, LOOK_MAX).is_none() && !ledger.has_home(tail)
    }

    /// Whether more than half of the log, and more than two files, is not needed.
    fn is_wasteful(&self) -> bool {
        let live = self.shared.ledger.lock().live_bytes();
        let slack = live.max(2 * bytes_of_mib(self.shared.config.segment_mib));
        self.log.bytes().saturating_sub(live) > slack
    }

    /// Says a part of what is needed again. Whether nothing is left.
    fn say_again(&mut self, tail: SegmentNumber) -> bool {
        for _ in 0..LOOK_MAX {
            let mut ledger = self.shared.ledger.lock();
            if ledger.journal.bytes.len() > AGAIN_BYTES_MAX {
                return false;
            }
            match ledger.at_home(tail, LOOK_MAX) {
                Some(AtHome::InMemory(seq)) => ledger.keep(seq, tail, None),
                Some(AtHome::OnDisk(seq, place)) => {
                    drop(ledger);
                    let file = self.log.files().get(place.segment);
                    let content = file.map_or(Err(NotRead::Damaged), |f| content_at(&*f, place));
                    if let Err(NotRead::Failed(error)) = &content
                        && self.is_worth_waiting(seq, error)
                    {
                        return false;
                    }
                    self.unread = None;
                    let content = content.ok();
                    let mut ledger = self.shared.ledger.lock();
                    if content.is_none() {
                        ledger.unreadable(seq, Moment::from(SystemTime::now()));
                    }
                    ledger.keep(seq, tail, content);
                }
                None => return !ledger.has_home(tail),
            }
        }
        false
    }

    /// A content was not read. Whether it is read again, and not given up.
    fn is_worth_waiting(&mut self, seq: MessageSeq, error: &str) -> bool {
        let before = self.unread.take().filter(|unread| unread.seq == seq);
        let reads = before.map_or(0, |unread| unread.reads) + 1;
        tracing::warn!(%seq, reads, error, "a message cannot move on to a newer file of the store");
        let wait = WAIT_MAX.min(WAIT_MIN * 2_u32.saturating_pow(reads - 1));
        self.unread = Some(Unread { seq, reads, again_at: Instant::now() + wait });
        reads < READS_MAX
    }
}
