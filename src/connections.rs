//! Connections: who is here, in which groups, and what still has to be written to them.
//!
//! Owns: the registry and its groups, outboxes and the flusher, stateful replay, the monitor of the
//! quiet and the slow, and the two ends of a [`Pipe`].
//! Never knows: HTTP, Redis, hubs, what a socket is.
//!
//! A transport opens a connection with [`Connections::open`], gives the [`Pipe`] to an
//! [`Endpoint`] and keeps a [`Source`] and a [`Sink`] behind it. Fan-out appends [`Frame`]s to
//! outboxes and marks them dirty; the `flusher` writes each dirty outbox once a turn.
//!
//! Promise: appending never waits for a socket, and nobody's slowness costs anybody else.

mod activity;
mod config;
mod connection;
mod end;
mod facts;
mod flusher;
mod frame;
mod metrics;
mod monitor;
mod node;
mod outbox;
mod parking;
mod pipe;
mod registry;
mod replay;
mod sink;
mod stale;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;

pub use config::{Config, Settings};
pub use connection::{Connection, Given, NewConnection, NotResumable, SendError};
pub use end::End;
pub use facts::Facts;
pub use frame::Frame;
pub use metrics::Metrics;
pub use node::Connections;
pub use outbox::{Pulled, PutAside};
pub use pipe::{Pipe, Read};
pub use registry::{GroupFull, Registry};
pub use sink::{Endpoint, Inbound, Opening, Outlet, Sink, Source, Witness};
