//! What can be set for one hub.

use std::sync::Arc;
use std::time::Duration;

use super::filter::Filter;
use crate::delivery::{AckMode, DeliveryOrder, HubAcks};
use crate::model::HubName;
use crate::protocol::FieldPlace;

/// The settings of one hub's sessions. Time-outs of connections are in
/// [`crate::connections::Settings`].
#[derive(Clone)]
pub struct HubOptions {
    /// The hub's name, for audiences and logs; not its path.
    pub name: HubName,
    /// The largest message of a client, its delimiter or prefix included. Bounds the handshake, too.
    pub message_bytes_max: usize,
    /// Invocations of one client that run at a time; streams and uploads do not count.
    pub parallel_invocations_max: usize,
    /// Calls of one client that are under way in any form, streams and uploads included.
    pub calls_max: usize,
    /// Whether clients are told types and texts of all errors.
    pub detailed_errors: bool,
    /// Whether a client that negotiated it may resume its connection.
    pub stateful_reconnect: bool,
    /// Items of one upload that wait for the method before reading stops.
    pub upload_buffer_items_max: usize,
    /// How long a client may take to answer a question that has no deadline of its own.
    pub ask_deadline: Duration,
    /// How long `on_connected` and `on_disconnected` may take.
    pub callback_deadline: Duration,
    /// How long calls may go on after their connection has ended, or the server has begun to stop.
    pub call_grace: Duration,
    /// The ways in which clients may acknowledge; the first is for those that do not choose.
    pub acks: Vec<AckMode>,
    /// Where the base fields of a message go on connections that ack by method.
    pub ack_fields: FieldPlace,
    /// What may overtake what among acknowledged messages.
    pub delivery: DeliveryOrder,
    /// Surround every invocation; the first is the outermost.
    pub filters: Vec<Arc<dyn Filter>>,
}

impl HubOptions {
    /// The defaults for a hub of this name.
    pub fn named(name: impl Into<HubName>) -> Self {
        Self {
            name: name.into(),
            message_bytes_max: 32_768,
            parallel_invocations_max: 1,
            calls_max: 1_000,
            detailed_errors: false,
            stateful_reconnect: false,
            upload_buffer_items_max: 10,
            ask_deadline: Duration::from_secs(30),
            callback_deadline: Duration::from_secs(30),
            call_grace: Duration::from_secs(4),
            acks: vec![AckMode::None],
            ack_fields: FieldPlace::default(),
            delivery: DeliveryOrder::default(),
            filters: Vec::new(),
        }
    }

    /// The part that acknowledged delivery follows.
    pub fn hub_acks(&self) -> HubAcks {
        HubAcks { ack_fields: self.ack_fields, order: self.delivery }
    }
}
