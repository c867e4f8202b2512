//! The back office, as back ends and operators see it: the router in front of a delivery that keeps.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod command_line;
mod conduit;
mod dead_letters;
mod publishing;
mod webhooks;
mod world;
