//! What the room promises, with clients in memory and a paused clock.

mod ack_methods;
mod ack_results;
mod calls;
mod endings;
mod filters;
pub(super) mod hub;
mod panics;
mod questions;
mod sessions;
mod stateful;
mod streams;
mod uploads;
mod visits;
