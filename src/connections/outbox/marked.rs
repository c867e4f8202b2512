//! Frames whose writing somebody waits for, and transports that pull.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::{Bounds, Offered, Outbox, Pulled, Wake};
use crate::connections::frame::Frame;

impl Outbox {
    /// Appends a marked frame, writing first what the socket takes. None: there is no room, and
    /// [`News::room`] will say when there may be.
    pub(in crate::connections) fn give(
        &mut self,
        frame: &Arc<Frame>,
        bounds: &Bounds,
    ) -> (Option<Offered>, Wake) {
        let mut appended = self.append(frame.clone(), bounds);
        if appended.is_err() {
            self.flush(bounds);
            appended = self.append(frame.clone(), bounds);
        }
        match appended {
            Ok(Offered::Queued(wake)) => (Some(Offered::Queued(wake)), wake),
            Ok(offered) => (Some(offered), Wake::Nobody),
            Err(_full) => {
                self.wants_room = true;
                // Whoever comes for the news of that flush comes again when there is room.
                let wake = if self.news.changed { self.mark() } else { Wake::Nobody };
                (None, wake)
            }
        }
    }

    /// Whether a copy of the marked frame waits, or may be replayed.
    pub(in crate::connections) fn holds(&self, mark: NonZeroU64) -> bool {
        let is = |frame: &Arc<Frame>| frame.mark() == Some(mark);
        self.begun_mark == Some(mark)
            || self.pulled.contains(&mark)
            || self.waiting.iter().any(is)
            || self.replay.as_ref().is_some_and(|replay| replay.kept().any(is))
    }

    /// The transport that pulls has come back: what it was given before is written.
    pub(in crate::connections) fn pulled_is_written(&mut self) {
        self.news.written.append(&mut self.pulled);
    }

    /// Everything that waits, for a transport that pulls. At least one frame, then up to `bytes_max`.
    pub(in crate::connections) fn pull(
        &mut self,
        bytes_max: usize,
        bounds: &Bounds,
    ) -> Option<Pulled> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(frame) = self.waiting.front() {
            if !taken.is_empty() && bytes + frame.len() > bytes_max {
                break;
            }
            bytes += frame.len();
            self.pulled.extend(frame.mark());
            self.tally.count(frame);
            taken.extend(self.waiting.pop_front());
        }
        self.stuck_since_ms = None;
        if taken.is_empty() {
            let closing = self.closing.as_mut()?;
            closing.code = None;
            self.news.changed = true;
            return Some(Pulled::Over);
        }
        self.give_back(bytes, bounds);
        Some(Pulled::Frames(taken))
    }
}
