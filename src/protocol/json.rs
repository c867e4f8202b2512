//! Hub messages in JSON (section 4.2), read in one pass and in any order of properties.

pub(super) mod scan;
pub(super) mod text;

use bytes::Bytes;
use bytestring::ByteString;
use std::ops::Range;

use super::framing::DEPTH_MAX;
use super::message::{
    Close, Completion, DecodeError, HubMessage, Invocation, InvocationKind, Outcome,
};
use super::raw::{RawArguments, RawValue};
use super::wire::Protocol;
use scan::{Broken, Scanner, Text, Word};

impl From<Broken> for DecodeError {
    fn from(_: Broken) -> Self {
        Self::new("Error reading JSON.")
    }
}

/// What is left for a property's value: the message itself is the first level.
const PROPERTY_DEPTH_MAX: usize = DEPTH_MAX - 1;

/// Reads one message; what follows its closing brace is not looked at.
pub(super) fn decode(message: Bytes) -> Result<HubMessage, DecodeError> {
    let text = valid_text(message);
    let mut fields = Fields::default();
    properties(&text, |key, scanner| fields.read(key, &text, scanner))?;
    fields.into_message(&text)
}

/// The text up to the first byte that is no UTF-8. Should that byte be part of the message, the
/// scanner finds an end where there is none.
pub(super) fn valid_text(mut bytes: Bytes) -> ByteString {
    loop {
        match ByteString::try_from(bytes.clone()) {
            Ok(text) => return text,
            Err(error) => bytes.truncate(error.valid_up_to()),
        }
    }
}

/// Calls `read` on each property of the object that the text starts with; `read` must step over
/// the value.
pub(super) fn properties<'a>(
    text: &'a str,
    mut read: impl FnMut(&str, &mut Scanner<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(text.as_bytes());
    if scanner.peek()? != b'{' {
        return Err(no_object(&mut scanner));
    }
    scanner.at += 1;
    if scanner.peek()? == b'}' {
        return Ok(());
    }
    loop {
        let key = scanner.key()?;
        if key.escaped {
            read(&plain(text, key)?, &mut scanner)?;
        } else {
            read(&text[key.start..key.end], &mut scanner)?;
        }
        match scanner.next()? {
            b',' => {}
            b'}' => return Ok(()),
            _ => return Err(Broken.into()),
        }
    }
}

/// The error for a text that starts with something else, named as .NET names it.
fn no_object(scanner: &mut Scanner<'_>) -> DecodeError {
    let first = scanner.peek();
    let token = match first {
        Ok(b'[') => Ok("Array"),
        Ok(b'"') => scanner.string().map(|_| "String"),
        Ok(b'-' | b'0'..=b'9') => scanner.number().map(|_| "Number"),
        _ => scanner.word().map(|word| match word {
            Word::Null => "Null",
            Word::True => "True",
            Word::False => "False",
        }),
    };
    match token {
        Ok(token) => {
            let detail = format!("Unexpected JSON Token Type '{token}'. Expected a JSON Object.");
            DecodeError::new(detail)
        }
        Err(broken) => broken.into(),
    }
}

/// A string without its escapes; a lonely surrogate is an error.
fn plain(source: &str, text: Text) -> Result<String, DecodeError> {
    let mut out = Vec::with_capacity(text.end - text.start);
    if !text::unescape(&source.as_bytes()[text.start..text.end], &mut out) {
        return Err(Broken.into());
    }
    String::from_utf8(out).map_err(|_| Broken.into())
}

/// The string value of a property, as a slice of the message when it has no escapes.
pub(super) fn string(
    name: &str,
    source: &ByteString,
    scanner: &mut Scanner<'_>,
) -> Result<ByteString, DecodeError> {
    if scanner.peek()? != b'"' {
        return Err(expected(name, "String", scanner));
    }
    let text = scanner.string()?;
    if text.escaped {
        return plain(source, text).map(ByteString::from);
    }
    Ok(source.slice_ref(&source[text.start..text.end]))
}

