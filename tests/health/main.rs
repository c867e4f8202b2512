//! What the routes of health show, and to whom.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod connections;
mod queue;
mod world;
