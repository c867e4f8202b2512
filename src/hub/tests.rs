//! What the room promises, with clients in memory and a paused clock.

mod calls;
mod endings;
mod filters;
pub(super) mod hub;
mod questions;
mod stateful;
mod streams;
mod uploads;
mod visits;
