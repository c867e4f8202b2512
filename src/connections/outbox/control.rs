//! What goes before the queue and outside its bounds: Sequence, pong, Ack and the transport's ping.

use std::num::NonZeroU64;

use bytes::Bytes;

use super::{Outbox, Wake};
use crate::connections::replay::Replay;
use crate::connections::sink::Outlet;

impl Outbox {
    /// Attaches a new socket: Sequence goes first, then all that is unacked (section 5.12).
    pub(in crate::connections) fn resume(
        &mut self,
        outlet: Outlet,
        sequence: impl FnOnce(u64) -> Bytes,
    ) -> bool {
        let Some(replay) = &mut self.replay else { return false };
        replay.rewind();
        self.sequence = Some(sequence(replay.first_unacked()));
        self.begun = None;
        self.begun_mark = None;
        self.pong = None;
        self.ack = None;
        self.ping = None;
        self.stuck_since_ms = None;
        self.outlet = Some(outlet);
        true
    }

    pub(in crate::connections) fn enable_replay(&mut self, bytes_max: usize) {
        self.replay = Some(Box::new(Replay::new(bytes_max)));
    }

    pub(in crate::connections) fn is_stateful(&self) -> bool {
        self.replay.is_some()
    }

    pub(in crate::connections) fn acked(&mut self, number: u64) -> Wake {
        let Some(replay) = &mut self.replay else { return Wake::Nobody };
        replay.acked(number);
        if self.waiting.is_empty() { Wake::Nobody } else { self.mark() }
    }

    pub(in crate::connections) fn set_pong(&mut self, frame: Bytes) -> Wake {
        // Nothing may follow a close frame (RFC 6455, 5.5.1).
        if self.closing.is_some() {
            return Wake::Nobody;
        }
        self.pong = Some(frame);
        self.mark()
    }

    pub(in crate::connections) fn set_ack(&mut self, frame: Bytes) -> Wake {
        self.ack = Some(frame);
        self.mark()
    }

    /// A transport ping goes out before the next frame, where the transport has such a thing.
    pub(in crate::connections) fn set_ping(&mut self, stamp: u64) -> Wake {
        if self.closing.is_some() || !matches!(self.outlet, Some(Outlet::Direct(_))) {
            return Wake::Nobody;
        }
        self.ping = NonZeroU64::new(stamp);
        self.mark()
    }

    /// What goes out before the next frame, the most important first.
    pub(super) fn take_control(&mut self) -> Option<Bytes> {
        let waits = self.sequence.take().or_else(|| self.pong.take()).or_else(|| self.ack.take());
        waits.or_else(|| self.take_ping())
    }

    fn take_ping(&mut self) -> Option<Bytes> {
        let stamp = self.ping.take()?;
        match &self.outlet {
            Some(Outlet::Direct(sink)) => sink.ping_frame(stamp.get()),
            Some(Outlet::Pulled) | None => None,
        }
    }
}
