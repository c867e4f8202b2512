//! How much has left an outbox, for whoever watches.

use crate::connections::frame::Frame;

/// What has been handed to the transport since the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::connections) struct Tally {
    /// Frames of every kind; each stands for a write that went through.
    pub(in crate::connections) frames: u64,
    /// Messages of types 1 to 5, counted when they leave for the first time.
    pub(in crate::connections) messages: u64,
}

impl Tally {
    pub(super) fn count(&mut self, frame: &Frame) {
        self.frames += 1;
        self.messages += u64::from(frame.is_tracked());
    }
}
