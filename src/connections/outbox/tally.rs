//! How much has left an outbox, for whoever watches.

use crate::connections::frame::Frame;

/// What has been handed to the transport since somebody took note of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::connections) struct Tally {
    /// A frame of any kind: a write went through.
    pub(in crate::connections) wrote: bool,
    /// Messages of types 1 to 5, counted when they leave for the first time.
    pub(in crate::connections) messages: u32,
}

impl Tally {
    pub(super) fn count(&mut self, frame: &Frame) {
        self.wrote = true;
        // Notes are taken after each turn, and no outbox holds so many frames.
        self.messages = self.messages.saturating_add(u32::from(frame.is_tracked()));
    }
}