/// The whole-number value of a property.
pub(super) fn integer(name: &str, scanner: &mut Scanner<'_>) -> Result<i64, DecodeError> {
    if let b'-' | b'0'..=b'9' = scanner.peek()? {
        let literal = scanner.number()?;
        let parsed = std::str::from_utf8(literal).ok().and_then(|text| text.parse().ok());
        return parsed
            .ok_or_else(|| DecodeError::new(format!("Expected '{name}' to be of type Number.")));
    }
    Err(expected(name, "Number", scanner))
}

/// Like [`integer`], but null counts as missing.
pub(super) fn integer_or_null(
    name: &str,
    scanner: &mut Scanner<'_>,
) -> Result<Option<i64>, DecodeError> {
    if scanner.peek()? == b'n' {
        scanner.word()?;
        return Ok(None);
    }
    integer(name, scanner).map(Some)
}

/// The error for a value of another type, or that of broken JSON when it is not even a value.
fn expected(name: &str, wanted: &str, scanner: &mut Scanner<'_>) -> DecodeError {
    if !matches!(scanner.peek(), Ok(b'[' | b'{')) && scanner.skip(1).is_err() {
        return Broken.into();
    }
    DecodeError::new(format!("Expected '{name}' to be of type {wanted}."))
}

/// What has been read so far; of a property that comes twice, the last one.
#[derive(Default)]
struct Fields {
    kind: Option<i64>,
    id: Option<ByteString>,
    target: Option<ByteString>,
    error: Option<ByteString>,
    stream_ids: Vec<ByteString>,
    arguments: Option<Range<usize>>,
    item: Option<Range<usize>>,
    result: Option<Range<usize>>,
    allow_reconnect: bool,
    sequence_id: Option<i64>,
}

impl Fields {
    fn read(
        &mut self,
        key: &str,
        text: &ByteString,
        scanner: &mut Scanner<'_>,
    ) -> Result<(), DecodeError> {
        match key {
            "type" => self.kind = Some(integer(key, scanner)?),
            "invocationId" => self.id = Some(string(key, text, scanner)?),
            "target" => self.target = Some(string(key, text, scanner)?),
            "arguments" => {
                if scanner.peek()? != b'[' {
                    return Err(expected(key, "Array", scanner));
                }
                self.arguments = Some(scanner.skip(PROPERTY_DEPTH_MAX)?);
            }
            "item" => self.item = Some(scanner.skip(PROPERTY_DEPTH_MAX)?),
            "result" => self.result = Some(scanner.skip(PROPERTY_DEPTH_MAX)?),
            // Some third-party clients write a null error; ASP.NET Core refuses it (section 4.2).
            "error" if scanner.peek()? == b'n' => {
                scanner.word()?;
                self.error = None;
            }
            "error" => self.error = Some(string(key, text, scanner)?),
            "streamIds" => self.stream_ids = stream_ids(text, scanner)?,
            "headers" => headers(text, scanner)?,
            "allowReconnect" => self.allow_reconnect = boolean(key, scanner)?,
            "sequenceId" => self.sequence_id = integer_or_null(key, scanner)?,
            _ => {
                scanner.skip(PROPERTY_DEPTH_MAX)?;
            }
        }
        Ok(())
    }

