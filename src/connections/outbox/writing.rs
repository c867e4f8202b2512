//! Writing an outbox to its socket, without ever waiting for it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use bytes::Buf;
use smallvec::SmallVec;

use super::{Bounds, Flushed, Flusher, Outbox, Wake};
use crate::connections::frame::Frame;
use crate::connections::sink::{Outlet, Sink};

/// Frames of one vectored write. Linux takes up to 1024; beyond some tens the call's cost is spread.
const SLICES_MAX: usize = 64;
/// Queues that grew beyond this many places give their memory back when they are empty.
const KEPT_CAPACITY_MAX: usize = 128;

impl Outbox {
    /// The flusher has come: because of its list, or because `waited_for` takes more. When the
    /// socket is full it is returned, and the flusher has to come again when it takes more.
    pub(in crate::connections) fn flush_queued(
        &mut self,
        waited_for: Option<&Arc<dyn Sink>>,
        bounds: &Bounds,
    ) -> (Flushed, Option<Arc<dyn Sink>>) {
        let is_expected = match (waited_for, &self.outlet) {
            // A list may still name it after a change of sockets; the wait is enough.
            (None, _) => self.flusher != Flusher::Waiting,
            (Some(sink), Some(Outlet::Direct(own))) => Arc::ptr_eq(sink, own),
            (Some(_), _) => false,
        };
        if !is_expected {
            return (Flushed::Drained, None);
        }
        self.flusher = Flusher::Away;
        let flushed = self.flush(bounds);
        match &self.outlet {
            Some(Outlet::Direct(sink)) if flushed == Flushed::Blocked => {
                self.flusher = Flusher::Waiting;
                (flushed, Some(sink.clone()))
            }
            _ => (flushed, None),
        }
    }

    /// A session's turn begins: what it appends is written at its end.
    pub(in crate::connections) fn hold(&mut self) {
        self.held = true;
    }

    /// A session's turn ends, or it is about to wait for room.
    pub(in crate::connections) fn release(&mut self, bounds: &Bounds) -> (Flushed, Wake) {
        self.held = false;
        if !std::mem::take(&mut self.held_back) || self.flusher != Flusher::Away {
            return (Flushed::Drained, Wake::Nobody);
        }
        let flushed = self.flush(bounds);
        let wake = if flushed == Flushed::Blocked { self.mark() } else { Wake::Nobody };
        (flushed, wake)
    }

    /// Writes until the socket takes no more or nothing may be written.
    pub(in crate::connections) fn flush(&mut self, bounds: &Bounds) -> Flushed {
        let mut flushed = Flushed::Drained;
        while let Some(outcome) = self.write_once(bounds) {
            match outcome {
                Ok(true) => {}
                Ok(false) => {
                    flushed = Flushed::Blocked;
                    break;
                }
                Err(()) => {
                    flushed = Flushed::Lost;
                    break;
                }
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY_MAX {
            self.waiting = VecDeque::new();
        }
        if flushed == Flushed::Lost {
            self.detach();
        }
        flushed
    }

    /// One vectored write. None when there is nothing to write; `Ok(false)` when the socket is full.
    fn write_once(&mut self, bounds: &Bounds) -> Option<Result<bool, ()>> {
        if self.begun.is_none() {
            self.begun = self.take_control();
        }
        let Some((outcome, total)) = self.write_slices() else {
            let Some(Outlet::Direct(sink)) = &self.outlet else { return None };
            let code = self.closing.as_mut()?.code.take()?;
            self.begun = Some(sink.close_frame(code));
            return Some(Ok(true));
        };
        match outcome {
            Ok(written) => {
                self.advance(written, bounds);
                self.stuck_since_ms = None;
                Some(Ok(written == total))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(Ok(false)),
            Err(error) if error.kind() == ErrorKind::Interrupted => Some(Ok(true)),
            Err(_) => Some(Err(())),
        }
    }

    /// Shows the sink what may be written, in order, and says how many bytes that was.
    fn write_slices(&self) -> Option<(io::Result<usize>, usize)> {
        let Some(Outlet::Direct(sink)) = &self.outlet else { return None };
        let mut slices: SmallVec<[IoSlice<'_>; SLICES_MAX]> = SmallVec::new();
        let mut total = 0;
        if let Some(begun) = &self.begun {
            slices.push(IoSlice::new(begun));
            total += begun.len();
        }
        for frame in self.sendable().take(SLICES_MAX - slices.len()) {
            slices.push(IoSlice::new(frame.encoded().frame()));
            total += frame.len();
        }
        (!slices.is_empty()).then(|| (sink.try_write(&slices), total))
    }

    /// Frames that may go out now, in order: first those to be sent again, then waiting ones while
    /// the unacked bytes are within their limit.
    fn sendable(&self) -> impl Iterator<Item = &Arc<Frame>> {
        let mut allowance = match &self.replay {
            Some(replay) if self.closing.is_none() => replay.allowance(),
            _ => Some(usize::MAX),
        };
        let fresh = self.waiting.iter().take_while(move |frame| match allowance {
            Some(left) => {
                allowance = left.checked_sub(frame.len());
                true
            }
            None => false,
        });
        self.replay.iter().flat_map(|replay| replay.to_resend()).chain(fresh)
    }

    /// The socket took `written` bytes of what [`Outbox::write_once`] showed it.
    fn advance(&mut self, mut written: usize, bounds: &Bounds) {
        self.news.changed = true;
        if let Some(begun) = &mut self.begun {
            if written < begun.len() {
                begun.advance(written);
                return;
            }
            written -= begun.len();
            self.begun = None;
            self.news.written.extend(self.begun_mark.take());
            self.tally.wrote = true;
        }
        let mut released = 0;
        while written > 0 {
            let again = self.replay.as_mut().and_then(|replay| replay.resent());
            let frame = match again {
                Some(frame) => frame,
                None => {
                    let Some(frame) = self.waiting.pop_front() else { break };
                    released += frame.len();
                    self.tally.count(&frame);
                    if let Some(replay) = &mut self.replay
                        && frame.is_tracked()
                    {
                        replay.sent(frame.clone());
                    }
                    frame
                }
            };
            if written < frame.len() {
                self.begun = Some(frame.encoded().frame().slice(written..));
                self.begun_mark = frame.mark();
                break;
            }
            self.news.written.extend(frame.mark());
            written -= frame.len();
        }
        self.give_back(released, bounds);
    }
}
