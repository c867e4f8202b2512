//! The limits of connections, for the node and for each hub.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

/// What one node allows (`connections` in the configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes that may wait in one outbox. 1 MiB holds the largest publishable message once.
    pub outbox_bytes_max: usize,
    /// Frames that may wait in one outbox.
    pub outbox_messages_max: usize,
    /// Bytes that may wait in all outboxes of the node.
    pub outbox_bytes_total_max: usize,
    /// Connections without a socket that may wait for their client's return.
    pub parked_max: usize,
    /// The same for one caller: a user id, or the peer address without one.
    pub parked_per_caller_max: usize,
    /// Groups one connection may be in.
    pub groups_per_connection_max: usize,
    /// A connection of which nothing was received for so long is stale.
    pub stale_after_ms: u64,
    /// How often stale connections are looked for, asked, and closed when they cannot answer.
    pub stale_sweep_ms: u64,
    /// How often the round trip of a WebSocket is measured; 0: never.
    pub round_trip_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbox_bytes_max: 1_048_576,
            outbox_messages_max: 8_192,
            outbox_bytes_total_max: 268_435_456,
            parked_max: 10_000,
            parked_per_caller_max: 16,
            groups_per_connection_max: 1_000,
            stale_after_ms: 3_600_000,
            stale_sweep_ms: 300_000,
            round_trip_ms: 60_000,
        }
    }
}

impl Config {
    /// Silence that makes a connection stale.
    pub fn stale_after(&self) -> Duration {
        Duration::from_millis(self.stale_after_ms)
    }

    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        let mut within = |name: &str, value: usize, min: usize, max: usize| {
            found.extend(BadSetting::outside(format!("connections.{name}"), value, min..=max));
        };
        let total = self.outbox_bytes_total_max;
        within("outbox_bytes_total_max", total, 65_536, 1 << 40);
        // One outbox cannot hold more than all of them.
        within("outbox_bytes_max", self.outbox_bytes_max, 1_024, total.max(1_024));
        within("outbox_messages_max", self.outbox_messages_max, 8, 1_000_000);
        within("parked_max", self.parked_max, 0, 1_000_000);
        within("parked_per_caller_max", self.parked_per_caller_max, 0, 1_000_000);
        within("groups_per_connection_max", self.groups_per_connection_max, 1, 100_000);
        // The monitor looks once a second.
        let mut times = |name: &str, value: u64, min: u64, max: u64| {
            found.extend(BadSetting::outside(format!("connections.{name}"), value, min..=max));
        };
        times("stale_after_ms", self.stale_after_ms, 1_000, 7 * 86_400_000);
        times("stale_sweep_ms", self.stale_sweep_ms, 1_000, 86_400_000);
        times("round_trip_ms", self.round_trip_ms, 0, 86_400_000);
        found
    }
}

/// What holds for every connection of one hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between two pings to the client (section 5.8).
    pub keep_alive: Duration,
    /// Silence after a client's first ping that ends the connection.
    pub client_timeout: Duration,
    /// From the opening to a complete handshake request.
    pub handshake_timeout: Duration,
    /// A single write that makes no progress for so long loses the transport (section 2.5).
    pub send_timeout: Duration,
    /// How long a lost stateful connection, or one between two polls, waits for its client.
    pub disconnect_timeout: Duration,
    /// From our close to the end of the socket, whatever the client does.
    pub close_timeout: Duration,
    /// Unacked bytes after which a stateful connection is sent nothing until an Ack (soft).
    pub stateful_buffer_bytes: usize,
    /// Whether the end of the caller's credential ends the connection.
    pub close_on_expiry: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            client_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(15),
            send_timeout: Duration::from_secs(10),
            disconnect_timeout: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
            stateful_buffer_bytes: 100_000,
            close_on_expiry: false,
        }
    }
}
