//! Publish: the back end's HTTP door.
//!
//! Owns: `/api/v1/…` and `/api/broadcast`: who may publish, what a message must look like, how an
//! error is told (RFC 9457), and how much one tenant may ask.
//! Never knows: connections, Redis, which clients there are, what a hub means.
//!
//! A request walks through these files from top to bottom: `access` asks for the key and counts the
//! tenant's requests, `body` reads what may be read, `message` checks it, `messages`, `members`,
//! `tasks` and `broadcast` do what was asked, and `problem` says what is wrong.
//!
//! Promise: 202 means that delivery has taken the message. Arguments are never parsed into a tree.

mod access;
mod audience;
mod body;
mod broadcast;
mod fields;
mod members;
mod message;
mod messages;
mod problem;
mod tasks;

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
