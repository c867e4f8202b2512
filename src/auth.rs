//! Auth: a credential becomes a caller with rights.
//!
//! Owns: where credentials stand in a request, virtual keys, service keys, their comparison.
//! Never knows: hubs, transports.

mod authenticator;

pub use authenticator::{Anonymous, Authenticator, Refusal};
