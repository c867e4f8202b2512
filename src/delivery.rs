//! Delivery: one message reaches its audience.
//!
//! Owns: fan-out, membership across nodes, questions to clients; later acks, retries, dead letters.
//! Never knows: which hub speaks, which socket listens, that HTTP exists.
//!
//! A message walks through these files from top to bottom: `outlet` takes it and gives it to the
//! backplane; `fan_out` finds its readers here. `members` keeps who is in which group, and
//! `questions` waits for what single clients answer.

mod config;
mod fan_out;
mod json_event;
mod members;
mod metrics;
mod outlet;
mod questions;

pub use crate::backplane::Reach;
pub use config::{BatchingConfig, Config};
pub use json_event::{BadArguments, event_from_json, event_of_text};
pub use metrics::Metrics;
pub use outlet::{Delivery, DeliveryError};
pub use questions::{Answered, AskError};
