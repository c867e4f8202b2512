//! Frames of fan-outs that wait aside while a returning client is sent what it is owed first.

use std::collections::VecDeque;
use std::num::NonZeroU64;
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

/// What became of a marked frame that was to wait aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutAside {
    /// It waits.
    Waits,
    /// There is no room for it.
    NoRoom,
    /// Nothing waits aside any more.
    Closed,
}

impl Aside {
    fn has_room_for(&self, bytes: usize, bounds: &Bounds) -> bool {
        self.frames.len() < bounds.messages_max
            && (self.frames.is_empty() || self.bytes + bytes <= bounds.bytes_max)
            && bounds.total_bytes.load(Ordering::Relaxed) + bytes <= bounds.total_bytes_max
    }

    fn push(&mut self, frame: Arc<Frame>, bounds: &Bounds) {
        self.bytes += frame.len();
        bounds.total_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        self.frames.push_back(frame);
    }
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
        if aside.has_room_for(frame.len(), bounds) {
            aside.push(frame, bounds);
        } else if frame.conflation_key().is_some() {
            return Offered::Dropped;
        } else {
            aside.lost += 1;
        }
        Offered::Queued(Wake::Nobody)
    }

    /// Puts a marked frame aside, if that is where frames wait now.
    pub(in crate::connections) fn put_marked_aside(
        &mut self,
        frame: &Arc<Frame>,
        bounds: &Bounds,
    ) -> PutAside {
        let Some(aside) = self.aside.as_mut().filter(|_| self.closing.is_none()) else {
            return PutAside::Closed;
        };
        if !aside.has_room_for(frame.len(), bounds) {
            return PutAside::NoRoom;
        }
        aside.push(frame.clone(), bounds);
        PutAside::Waits
    }

    /// Takes marked frames out of what waits aside: the one of that mark, or all. Answers which.
    pub(in crate::connections) fn take_marked_aside(
        &mut self,
        mark: Option<NonZeroU64>,
        bounds: &Bounds,
    ) -> Vec<NonZeroU64> {
        let Some(aside) = &mut self.aside else { return Vec::new() };
        let mut taken = Vec::new();
        let mut bytes = 0;
        aside.frames.retain(|frame| {
            let own = frame.mark().filter(|own| mark.is_none_or(|mark| mark == *own));
            taken.extend(own);
            bytes += if own.is_some() { frame.len() } else { 0 };
            own.is_none()
        });
        aside.bytes -= bytes;
        bounds.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        taken
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
