//! An event: target and arguments, encoded at most once per protocol.

use std::sync::{Arc, OnceLock};

use super::arguments::Arguments;
use super::encode;
use super::encoded::Encoded;
use super::raw::{EncodeError, RawArguments};
use super::wire::Protocol;

/// An invocation without an id, for any number of receivers of either protocol.
pub struct Event {
    target: Box<str>,
    arguments: Box<dyn Arguments>,
    json: OnceLock<Result<Encoded, Arc<EncodeError>>>,
    message_pack: OnceLock<Result<Encoded, Arc<EncodeError>>>,
}

impl Event {
    /// An event that is encoded when the first receiver of a protocol wants it.
    pub fn new(target: impl Into<Box<str>>, arguments: impl Arguments + 'static) -> Self {
        Self {
            target: target.into(),
            arguments: Box::new(arguments),
            json: OnceLock::new(),
            message_pack: OnceLock::new(),
        }
    }

    /// The name of the client's handler.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The arguments as they may be kept.
    pub fn to_raw(&self) -> Result<RawArguments, EncodeError> {
        self.arguments.to_raw()
    }

    /// The frame for a protocol, made on first demand and shared from then on.
    pub fn encoded(&self, protocol: Protocol) -> Result<Encoded, Arc<EncodeError>> {
        let slot = match protocol {
            Protocol::Json => &self.json,
            Protocol::MessagePack => &self.message_pack,
        };
        slot.get_or_init(|| {
            encode::invocation(protocol, None, &self.target, &*self.arguments).map_err(Arc::new)
        })
        .clone()
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Event({})", self.target)
    }
}
