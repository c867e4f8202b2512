//! Old files go: what is still needed of the oldest is said again, a little with each batch.

use std::time::SystemTime;

use super::Writer;
use crate::store::config::bytes_of_mib;
use crate::store::ledger::{AtHome, SegmentNumber};
use crate::store::log::content_at;
use crate::store::names::Moment;

/// Messages and keys looked at after one batch.
const LOOK_MAX: usize = 8_192;
/// Bytes said again with one batch: about a millisecond of a slow disk.
const AGAIN_BYTES_MAX: usize = 262_144;

impl Writer {
    /// Takes the oldest file a step nearer to its end, and removes it when nothing in it is needed.
    pub(super) fn clean(&mut self) {
        if self.trouble.is_some() {
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
    fn say_again(&self, tail: SegmentNumber) -> bool {
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
                    let content = file.and_then(|file| content_at(&*file, place));
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
}
