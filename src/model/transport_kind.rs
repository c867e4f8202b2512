//! The ways in which bytes travel between a client and its hub.

use serde::{Deserialize, Serialize};

/// One way of carrying bytes, named as negotiate names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransportKind {
    /// WebSockets.
    WebSockets,
    /// Server-Sent Events down, POST up.
    ServerSentEvents,
    /// Long polls down, POST up.
    LongPolling,
}

impl TransportKind {
    /// In the order in which clients try them.
    pub const ALL: [Self; 3] = [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];

    /// Its exact name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }
}
