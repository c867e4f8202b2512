//! Publish: the back end's HTTP door, and the operators'.
//!
//! Owns: `/api/v1/…`, `/api/broadcast` and Conduit's routes of the queue: who may publish, what a
//! message must look like, how an error is told (RFC 9457), how much one tenant may ask; what became
//! of messages, as their publishers ask (receipts) and are told (webhooks); dead letters and
//! breakers, for operators.
//! Never knows: connections, Redis, the store, which clients there are, what a hub means.
//!
//! A request walks through these files from top to bottom: `access` asks for the key and counts the
//! tenant's requests, `body` reads what may be read, `message` checks it, `messages`, `batch`,
//! `members`, `tasks` and `broadcast` do what was asked, `receipts` and `admin` answer what became of
//! it, and `problem` says what is wrong. `webhook` calls by itself.
//!
//! Promise: 202 means that delivery has taken the message; for an acknowledged one, that it is kept
//! as its `mode` says. Arguments are never parsed into a tree.

mod access;
mod audience;
mod body;
mod fields;
mod message;

mod batch;
mod broadcast;
mod members;
mod messages;
mod tasks;

mod admin;
mod conduit;
mod receipts;
mod shapes;

mod not_accepted;
mod problem;

mod webhook;

mod config;
mod door;
mod metrics;
mod router;

pub use config::Config;
pub use door::Door;
pub use messages::Observer;
pub use metrics::Metrics;
pub use problem::Problem;
pub use router::{Publish, router};
pub use tasks::TaskRegister;
pub use webhook::{WebhookMetrics, Webhooks};
