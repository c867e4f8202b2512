//! Auth: a credential becomes a caller with rights.
//!
//! Owns: where credentials stand in a request, virtual keys, service keys, their comparison.
//! Never knows: hubs, transports.

mod authenticator;
mod peer;

pub use authenticator::{Anonymous, Authenticator, Refusal};
pub use peer::PeerAddr;
