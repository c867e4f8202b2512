//! The bounded queue of ready frames of one connection, and the writing of it.
//!
//! Not locked here: [`super::Connection`] holds it in a mutex. Writing is non-blocking, so it
//! happens under that lock and keeps the order of frames by itself.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::frame::Frame;
use super::replay::Replay;
use super::sink::Outlet;
use aside::Aside;
pub use aside::PutAside;
use control::Control;

mod aside;
mod control;
mod marked;
mod tally;
#[cfg(test)]
mod tests;
mod writing;

pub(super) use tally::Tally;

/// What bounds an outbox.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) bytes_max: usize,
    pub(super) messages_max: usize,
    pub(super) total_bytes_max: usize,
    /// Bytes in all outboxes of the node.
    pub(super) total_bytes: AtomicUsize,
}

/// What became of an appended frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It waits.
    Queued(Wake),
    /// Volatile, and there was no room.
    Dropped,
    /// Ordinary, and there was no room: the connection must end.
    Overflow,
    /// The outbox takes nothing any more.
    Closed,
}

/// Who has to be told that there is something to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// Nobody: somebody knows already, or there is no way out now.
    Nobody,
    /// The flusher, which is then expected to come.
    Flusher,
    /// The transport's task that pulls.
    Puller,
}

/// What a flush found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left that may be written now.
    Drained,
    /// The socket takes no more.
    Blocked,
    /// The socket is broken.
    Lost,
}

/// What a pulling transport is given.
#[derive(Debug)]
pub enum Pulled {
    /// These frames, in order; at least one.
    Frames(Vec<Arc<Frame>>),
    /// Nothing, and nothing will come.
    Over,
}

#[derive(Default)]
pub(super) struct Outbox {
    outlet: Option<Outlet>,
    waiting: VecDeque<Arc<Frame>>,
    waiting_bytes: usize,
    /// The rest of a frame that the socket has begun to take.
    begun: Option<Bytes>,
    /// The mark of the frame that `begun` is the rest of.
    begun_mark: Option<NonZeroU64>,
    /// Marks that a transport has pulled; written when it comes back for more.
    pulled: Vec<NonZeroU64>,
    news: News,
    /// A marked frame found no room.
    wants_room: bool,
    /// Rare, so an idle connection does not pay for the places.
    control: Option<Box<Control>>,
    replay: Option<Box<Replay>>,
    closing: Option<Closing>,
    /// Where fan-outs wait while a returning client is served.
    aside: Option<Box<Aside>>,
    flusher: Flusher,
    /// A session is in its turn and will flush at the end.
    held: bool,
    /// Something was appended while `held`.
    held_back: bool,
    pub(super) tally: Tally,
    /// Since when no byte could be written although some wait, in milliseconds of the node.
    pub(super) stuck_since_ms: Option<u64>,
}

/// What has happened since somebody asked.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Frames have left, or the outlet has.
    pub(super) changed: bool,
    /// Marked frames that were written completely.
    pub(super) written: Vec<NonZeroU64>,
    /// There is room for a marked frame again.
    pub(super) room: bool,
}

/// Whether the flusher comes in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flusher {
    /// Not unless it is told.
    #[default]
    Away,
    /// It has the connection on its list.
    Listed,
    /// It waits until this outlet's socket takes more.
    Waiting,
}

/// An outbox that takes no more frames.
struct Closing {
    /// The code of the close frame that is still to be written.
    code: Option<u16>,
}

impl Outbox {
    /// Appends unless a bound is reached; gives the frame back then.
    pub(super) fn append(
        &mut self,
        frame: Arc<Frame>,
        bounds: &Bounds,
    ) -> Result<Offered, Arc<Frame>> {
        if self.closing.is_some() {
            return Ok(Offered::Closed);
        }
        if !self.has_room_for(frame.len(), bounds) {
            return Err(frame);
        }
        self.push(frame, bounds);
        Ok(Offered::Queued(self.mark()))
    }

    /// Appends at any price but waiting: at the bound it writes what the socket takes, and if that
    /// is nothing, the frame's class decides.
    pub(super) fn offer(&mut self, frame: Arc<Frame>, bounds: &Bounds) -> Offered {
        if self.aside.is_some() {
            return self.put_aside(frame, bounds);
        }
        let frame = match self.append(frame, bounds) {
            Ok(offered) => return offered,
            Err(frame) => frame,
        };
        let volatile = frame.conflation_key().cloned();
        self.push(frame, bounds);
        let before = self.pending();
        self.flush(bounds);
        if self.pending() != before || self.is_within(bounds) {
            return Offered::Queued(self.mark());
        }
        self.conflate(bounds);
        if self.is_within(bounds) {
            return Offered::Queued(self.mark());
        }
        match volatile {
            Some(_) => {
                self.take_back(bounds);
                Offered::Dropped
            }
            None => Offered::Overflow,
        }
    }

