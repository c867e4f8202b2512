//! Hub messages in MessagePack (section 4.3), read item by item.

pub(super) mod read;
pub(super) mod write;

use bytes::Bytes;
use bytestring::ByteString;

use super::framing::DEPTH_MAX;
use super::message::{
    Close, Completion, DecodeError, HubMessage, Invocation, InvocationKind, Outcome,
};
use super::raw::{RawArguments, RawValue};
use super::wire::Protocol;
use read::Reader;

/// What is left for an item: the message itself is the first level.
const ITEM_DEPTH_MAX: usize = DEPTH_MAX - 1;

/// Reads one message without its length prefix; items beyond the known ones are not looked at.
pub(super) fn decode(message: Bytes) -> Result<HubMessage, DecodeError> {
    let mut items = Items { message: &message, reader: Reader::new(&message) };
    let Ok(count) = items.reader.array_head() else {
        return Err(DecodeError::new("Reading array length for the message failed."));
    };
    Ok(match items.int32("messageType")? {
        1 => HubMessage::Invocation(items.invocation(InvocationKind::Invoke, count)?),
        2 => {
            items.headers()?;
            let id = items.required_id("StreamItem")?;
            HubMessage::StreamItem { id, item: items.value("item")? }
        }
        3 => HubMessage::Completion(items.completion()?),
        4 => HubMessage::Invocation(items.invocation(InvocationKind::Stream, count)?),
        5 => {
            items.headers()?;
            HubMessage::CancelInvocation { id: items.required_id("CancelInvocation")? }
        }
        6 => HubMessage::Ping,
        7 => {
            let error = items.string("error")?.map(|error| error.to_string());
            // The JavaScript client writes two items.
            let allow_reconnect = count > 2 && items.boolean("allowReconnect")?;
            HubMessage::Close(Close { error, allow_reconnect })
        }
        8 => HubMessage::Ack(items.int64("sequenceId")?),
        9 => HubMessage::Sequence(items.int64("sequenceId")?),
        unknown => HubMessage::Unknown(i64::from(unknown)),
    })
}

/// The items of a message that have not been read yet.
struct Items<'a> {
    message: &'a Bytes,
    reader: Reader<'a>,
}

impl Items<'_> {
    fn invocation(
        &mut self,
        kind: InvocationKind,
        count: usize,
    ) -> Result<Invocation, DecodeError> {
        self.headers()?;
        let (id, name) = match kind {
            InvocationKind::Invoke => {
                (self.string("invocationId")?.filter(|id| !id.is_empty()), "Invocation")
            }
            InvocationKind::Stream => {
                (Some(self.required_id("StreamInvocation")?), "StreamInvocation")
            }
        };
        let target = self.string("target")?.filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| empty(format_args!("target for {name} message")))?;
        let arguments = self.arguments()?;
        // Arguments that are no array end the reading, as in ASP.NET Core (B01, B02).
        let has_streams = count > 5 && arguments.is_array();
        let stream_ids = if has_streams { self.stream_ids()? } else { Vec::new() };
        Ok(Invocation { kind, id, target, arguments, stream_ids })
    }

    fn completion(&mut self) -> Result<Completion, DecodeError> {
        self.headers()?;
        let id = self.required_id("Completion")?;
        let outcome = match self.int32("resultKind")? {
            1 => Outcome::Error(self.string("error")?.unwrap_or_default()),
            2 => Outcome::Void,
            3 => Outcome::Value(self.value("result")?),
            _ => return Err(DecodeError::new("Invalid invocation result kind.")),
        };
        Ok(Completion { id, outcome })
    }

    /// Nothing at all is no decode error: somebody who binds the arguments will say so (B01).
    fn arguments(&mut self) -> Result<RawArguments, DecodeError> {
        let bytes = if self.reader.is_at_end() {
            Bytes::new()
        } else {
            self.value("arguments")?.into_bytes()
        };
        Ok(RawArguments::from_checked(Protocol::MessagePack, bytes))
    }

    fn stream_ids(&mut self) -> Result<Vec<ByteString>, DecodeError> {
        let head = self.reader.array_head();
        let count = head.map_err(|_| failed("array length for 'streamIds'"))?;
        let mut ids = Vec::new(); // the count may lie: grow only by what is there
        for _ in 0..count {
            let id = self.string("streamIds")?;
            ids.push(id.ok_or_else(|| empty(format_args!("value in streamIds received")))?);
        }
        Ok(ids)
    }

    /// Checks the headers; nobody here wants to know them.
    fn headers(&mut self) -> Result<(), DecodeError> {
        let head = self.reader.map_head();
        let count = head.map_err(|_| failed("map length for 'headers'"))?;
        for index in 0..count {
            for (part, what) in [("Key", "key"), ("Value", "value")] {
                let read = self.text();
                let text =
                    read.map_err(|()| failed(format_args!("'headers[{index}].{part}' as String")))?;
                if text.is_none_or(|text| text.is_empty()) {
                    return Err(empty(format_args!("{what} in header")));
                }
            }
        }
        Ok(())
    }

    fn required_id(&mut self, message: &str) -> Result<ByteString, DecodeError> {
        let id = self.string("invocationId")?.filter(|id| !id.is_empty());
        id.ok_or_else(|| empty(format_args!("invocation ID for {message} message")))
    }

    fn string(&mut self, field: &str) -> Result<Option<ByteString>, DecodeError> {
        self.text().map_err(|()| failed(format_args!("'{field}' as String")))
    }

    /// A string that is UTF-8, as a slice of the message; none for nil.
    fn text(&mut self) -> Result<Option<ByteString>, ()> {
        let Some(range) = self.reader.str_or_nil().map_err(|_| ())? else { return Ok(None) };
        ByteString::try_from(self.message.slice(range)).map(Some).map_err(|_| ())
    }

    fn value(&mut self, field: &str) -> Result<RawValue, DecodeError> {
        let range = self.reader.skip(ITEM_DEPTH_MAX);
        let range = range.map_err(|_| failed(format_args!("'{field}'")))?;
        Ok(RawValue::from_checked(Protocol::MessagePack, self.message.slice(range)))
    }

    fn int32(&mut self, field: &str) -> Result<i32, DecodeError> {
        let value = self.reader.int().ok().and_then(|value| i32::try_from(value).ok());
        value.ok_or_else(|| failed(format_args!("'{field}' as Int32")))
    }

    fn int64(&mut self, field: &str) -> Result<i64, DecodeError> {
        self.reader.int().map_err(|_| failed(format_args!("'{field}' as Int64")))
    }

    fn boolean(&mut self, field: &str) -> Result<bool, DecodeError> {
        self.reader.boolean().map_err(|_| failed(format_args!("'{field}' as Boolean")))
    }
}

fn failed(what: impl std::fmt::Display) -> DecodeError {
    DecodeError::new(format!("Reading {what} failed."))
}

fn empty(what: std::fmt::Arguments<'_>) -> DecodeError {
    DecodeError::new(format!("Null or empty {what}."))
}
