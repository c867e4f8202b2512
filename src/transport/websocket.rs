//! WebSockets: the socket taken back from HTTP, read frame by frame, written by the flusher.

mod frames;
mod handshake;
mod socket;
mod source;
mod upgrade;

pub use frames::{Fed, FrameReader, Violation, close_frame};
pub(super) use upgrade::{is_upgrade, open};
