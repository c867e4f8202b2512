//! Delivery: one message reaches its audience.
//!
//! Owns: fan-out, membership across nodes, questions to clients; acknowledged delivery with its
//! retries, breakers and order.
//! Never knows: which hub speaks, which socket listens, that HTTP exists.
//!
//! A message walks through these files from top to bottom: `outlet` takes it and gives it to the
//! backplane; `fan_out` finds its readers here. `members` keeps who is in which group, and
//! `questions` waits for what single clients answer. An acknowledged message goes through `acks`
//! instead; `pair`, `breaker` and `lanes` are the pure parts of that.

mod acks;
mod batching;
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
// What the rooms above say to the store, they say through here.
pub use crate::store::{
    Attempt, BadClientId, BadRequeue, ClientKey, Counts, DeadFilter, DeadKey, DeadLetter, DeadPage,
    Death, DeathKey, Encoding, Ended, Health as StoreHealth, Identity, MessageSeq,
    Mode as StoreMode, Moment, PairReceipt, PairStatus, Reason, Receipt, Refusal, RefusedBy,
    Requeued, SessionKey, Stats, StoreError, SubscriberId, Target, Totals, WholeLetter,
};
pub use acks::{
    AcceptedReceipt, AckMode, Acknowledged, Arrival, Breakers, Config, DeliveryOrder, Destination,
    EndedSink, Gap, HubAcks, Metrics as AckMetrics, NotAccepted, OnFirst, Publisher, Queue, Status,
    Subscription,
};
pub use batching::BatchingConfig;
pub use breaker::{Breaker, BreakerLimits, BreakerState, Force, Permit};
pub use json_event::{BadArguments, event_from_json, event_of_text};
pub use metrics::Metrics;
pub use outlet::{Delivery, DeliveryError, Keeping};
pub use questions::{Answered, AskError};
