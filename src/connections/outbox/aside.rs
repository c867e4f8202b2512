//! Frames of fan-outs that wait aside while a returning client is sent what it is owed first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Bounds, Offered, Outbox, Wake};
use crate::connections::frame::Frame;

/// What waits aside, within the same bounds as the outbox itself.
#[derive(Default)]
pub(super) struct Aside {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// Ordinary frames for which there was no room.
    lost: u64,
}

impl Outbox {
    /// Fan-outs wait aside from now on.
    pub(in crate::connections) fn open_aside(&mut self) {
        self.aside.get_or_insert_default();
    }

    /// Where a frame of a fan-out goes while a returning client is served. It never waits, and it
    /// ends nobody's connection: what was lost is told to the client.
    pub(super) fn put_aside(&mut self, frame: Arc<Frame>, bounds: &Bounds) -> Offered {
        let Some(aside) = &mut self.aside else { return Offered::Closed };
        if self.closing.is_some() {
            return Offered::Closed;
        }
        let bytes = frame.len();
        let has_room = aside.frames.len() < bounds.messages_max
            && (aside.frames.is_empty() || aside.bytes + bytes <= bounds.bytes_max)
            && bounds.total_bytes.load(Ordering::Relaxed) + bytes <= bounds.total_bytes_max;
        if has_room {
            aside.bytes += bytes;
            bounds.total_bytes.fetch_add(bytes, Ordering::Relaxed);
            aside.frames.push_back(frame);
        } else if frame.conflation_key().is_some() {
            return Offered::Dropped;
        } else {
            aside.lost += 1;
        }
        Offered::Queued(Wake::Nobody)
    }

    /// The next frame that waits aside. When there is none the outbox is as it was before, and the
    /// answer is how many frames were lost.
    pub(in crate::connections) fn take_aside(
        &mut self,
        bounds: &Bounds,
    ) -> Result<Arc<Frame>, u64> {
        let Some(aside) = &mut self.aside else { return Err(0) };
        let Some(frame) = aside.frames.pop_front() else {
            let lost = aside.lost;
            self.aside = None;
            return Err(lost);
        };
        aside.bytes -= frame.len();
        bounds.total_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Ok(frame)
    }

    /// Nothing waits aside any more.
    pub(super) fn clear_aside(&mut self, bounds: &Bounds) {
        if let Some(aside) = self.aside.take() {
            bounds.total_bytes.fetch_sub(aside.bytes, Ordering::Relaxed);
        }
    }
}
