//! The limits of sockets and tokens, and which transports a hub speaks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::model::TransportKind;

/// What this node allows its clients' sockets (`transport` in the configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From a socket's opening, or the last answer on it, to a complete request head.
    pub header_read_timeout_ms: u64,
    /// Without a new byte of a request body for so long the request is given up.
    pub body_read_timeout_ms: u64,
    /// An HTTP answer that the client does not take for so long loses its socket (section 2.5).
    pub send_timeout_ms: u64,
    /// Kernel send buffer of each socket; bounds what a slow reader costs besides its outbox.
    pub send_buffer_bytes: usize,
    /// Bytes the peer's kernel does not acknowledge, or that it has no window for, end the socket
    /// after this (Linux: TCP_USER_TIMEOUT). 0 leaves it to the kernel, about a quarter of an hour.
    pub unacked_timeout_ms: u64,
    /// A long poll with nothing to say is answered after this.
    pub poll_timeout_ms: u64,
    /// A negotiated id that no transport attaches to is forgotten after this.
    pub unattached_timeout_ms: u64,
    /// Negotiated ids that may wait for their transport.
    pub unattached_max: usize,
    /// Bytes POSTed to ids without a transport, in all; each may hold 64 KiB.
    pub unattached_bytes_max: usize,
    /// Sockets that may be open, upgraded ones included; and connections that may be open when one
    /// more wants to poll, which holds no socket between its polls.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header_read_timeout_ms: 10_000,
            body_read_timeout_ms: 30_000,
            send_timeout_ms: 10_000,
            send_buffer_bytes: 262_144,
            unacked_timeout_ms: 60_000,
            poll_timeout_ms: 90_000,
            unattached_timeout_ms: 15_000,
            unattached_max: 100_000,
            unattached_bytes_max: 16_777_216,
            connections_max: 100_000,
        }
    }
}

impl Config {
    /// The first key that cannot work, by its name.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("header_read_timeout_ms", self.header_read_timeout_ms),
            ("body_read_timeout_ms", self.body_read_timeout_ms),
            ("send_timeout_ms", self.send_timeout_ms),
            ("poll_timeout_ms", self.poll_timeout_ms),
            ("unattached_timeout_ms", self.unattached_timeout_ms),
            ("send_buffer_bytes", self.send_buffer_bytes as u64),
            ("unattached_max", self.unattached_max as u64),
            ("unattached_bytes_max", self.unattached_bytes_max as u64),
            ("connections_max", self.connections_max as u64),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("transport.{name} must be at least 1")),
            None if !Self::is_patience(self.unacked_timeout_ms) => {
                Err("transport.unacked_timeout_ms must be 0, or from 1000 to 3600000".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Shorter than a second a good link does not live through its first lost packet.
    fn is_patience(ms: u64) -> bool {
        ms == 0 || (1_000..=3_600_000).contains(&ms)
    }

    /// None: the kernel's own.
    pub(super) fn unacked_timeout(&self) -> Option<Duration> {
        (self.unacked_timeout_ms != 0).then(|| Duration::from_millis(self.unacked_timeout_ms))
    }

    pub(super) fn header_read_timeout(&self) -> Duration {
        Duration::from_millis(self.header_read_timeout_ms)
    }

    pub(super) fn body_read_timeout(&self) -> Duration {
        Duration::from_millis(self.body_read_timeout_ms)
    }

    pub(super) fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send_timeout_ms)
    }

    pub(super) fn poll_timeout(&self) -> Duration {
        Duration::from_millis(self.poll_timeout_ms)
    }

    pub(super) fn unattached_timeout(&self) -> Duration {
        Duration::from_millis(self.unattached_timeout_ms)
    }
}

/// Its place in a set.
fn bit(kind: TransportKind) -> u8 {
    match kind {
        TransportKind::WebSockets => 1,
        TransportKind::ServerSentEvents => 2,
        TransportKind::LongPolling => 4,
    }
}

/// A set of transports; all three by default. In the configuration a list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<TransportKind>", into = "Vec<TransportKind>")]
pub struct Transports(u8);

impl Transports {
    /// Whether the kind is in the set.
    pub fn allows(self, kind: TransportKind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// Whether no transport is left.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Default for Transports {
    fn default() -> Self {
        TransportKind::ALL.into_iter().collect()
    }
}

impl FromIterator<TransportKind> for Transports {
    fn from_iter<I: IntoIterator<Item = TransportKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | bit(kind)))
    }
}

impl From<Vec<TransportKind>> for Transports {
    fn from(kinds: Vec<TransportKind>) -> Self {
        kinds.into_iter().collect()
    }
}

impl From<Transports> for Vec<TransportKind> {
    fn from(set: Transports) -> Self {
        TransportKind::ALL.into_iter().filter(|kind| set.allows(*kind)).collect()
    }
}
