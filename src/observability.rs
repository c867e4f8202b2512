//! Observability: what an operator may see of a running node, without touching it.
//!
//! Owns: the snapshots of connections, the judgement of health, `/health` and `/health/signalr…` in
//! Conduit's shapes.
//! Never knows: how to change anything.
//!
//! `statistics` sums up what `connections` knows, at most once a second and on a thread that nobody
//! else waits for; `engine` asks acknowledged delivery, and `queue` keeps its answer as long;
//! `judgement` makes a status of both; and `routes` answers. What is not known is `null`, never an
//! invented number.
//!
//! Promise: numbers are for everybody, names (connection ids, groups, keys) only for their owner
//! and for an admin; nothing here is slower than its deadline or larger than its limit.

mod access;
mod engine;
mod judgement;
mod listing;
mod queue;
mod routes;
mod shape;
mod statistics;

pub use access::{Access, Gate};
pub use engine::Engine;
pub use judgement::Status;
pub use queue::{QueueProbe, QueueReport};
pub use routes::{Observed, router};
pub use statistics::Statistics;
