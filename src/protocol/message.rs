//! The nine hub messages as they arrive (protocol reference, section 4.1).

use bytestring::ByteString;

use super::raw::{RawArguments, RawValue};

/// One received hub message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubMessage {
    /// Types 1 and 4.
    Invocation(Invocation),
    /// Type 2: an item of a stream or of an upload.
    StreamItem {
        /// The id of the stream or upload.
        id: ByteString,
        /// Unparsed.
        item: RawValue,
    },
    /// Type 3.
    Completion(Completion),
    /// Type 5.
    CancelInvocation {
        /// The id of the stream.
        id: ByteString,
    },
    /// Type 6.
    Ping,
    /// Type 7.
    Close(Close),
    /// Type 8: everything up to this number has arrived.
    Ack(i64),
    /// Type 9: the number of the next replayed message.
    Sequence(i64),
    /// A type we do not know; to be skipped (B15).
    Unknown(i64),
}

impl HubMessage {
    /// Whether stateful reconnect counts it: types 1 to 5 (section 4.1).
    pub fn is_trackable(&self) -> bool {
        match self {
            Self::Invocation(_)
            | Self::StreamItem { .. }
            | Self::Completion(_)
            | Self::CancelInvocation { .. } => true,
            Self::Ping | Self::Close(_) | Self::Ack(_) | Self::Sequence(_) | Self::Unknown(_) => {
                false
            }
        }
    }
}

/// Whether the caller wants one result or a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationKind {
    /// Type 1.
    Invoke,
    /// Type 4; always has an id.
    Stream,
}

/// A call of a method, or an event for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Type 1 or 4.
    pub kind: InvocationKind,
    /// None (absent, nil or empty): nobody waits for an answer.
    pub id: Option<ByteString>,
    /// The method as the caller spelt it.
    pub target: ByteString,
    /// Unparsed.
    pub arguments: RawArguments,
    /// Ids of the uploads that belong to it, in parameter order.
    pub stream_ids: Vec<ByteString>,
}

/// The end of an invocation, a stream, an upload or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The id of what ends.
    pub id: ByteString,
    /// How it ended.
    pub outcome: Outcome,
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Without a value (MessagePack kind 2; JSON with neither property).
    Void,
    /// With a value, which may be null.
    Value(RawValue),
    /// With an error text.
    Error(ByteString),
}

/// The end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Why; none for an ordinary end.
    pub error: Option<String>,
    /// Whether an automatic reconnect is welcome. Missing means no.
    pub allow_reconnect: bool,
}

/// Why a message is malformed; the text is .NET's detail (section 4.5). The connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(Box<str>);

impl DecodeError {
    /// From a text.
    pub fn new(detail: impl Into<Box<str>>) -> Self {
        Self(detail.into())
    }
}
