//! Why a connection is over.

/// The first of these to happen is the reason; later ones change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client ended its transport in good order: close frame, DELETE, stream closed.
    ClientLeft,
    /// The client said Close.
    ClientClosed,
    /// The client broke the rules of the protocol, or a limit of it.
    ClientFault,
    /// The handshake failed.
    HandshakeRefused,
    /// The hub does not want the client, or cannot have it.
    Unwelcome,
    /// The transport broke, and nobody may resume the connection.
    Lost,
    /// A write made no progress for the send timeout.
    SendTimedOut,
    /// No complete handshake request in time.
    HandshakeTimedOut,
    /// The client had pinged and then was silent for too long.
    ClientTimedOut,
    /// Nothing was received for the stale threshold, nor after a probe for one more sweep.
    Stale,
    /// The outbox overflowed; a Close that says so is already on its way.
    TooSlow,
    /// The caller's credential ended.
    Expired,
    /// Nobody came back for a parked connection, or it may not be parked.
    NotResumed,
    /// Somebody with the right to it asked for the end; the text goes to the client.
    Asked {
        /// What the client is told.
        reason: Option<String>,
        /// Whether it may come back.
        allow_reconnect: bool,
    },
    /// The server stops; the client may come back, to another node.
    Stopping,
    /// Its session has a bug, and panicked.
    Panicked,
}

impl End {
    /// A short name for logs and metric labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::ClientClosed => "client_closed",
            Self::ClientFault => "client_fault",
            Self::HandshakeRefused => "handshake_refused",
            Self::Unwelcome => "unwelcome",
            Self::Lost => "lost",
            Self::SendTimedOut => "send_timeout",
            Self::HandshakeTimedOut => "handshake_timeout",
            Self::ClientTimedOut => "client_timeout",
            Self::Stale => "stale",
            Self::TooSlow => "too_slow",
            Self::Expired => "expired",
            Self::NotResumed => "not_resumed",
            Self::Asked { .. } => "asked",
            Self::Stopping => "stopping",
            Self::Panicked => "panicked",
        }
    }

    /// Whether the transport failed, or the client vanished without a word. Nobody wanted such an
    /// end; a close frame, a Close, a DELETE, the end of a credential are somebody's will.
    pub fn is_transport_failure(&self) -> bool {
        match self {
            Self::Lost
            | Self::SendTimedOut
            | Self::ClientTimedOut
            | Self::Stale
            | Self::NotResumed => true,
            Self::ClientLeft
            | Self::ClientClosed
            | Self::ClientFault
            | Self::HandshakeRefused
            | Self::Unwelcome
            | Self::HandshakeTimedOut
            | Self::TooSlow
            | Self::Expired
            | Self::Asked { .. }
            | Self::Stopping
            | Self::Panicked => false,
        }
    }
}