    fn into_message(mut self, text: &ByteString) -> Result<HubMessage, DecodeError> {
        let value = |range: Range<usize>| {
            RawValue::from_checked(Protocol::Json, text.as_bytes().slice(range))
        };
        Ok(match self.kind.ok_or_else(|| missing("type"))? {
            1 => HubMessage::Invocation(self.invocation(InvocationKind::Invoke, text)?),
            2 => {
                let id = self.required_id()?;
                let item = self.item.ok_or_else(|| missing("item"))?;
                HubMessage::StreamItem { id, item: value(item) }
            }
            3 => {
                let id = self.required_id()?;
                let outcome = match (self.error, self.result) {
                    (Some(_), Some(_)) => {
                        return Err(DecodeError::new(
                            "The 'error' and 'result' properties are mutually exclusive.",
                        ));
                    }
                    (Some(error), None) => Outcome::Error(error),
                    (None, Some(result)) => Outcome::Value(value(result)),
                    (None, None) => Outcome::Void,
                };
                HubMessage::Completion(Completion { id, outcome })
            }
            4 => HubMessage::Invocation(self.invocation(InvocationKind::Stream, text)?),
            5 => HubMessage::CancelInvocation { id: self.required_id()? },
            6 => HubMessage::Ping,
            7 => HubMessage::Close(Close {
                error: self.error.map(|error| error.to_string()),
                allow_reconnect: self.allow_reconnect,
            }),
            8 => HubMessage::Ack(self.sequence_id.ok_or_else(|| missing("sequenceId"))?),
            9 => HubMessage::Sequence(self.sequence_id.ok_or_else(|| missing("sequenceId"))?),
            unknown => HubMessage::Unknown(unknown),
        })
    }

    fn invocation(
        mut self,
        kind: InvocationKind,
        text: &ByteString,
    ) -> Result<Invocation, DecodeError> {
        let target = self.target.take().filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| missing("target"))?;
        let id = match kind {
            InvocationKind::Invoke => self.id.take().filter(|id| !id.is_empty()),
            InvocationKind::Stream => Some(self.required_id()?),
        };
        let arguments = self.arguments.ok_or_else(|| missing("arguments"))?;
        let arguments = text.as_bytes().slice(arguments);
        Ok(Invocation {
            kind,
            id,
            target,
            arguments: RawArguments::from_checked(Protocol::Json, arguments),
            stream_ids: self.stream_ids,
        })
    }

    fn required_id(&mut self) -> Result<ByteString, DecodeError> {
        let id = self.id.take().filter(|id| !id.is_empty());
        id.ok_or_else(|| missing("invocationId"))
    }
}

pub(super) fn missing(name: &str) -> DecodeError {
    DecodeError::new(format!("Missing required property '{name}'."))
}

fn boolean(name: &str, scanner: &mut Scanner<'_>) -> Result<bool, DecodeError> {
    let wrong = || DecodeError::new(format!("Expected '{name}' to be true or false."));
    match scanner.peek()? {
        b't' | b'f' => Ok(scanner.word()? == Word::True),
        _ => Err(wrong()),
    }
}

/// Checks the headers of an invocation; nobody here wants to know them.
fn headers(text: &ByteString, scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
    if scanner.peek()? != b'{' {
        return Err(expected("headers", "StartObject", scanner));
    }
    scanner.at += 1;
    if scanner.peek()? == b'}' {
        scanner.at += 1;
        return Ok(());
    }
    loop {
        let key = scanner.key()?;
        if scanner.peek()? != b'"' {
            let name = plain(text, key)?;
            return Err(DecodeError::new(format!(
                "Expected header '{name}' to be of type String."
            )));
        }
        scanner.string()?;
        match scanner.next()? {
            b',' => {}
            b'}' => return Ok(()),
            _ => return Err(Broken.into()),
        }
    }
}

fn stream_ids(
    text: &ByteString,
    scanner: &mut Scanner<'_>,
) -> Result<Vec<ByteString>, DecodeError> {
    if scanner.peek()? != b'[' {
        return Err(expected("streamIds", "Array", scanner));
    }
    scanner.at += 1;
    let mut ids = Vec::new();
    if scanner.peek()? == b']' {
        scanner.at += 1;
        return Ok(ids);
    }
    loop {
        if scanner.peek()? == b'n' {
            scanner.word()?;
            return Err(DecodeError::new("Null value for 'streamIds' is not valid."));
        }
        ids.push(string("streamIds", text, scanner)?);
        match scanner.next()? {
            b',' => {}
            b']' => return Ok(ids),
            _ => return Err(Broken.into()),
        }
    }
}
