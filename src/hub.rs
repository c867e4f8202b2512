//! Hub: one client's conversation, and what a hub's author writes.
//!
//! Owns: the [`Hub`] trait, the session with one client (handshake, invocations, streams, uploads,
//! client results, acks, stateful counting, last words), filters around every invocation.
//! Never knows: sockets, Redis, HTTP, the product.
//!
//! An author reads `definition`, `methods`, `context` and `clients`. A message walks through
//! `host` → `greeting` → `session` → `dispatch` → `call` (filters) → the method of `handler`, and
//! its answer goes into the connection's outbox. `farewell` has the last words. Who a client is
//! across its connections says `arrival`; `returning` gives it back what it had, and `ack_methods`
//! hears what it says about messages.
//!
//! Promise: one client's messages are handled strictly in order, in one task; every event that a
//! method sends on this node is queued before its completion; every wait ends.

pub mod bench;
pub mod catalogue;

mod ack_methods;
mod argument;
mod arrival;
mod call;
mod clients;
mod context;
mod counting;
mod definition;
mod desk;
mod dispatch;
mod error;
mod farewell;
mod filter;
mod greeting;
mod handler;
mod host;
mod methods;
mod metrics;
mod options;
mod query;
mod question;
mod recipients;
mod returning;
mod running;
mod seat;
mod session;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_support;
mod upload;
mod visit;

pub use argument::{Argument, Inputs};
pub use call::{Call, Reply};
pub use clients::{CallerClients, Client, Clients, Groups, HubContext};
pub use context::Context;
pub use definition::Hub;
pub use error::{CallError, HubError, HubResult};
pub use filter::{Filter, Next};
pub use handler::Handler;
pub use host::HubHost;
pub use methods::{Method, Methods};
pub use metrics::Metrics;
pub use options::HubOptions;
pub use question::AskFailed;
pub use recipients::Recipients;
pub use upload::Upload;
