//! The two hub protocols, and what can be written to or read from both.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::raw::{BindError, EncodeError, RawValue};

/// A hub protocol, agreed in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Text; messages end with byte 0x1E.
    Json,
    /// Binary; messages start with their length.
    MessagePack,
}

impl Protocol {
    /// The name on the wire, in the handshake and in the Redis blob map.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }
}

/// A value that can be said in both protocols: every `Serialize` type, and [`RawValue`],
/// which is passed on without building a tree.
pub trait ToWire: Send + Sync {
    /// Appends the value; on an error what was appended is to be thrown away.
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

impl<T: Serialize + Send + Sync> ToWire for T {
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match protocol {
            Protocol::Json => serde_json::to_writer(out, self).map_err(EncodeError::new),
            Protocol::MessagePack => {
                // Human-readable, so that a UUID or an address is a text as it is in JSON.
                let serializer = rmp_serde::Serializer::new(out).with_struct_map();
                self.serialize(&mut serializer.with_human_readable()).map_err(EncodeError::new)
            }
        }
    }
}

impl ToWire for RawValue {
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write_as(protocol, out)
    }
}

/// A value that can be bound from a raw one: every owned `Deserialize` type, and [`RawValue`] itself.
pub trait FromWire: Sized {
    /// Reads the value. The error says nothing about secrets in it.
    fn from_wire(raw: &RawValue) -> Result<Self, BindError>;
}

impl<T: DeserializeOwned> FromWire for T {
    fn from_wire(raw: &RawValue) -> Result<Self, BindError> {
        let bytes: &Bytes = raw.bytes();
        match raw.protocol() {
            Protocol::Json => serde_json::from_slice(bytes).map_err(BindError::without_value),
            Protocol::MessagePack => {
                let deserializer = rmp_serde::Deserializer::from_read_ref(&bytes[..]);
                T::deserialize(&mut deserializer.with_human_readable())
                    .map_err(BindError::without_value)
            }
        }
    }
}

impl FromWire for RawValue {
    fn from_wire(raw: &RawValue) -> Result<Self, BindError> {
        Ok(raw.clone())
    }
}
