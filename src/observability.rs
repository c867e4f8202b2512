//! Observability: what an operator may see of a running node, without touching it.
//!
//! Owns: the snapshots of connections, the judgement of health, `/health` and `/health/signalr…` in
//! Conduit's shapes.
//! Never knows: how to change anything.
//!
//! `statistics` sums up what `connections` knows, at most once a second; `queue` is what the engine
//! of acknowledged delivery tells through a [`QueueProbe`]; `judgement` makes a status of both; and
//! `routes` answers. What nobody provides is `null`, never an invented number.
//!
//! Promise: numbers are for everybody, names (connection ids, groups, keys) only for their owner
//! and for an admin; nothing here is slower than its deadline or larger than its limit.

mod access;
mod judgement;
mod listing;
mod queue;
mod routes;
mod shape;
mod statistics;

pub use access::{Access, Gate};
pub use judgement::Status;
pub use queue::{Breakers, CircuitState, QueueProbe, QueueReport};
pub use routes::{Observed, router};
pub use statistics::Statistics;
