//! What goes before the queue and outside its bounds: Sequence, pong, Ack and the transport's ping.

use std::num::NonZeroU64;

use bytes::Bytes;

use super::{Outbox, Wake};
use crate::connections::replay::Replay;
use crate::connections::sink::Outlet;

/// One place for each kind; a newer one takes an older one's place.
#[derive(Default)]
pub(super) struct Control {
    sequence: Option<Bytes>,
    pong: Option<Bytes>,
    ack: Option<Bytes>,
    /// The stamp of a ping that is due; see [`crate::connections::Sink::ping_frame`].
    ping: Option<NonZeroU64>,
}

impl Outbox {
    /// Attaches a new socket: Sequence goes first, then all that is unacked (section 5.12).
    pub(in crate::connections) fn resume(
        &mut self,
        outlet: Outlet,
        sequence: impl FnOnce(u64) -> Bytes,
    ) -> bool {
        let Some(replay) = &mut self.replay else { return false };
        replay.rewind();
        let sequence = Some(sequence(replay.first_unacked()));
        // What waited was for the old socket.
        self.control = Some(Box::new(Control { sequence, ..Control::default() }));
        self.begun = None;
        self.begun_mark = None;
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
        self.control().pong = Some(frame);
        self.mark()
    }

    pub(in crate::connections) fn set_ack(&mut self, frame: Bytes) -> Wake {
        self.control().ack = Some(frame);
        self.mark()
    }

    /// A transport ping goes out before the next frame, where the transport has such a thing.
    pub(in crate::connections) fn set_ping(&mut self, stamp: u64) -> Wake {
        if self.closing.is_some() || !matches!(self.outlet, Some(Outlet::Direct(_))) {
            return Wake::Nobody;
        }
        self.control().ping = NonZeroU64::new(stamp);
        self.mark()
    }

    fn control(&mut self) -> &mut Control {
        self.control.get_or_insert_default()
    }

    /// What goes out before the next frame, the most important first.
    pub(super) fn take_control(&mut self) -> Option<Bytes> {
        let Control { sequence, pong, ack, ping } = &mut **self.control.as_mut()?;
        let next = sequence.take().or_else(|| pong.take()).or_else(|| ack.take());
        if next.is_some() {
            return next;
        }
        let stamp = ping.take();
        self.control = None;
        match &self.outlet {
            Some(Outlet::Direct(sink)) => sink.ping_frame(stamp?.get()),
            Some(Outlet::Pulled) | None => None,
        }
    }
}
