//! What one hub wants of acknowledged delivery.

use serde::Deserialize;

use crate::protocol::FieldPlace;

/// How one connection says that it has a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
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
    /// The mode of that name, as `?acks=` gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "method" => Some(Self::Method),
            "result" => Some(Self::Result),
            _ => None,
        }
    }
}

/// What may overtake what on a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOrder {
    /// First deliveries are in order, repeats hold nobody back.
    #[default]
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
