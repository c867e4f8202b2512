//! The transports over real sockets, with an endpoint that echoes bytes.

mod cors;
mod negotiate;
mod polling;
mod resume;
mod sse;
mod websocket;
mod world;
