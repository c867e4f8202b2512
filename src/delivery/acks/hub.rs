//! What one hub wants of acknowledged delivery.

use serde::{Deserialize, Serialize};

use crate::protocol::FieldPlace;

/// How one connection says that it has a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckMode {
    /// It does not: written to the transport counts as delivered, unconfirmed.
    #[default]
    None,
    /// By calling a hub method.
    Method,
    /// By the result of its handler: events are invocations with an id (decision D3).
    Result,
}

impl AckMode {
    /// Its name in configurations and queries.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Method => "method",
            Self::Result => "result",
        }
    }

    /// The mode of that name, as `?acks=` gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Method, Self::Result].into_iter().find(|mode| mode.name() == name)
    }
}

/// What may overtake what on a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOrder {
    /// First deliveries are in order, repeats hold nobody back.
    #[default]
    #[serde(rename = "ordered")]
    First,
    /// A message waits until the one before it of the same ordering key has settled.
    Strict,
}

/// The settings of one hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubAcks {
    /// Where the base fields go on connections that ack by method.
    pub ack_fields: FieldPlace,
    /// What may overtake what.
    pub order: DeliveryOrder,
}