    /// Appends a Close or handshake answer, outside the bounds.
    pub(super) fn append_unbounded(&mut self, frame: Arc<Frame>, bounds: &Bounds) -> Wake {
        if self.closing.is_some() {
            return Wake::Nobody;
        }
        self.push(frame, bounds);
        self.mark()
    }

    /// Takes no more frames; after what waits, a close frame with the code follows.
    pub(super) fn close(&mut self, code: u16) -> Wake {
        if self.closing.is_none() {
            self.closing = Some(Closing { code: Some(code) });
        }
        self.mark()
    }

    /// Throws away what waits and ends with this Close, after the frame that was begun.
    pub(super) fn cut_short(&mut self, close: Arc<Frame>, code: u16, bounds: &Bounds) -> Wake {
        self.clear(bounds);
        self.replay = None;
        self.push(close, bounds);
        self.closing = Some(Closing { code: Some(code) });
        self.mark()
    }

    /// The end: nothing is kept, nothing is written any more.
    pub(super) fn dispose(&mut self, bounds: &Bounds) {
        self.clear(bounds);
        self.waiting = VecDeque::new();
        self.begun = None;
        self.replay = None;
        self.outlet = None;
        self.closing = Some(Closing { code: None });
    }

    /// Attaches the first outlet.
    pub(super) fn attach(&mut self, outlet: Outlet) {
        self.outlet = Some(outlet);
    }

    /// Takes the outlet away; frames wait from now on.
    pub(super) fn detach(&mut self) -> Option<Outlet> {
        // Whoever waits for the old socket does not come for the next one.
        self.flusher = Flusher::Away;
        self.begun = None;
        self.begun_mark = None;
        self.stuck_since_ms = None;
        self.news.changed = true;
        self.outlet.take()
    }

    pub(super) fn outlet(&self) -> Option<&Outlet> {
        self.outlet.as_ref()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether everything is written, the close frame included.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
            && self.begun.is_none()
            && self.closing.as_ref().is_none_or(|closing| closing.code.is_none())
    }

    /// What has happened since the last time this was asked.
    pub(super) fn take_news(&mut self) -> News {
        let mut news = std::mem::take(&mut self.news);
        news.room = news.changed && std::mem::take(&mut self.wants_room);
        news
    }

    /// Whether nothing more will be written: all is, or there is no way out.
    pub(super) fn is_over(&self) -> bool {
        self.is_drained() || self.outlet.is_none()
    }

    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.waiting_bytes)
    }

    fn push(&mut self, frame: Arc<Frame>, bounds: &Bounds) {
        self.waiting_bytes += frame.len();
        bounds.total_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        self.waiting.push_back(frame);
    }

    fn take_back(&mut self, bounds: &Bounds) {
        if let Some(frame) = self.waiting.pop_back() {
            self.give_back(frame.len(), bounds);
        }
    }

    fn clear(&mut self, bounds: &Bounds) {
        self.waiting.clear();
        self.give_back(self.waiting_bytes, bounds);
        self.clear_aside(bounds);
    }

    fn give_back(&mut self, bytes: usize, bounds: &Bounds) {
        self.waiting_bytes -= bytes;
        if bytes > 0 {
            self.news.changed = true;
            bounds.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Of volatile frames with the same key only the newest stays.
    fn conflate(&mut self, bounds: &Bounds) {
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        let mut released = 0;
        while let Some(frame) = self.waiting.pop_back() {
            match frame.conflation_key() {
                Some(key) if !seen.insert(key.clone()) => released += frame.len(),
                Some(_) => kept.push_front(frame),
                None => kept.push_front(frame),
            }
        }
        self.waiting = kept;
        self.give_back(released, bounds);
    }

    /// There is something to write; says who has to be told.
    pub(super) fn mark(&mut self) -> Wake {
        match &self.outlet {
            None => Wake::Nobody,
            Some(Outlet::Pulled) => Wake::Puller,
            Some(Outlet::Direct(_)) if self.held => {
                self.held_back = true;
                Wake::Nobody
            }
            Some(Outlet::Direct(_)) if self.flusher != Flusher::Away => Wake::Nobody,
            Some(Outlet::Direct(_)) => {
                self.flusher = Flusher::Listed;
                Wake::Flusher
            }
        }
    }

    fn pending(&self) -> (usize, usize) {
        (self.waiting.len(), self.begun.as_ref().map_or(0, Bytes::len))
    }

    fn has_room_for(&self, bytes: usize, bounds: &Bounds) -> bool {
        // A frame larger than the bound may wait alone.
        self.waiting.len() < bounds.messages_max
            && (self.waiting.is_empty() || self.waiting_bytes + bytes <= bounds.bytes_max)
            && bounds.total_bytes.load(Ordering::Relaxed) + bytes <= bounds.total_bytes_max
    }

    fn is_within(&self, bounds: &Bounds) -> bool {
        self.waiting.len() <= bounds.messages_max
            && self.waiting_bytes <= bounds.bytes_max
            && bounds.total_bytes.load(Ordering::Relaxed) <= bounds.total_bytes_max
    }
}
