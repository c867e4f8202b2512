//! What can go wrong, once per operation: connecting, calling, being connected.

use bytestring::ByteString;

use crate::protocol::{BindError, EncodeError};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL of the hub, or the one of a redirect, cannot be used. Shown without its query.
    #[error("the URL {url} cannot be used: {why}")]
    BadUrl {
        /// The URL without its query.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS is not supported yet.
    #[error("{scheme} is not supported by this client yet: use http or ws")]
    NoTls {
        /// `https` or `wss`.
        scheme: String,
    },
    /// A token or a header has characters that HTTP does not allow.
    #[error("the header {name} has an invalid name or value")]
    BadHeader {
        /// Its name.
        name: String,
    },
    /// [`super::Settings::connect_timeout`] is over.
    #[error("timed out while {doing}")]
    Timeout {
        /// What was under way.
        doing: &'static str,
    },
    /// The network failed.
    #[error("failed while {doing}: {source}")]
    Io {
        /// What was under way.
        doing: &'static str,
        /// How.
        source: std::io::Error,
    },
    /// The server or something in front of it answered with another status than expected.
    #[error("{doing} was answered with status {status}: {body}")]
    Status {
        /// What was under way.
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The answer is not what the protocol says.
    #[error("unexpected answer while {doing}: {why}")]
    BadAnswer {
        /// What was under way.
        doing: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The server's negotiate answer is an error (section 1.6).
    #[error("{0}")]
    Refused(String),
    /// Over [`super::REDIRECTS_MAX`] redirects.
    #[error("Negotiate redirection limit exceeded.")]
    TooManyRedirects,
    /// The server's handshake answer is an error (section 3.3).
    #[error("Server returned handshake error: {0}")]
    Handshake(String),
}

/// Why a call has no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server's own words (section 5.6).
    #[error("{0}")]
    Server(ByteString),
    /// The connection ended before the answer, or had ended before the call.
    #[error("{0}")]
    Closed(Closed),
    /// No answer within the deadline of [`super::Settings`] that is named.
    #[error("no answer within {0}")]
    Timeout(&'static str),
    /// The arguments cannot be written.
    #[error("{0}")]
    Encode(String),
    /// The result or an item is not of the wanted type.
    #[error("{0}")]
    Bind(String),
    /// [`super::Settings::calls_max`] calls are under way.
    #[error("too many calls are under way")]
    TooManyCalls,
    /// An item came for a call that expects one result.
    #[error("Unexpected message type: 2")]
    UnexpectedItem,
    /// The items of a stream were not taken within [`super::Settings::consumer_timeout`].
    #[error("the stream was cancelled because its items were not taken in time")]
    NotConsumed,
}

impl From<EncodeError> for CallError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error.to_string())
    }
}

impl From<BindError> for CallError {
    fn from(error: BindError) -> Self {
        Self::Bind(error.to_string())
    }
}

/// How a connection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", error.as_deref().unwrap_or("Invocation canceled due to the underlying connection being closed."))]
pub struct Closed {
    /// The server's error text as it came in Close, or ours. None for an ordinary end.
    pub error: Option<String>,
    /// Whether a new connection is welcome: what Close says, and yes when the link was lost.
    pub allow_reconnect: bool,
}

impl Closed {
    /// The link is gone, or no longer makes sense, without a word of the server.
    pub(super) fn lost(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), allow_reconnect: true }
    }
}
