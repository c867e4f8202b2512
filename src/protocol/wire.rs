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

    /// About how many bytes that will be; a wrong guess costs time, nothing else.
    fn len_hint(&self) -> usize {
        192
    }
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

    fn len_hint(&self) -> usize {
        self.bytes().len()
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
                T::deserialize(&mut deserializer.with_human_readable()).or_else(|error| {
                    // What has a form of its own in MessagePack alone (a timestamp, `bin`) binds
                    // as what a JSON client would have sent.
                    let mut json = Vec::with_capacity(bytes.len());
                    raw.write_as(Protocol::Json, &mut json).map_err(BindError::new)?;
                    serde_json::from_slice(&json).map_err(|_| BindError::without_value(error))
                })
            }
        }
    }
}

impl FromWire for RawValue {
    fn from_wire(raw: &RawValue) -> Result<Self, BindError> {
        Ok(raw.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u64,
        note: Option<String>,
        from: IpAddr,
        state: State,
        lines: Vec<(String, f64)>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum State {
        Open,
        Held { until: i64 },
    }

    fn through<T: ToWire + FromWire>(protocol: Protocol, value: &T) -> T {
        let mut out = Vec::new();
        value.write(protocol, &mut out).unwrap();
        RawValue::parse(protocol, out.into()).unwrap().bind().unwrap()
    }

    #[test]
    fn a_type_binds_from_what_it_was_written_as() {
        for protocol in [Protocol::Json, Protocol::MessagePack] {
            for state in [State::Open, State::Held { until: -1 }] {
                let from = "10.0.0.1".parse().unwrap();
                let lines = vec![("a".into(), 1.5), ("b".into(), 2.0)];
                let order = Order { id: u64::MAX, note: None, from, state, lines };
                assert_eq!(through(protocol, &order), order);
            }
        }
    }

    #[test]
    fn both_protocols_say_the_same_of_a_type() {
        let from: IpAddr = "10.0.0.1".parse().unwrap();
        let order = Order { id: 7, note: None, from, state: State::Open, lines: vec![] };
        let (mut json, mut message_pack) = (Vec::new(), Vec::new());
        order.write(Protocol::Json, &mut json).unwrap();
        let raw = {
            order.write(Protocol::MessagePack, &mut message_pack).unwrap();
            RawValue::parse(Protocol::MessagePack, message_pack.into()).unwrap()
        };
        let mut converted = Vec::new();
        raw.write_as(Protocol::Json, &mut converted).unwrap();
        assert_eq!(converted, json);
    }

    #[test]
    fn a_date_binds_from_a_text_and_from_a_timestamp() {
        let date = chrono::DateTime::from_timestamp(0x6593_7d25, 0).unwrap();
        let text = RawValue::parse(Protocol::Json, "\"2024-01-02T03:04:05.000Z\"".into()).unwrap();
        assert_eq!(text.bind::<chrono::DateTime<chrono::Utc>>().unwrap(), date);
        let bytes = &[0xd6, 0xff, 0x65, 0x93, 0x7d, 0x25];
        let stamp = RawValue::parse(Protocol::MessagePack, bytes[..].into()).unwrap();
        assert_eq!(stamp.bind::<chrono::DateTime<chrono::Utc>>().unwrap(), date);
        assert_eq!(stamp.bind::<serde_json::Value>().unwrap(), "2024-01-02T03:04:05Z");
        assert!(stamp.bind::<i32>().is_err());
    }

    #[test]
    fn an_error_does_not_quote_the_value() {
        let secret = RawValue::parse(Protocol::Json, "\"my expected secret\"".into()).unwrap();
        let mut packed = Vec::new();
        secret.write_as(Protocol::MessagePack, &mut packed).unwrap();
        let packed = RawValue::parse(Protocol::MessagePack, packed.into()).unwrap();
        for raw in [&secret, &packed] {
            for error in [raw.bind::<i32>().unwrap_err(), raw.bind::<State>().unwrap_err()] {
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
        assert!(secret.bind::<i32>().unwrap_err().to_string().starts_with("expected i32"));
    }

    #[test]
    fn infinity_and_nan_are_null_in_json() {
        let mut out = Vec::new();
        (f64::NAN, f32::INFINITY).write(Protocol::Json, &mut out).unwrap();
        assert_eq!(out, b"[null,null]");
    }
}
