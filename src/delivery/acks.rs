//! Acknowledged delivery: from the store to a client's word, and back into the store.
//!
//! `publishing` hands a message to the store and, when it is durable and its turn has come
//! (`firsts`), to the `courier` of every subscriber that is here (`sending`). What clients say comes in through `session` and changes one
//! pair after another (`answering`); while a client catches up, what is new waits aside (`live`).
//! What ends goes back through the `settler`. The `clock` looks
//! when a pair is due, hands out repeats, and lets time pass in the store.

mod absent;
mod answering;
mod clock;
mod config;
mod courier;
mod desk;
mod engine;
mod firsts;
mod hub;
mod insight;
mod linking;
mod live;
mod looks;
mod message;
mod metrics;
mod office;
mod opening;
mod order;
mod policy;
mod publishing;
mod sending;
mod session;
mod settler;
#[cfg(test)]
mod tests;
mod told;
mod unreadable;

pub(in crate::delivery) use engine::Acks;

pub use config::Config;
pub use engine::EndedSink;
pub use hub::{AckMode, DeliveryOrder, HubAcks};
pub use insight::{Breakers, Destination, Queue};
pub use metrics::Metrics;
pub use opening::{Arrival, Gap};
pub use order::Publisher;
pub use publishing::{AcceptedReceipt, Acknowledged, NotAccepted, OnFirst};
pub use session::{Status, Subscription};
