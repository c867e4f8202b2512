//! One ready frame, shared by every outbox that holds it.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::protocol::Encoded;

/// What an outbox queues: an encoded message and what may be done with it.
#[derive(Debug)]
pub struct Frame {
    encoded: Encoded,
    /// Stateful reconnect numbers it and replays it (types 1 to 5).
    tracked: bool,
    /// Set for volatile events: a newer frame with the same key may take its place.
    conflation_key: Option<Arc<str>>,
    /// Set when somebody wants to know that it was written.
    mark: Option<NonZeroU64>,
}

impl Frame {
    /// A message of types 1 to 5 whose place in the order is kept.
    pub fn ordered(encoded: Encoded) -> Arc<Self> {
        Arc::new(Self { encoded, tracked: true, conflation_key: None, mark: None })
    }

    /// A volatile event.
    pub fn volatile(encoded: Encoded, conflation_key: Arc<str>) -> Arc<Self> {
        Arc::new(Self { encoded, tracked: true, conflation_key: Some(conflation_key), mark: None })
    }

    /// An event whose [`super::Witness`] is told when it was written. One mark is in an outbox, or
    /// waits to be replayed, at most once.
    pub fn marked(encoded: Encoded, mark: NonZeroU64) -> Arc<Self> {
        Arc::new(Self { encoded, tracked: true, conflation_key: None, mark: Some(mark) })
    }

    /// A handshake answer, ping or Close.
    pub fn untracked(encoded: Encoded) -> Arc<Self> {
        Arc::new(Self { encoded, tracked: false, conflation_key: None, mark: None })
    }

    /// The message.
    pub fn encoded(&self) -> &Encoded {
        &self.encoded
    }

    /// What it counts in an outbox, in bytes.
    pub fn len(&self) -> usize {
        self.encoded.frame().len()
    }

    /// Never: a frame has a header at least. Clippy wants it beside `len`.
    pub fn is_empty(&self) -> bool {
        false
    }

    pub(super) fn mark(&self) -> Option<NonZeroU64> {
        self.mark
    }

    pub(super) fn is_tracked(&self) -> bool {
        self.tracked
    }

    pub(super) fn conflation_key(&self) -> Option<&Arc<str>> {
        self.conflation_key.as_ref()
    }
}
