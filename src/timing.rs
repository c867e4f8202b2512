//! Timing: the pure arithmetic of waiting.
//!
//! Owns: backoff. Later: token buckets.
//! Never knows: tokio, clocks, where randomness comes from.

mod backoff;

pub use backoff::Backoff;
