//! Delivery: one message reaches its audience.
//!
//! Owns: fan-out, membership across nodes, questions to clients; later acks, retries, dead letters.
//! Never knows: which hub speaks, which socket listens, that HTTP exists.
//!
//! A message walks through these files from top to bottom: `outlet` takes it and gives it to the
//! backplane; `fan_out` finds its readers here. `members` keeps who is in which group, and
//! `questions` waits for what single clients answer.

mod acks;
mod breaker;
mod fan_out;
mod json_event;
mod lanes;
mod members;
mod metrics;
mod outlet;
mod pair;
mod questions;

pub use crate::backplane::Reach;
pub use acks::{
    AcceptedReceipt, AckMode, Acknowledged, Breakers, Config, DeliveryOrder, Destination,
    EndedSink, HubAcks, Metrics as AckMetrics, NotAccepted, Publisher, Queue, Status, Subscription,
};
pub use breaker::{Breaker, BreakerLimits, BreakerState, Force, Permit};
pub use json_event::{BadArguments, event_from_json, event_of_text};
pub use metrics::Metrics;
pub use outlet::{Delivery, DeliveryError, Keeping};
pub use questions::{Answered, AskError};

/// What the store says about messages, for the rooms above, which do not know the store.
pub use crate::store::{
    Attempt, BadRequeue, Counts, DeadFilter, DeadKey, DeadLetter, DeadPage, Encoding, Ended,
    Health, Identity, MessageSeq, Mode, Moment, PairReceipt, PairStatus, Reason, Receipt, Refusal,
    RefusedBy, Requeued, Stats, StoreError, SubscriberId, Target,
};
