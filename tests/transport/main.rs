//! The transports over real sockets, with an endpoint that echoes bytes.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod cors;
mod negotiate;
mod polling;
mod resume;
mod sse;
mod websocket;
mod world;
