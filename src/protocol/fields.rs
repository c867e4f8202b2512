//! Adding fields to arguments that are already written, without parsing them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::framing::DEPTH_MAX;
use super::json::scan::{Broken, Scanner};
use super::json::text;
use super::messagepack::read::{Reader, Token};
use super::messagepack::write;
use super::raw::{EncodeError, RawArguments, RawValue};
use super::wire::{Protocol, ToWire};

/// A name and its value.
pub type Field<'a> = (&'a str, &'a dyn ToWire);

/// Where added fields go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldPlace {
    /// Into the only argument when that is an object; a field it has already is not touched. Else
    /// as [`FieldPlace::Argument`].
    #[default]
    Inside,
    /// As an object of their own, behind the other arguments.
    Argument,
}

/// Names of an object's properties, as they are after their escapes.
type Names = SmallVec<[Vec<u8>; 8]>;

impl RawArguments {
    /// The arguments with these fields. Costs one copy.
    pub fn with_fields(
        &self,
        fields: &[Field<'_>],
        place: FieldPlace,
    ) -> Result<Self, EncodeError> {
        let values = self.values().map_err(EncodeError::new)?;
        let capacity =
            self.bytes().len() + fields.iter().map(|(name, _)| name.len() + 48).sum::<usize>();
        let mut out = Vec::with_capacity(capacity);
        match (self.protocol(), place, &values[..]) {
            (Protocol::Json, FieldPlace::Inside, [only]) if only.bytes().starts_with(b"{") => {
                json_inside(only.bytes(), fields, &mut out)?;
            }
            (Protocol::MessagePack, FieldPlace::Inside, [only]) if is_map(only) => {
                message_pack_inside(only.bytes(), fields, &mut out)?;
            }
            (Protocol::Json, _, _) => json_behind(&values, fields, &mut out)?,
            (Protocol::MessagePack, _, _) => message_pack_behind(&values, fields, &mut out)?,
        }
        Ok(Self::from_checked(self.protocol(), Bytes::from(out)))
    }
}

fn json_inside(object: &[u8], fields: &[Field<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let names = json_names(object).map_err(|Broken| EncodeError::new("no object"))?;
    out.push(b'[');
    // The closing brace comes after the new fields.
    out.extend_from_slice(&object[..object.len() - 1]);
    let absent = fields.iter().filter(|(name, _)| !names.iter().any(|own| own == name.as_bytes()));
    write_json(absent, names.is_empty(), out)?;
    out.extend_from_slice(b"}]");
    Ok(())
}

fn json_behind(
    values: &[RawValue],
    fields: &[Field<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.push(b'[');
    for value in values {
        out.extend_from_slice(value.bytes());
        out.push(b',');
    }
    out.push(b'{');
    write_json(fields.iter(), true, out)?;
    out.extend_from_slice(b"}]");
    Ok(())
}

fn write_json<'a>(
    fields: impl Iterator<Item = &'a Field<'a>>,
    mut first: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    for (name, value) in fields {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        text::write(name, out);
        out.push(b':');
        value.write(Protocol::Json, out)?;
    }
    Ok(())
}

fn json_names(object: &[u8]) -> Result<Names, Broken> {
    let mut names = Names::new();
    let mut scanner = Scanner::new(object);
    scanner.next()?;
    if scanner.peek()? == b'}' {
        return Ok(names);
    }
    loop {
        let key = scanner.key()?;
        let raw = &object[key.start..key.end];
        let mut name = Vec::with_capacity(raw.len());
        text::unescape(raw, &mut name);
        names.push(name);
        scanner.skip(DEPTH_MAX)?;
        if scanner.next()? == b'}' {
            return Ok(names);
        }
    }
}

fn is_map(value: &RawValue) -> bool {
    matches!(Reader::new(value.bytes()).head(), Ok(Token::Map(_)))
}

fn message_pack_inside(
    map: &[u8],
    fields: &[Field<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let broken = |_| EncodeError::new("no map");
    let mut reader = Reader::new(map);
    let Ok(Token::Map(count)) = reader.head() else { return Err(EncodeError::new("no map")) };
    let body = reader.at;
    let mut names = Names::new();
    for _ in 0..count {
        let key = reader.skip(DEPTH_MAX).map_err(broken)?;
        if let Ok(Token::Str(name)) = Reader::new(&map[key]).head() {
            names.push(name.to_vec());
        }
        reader.skip(DEPTH_MAX).map_err(broken)?;
    }
    let absent: SmallVec<[&Field<'_>; 12]> =
        fields.iter().filter(|(name, _)| !names.iter().any(|own| own == name.as_bytes())).collect();
    write::short_array(1, out);
    let head = out.len();
    out.push(0);
    write::container_head(true, length(count + absent.len())?, head, out);
    out.extend_from_slice(&map[body..]);
    write_message_pack(absent.into_iter(), out)
}

fn message_pack_behind(
    values: &[RawValue],
    fields: &[Field<'_>],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.push(0);
    write::container_head(false, length(values.len() + 1)?, 0, out);
    for value in values {
        out.extend_from_slice(value.bytes());
    }
    let head = out.len();
    out.push(0);
    write::container_head(true, length(fields.len())?, head, out);
    write_message_pack(fields.iter(), out)
}

fn write_message_pack<'a>(
    fields: impl Iterator<Item = &'a Field<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    for (name, value) in fields {
        write::str(name.as_bytes(), out);
        value.write(Protocol::MessagePack, out)?;
    }
    Ok(())
}

fn length(count: usize) -> Result<u32, EncodeError> {
    u32::try_from(count).map_err(EncodeError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, place: FieldPlace) -> String {
        let arguments =
            RawArguments::parse(Protocol::Json, Bytes::copy_from_slice(text.as_bytes()));
        let fields: [Field<'_>; 2] = [("messageId", &"m1"), ("retryCount", &1)];
        let out = arguments.unwrap().with_fields(&fields, place).unwrap();
        RawArguments::parse(Protocol::Json, out.bytes().clone()).expect("still well-formed");
        String::from_utf8(out.bytes().to_vec()).unwrap()
    }

    /// The same through MessagePack, read back as JSON.
    fn packed(text: &str, place: FieldPlace) -> String {
        let arguments =
            RawArguments::parse(Protocol::Json, Bytes::copy_from_slice(text.as_bytes()));
        let mut bytes = Vec::new();
        super::super::Arguments::write(&arguments.unwrap(), Protocol::MessagePack, &mut bytes)
            .unwrap();
        let arguments = RawArguments::parse(Protocol::MessagePack, bytes.into()).unwrap();
        let fields: [Field<'_>; 2] = [("messageId", &"m1"), ("retryCount", &1)];
        let out = arguments.with_fields(&fields, place).unwrap();
        let out = RawArguments::parse(Protocol::MessagePack, out.bytes().clone()).unwrap();
        let mut text = Vec::new();
        super::super::Arguments::write(&out, Protocol::Json, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn one_object_gets_the_fields_it_lacks_and_keeps_those_it_has() {
        for (before, after) in [
            (r#"[{"a":[1]}]"#, r#"[{"a":[1],"messageId":"m1","retryCount":1}]"#),
            ("[{}]", r#"[{"messageId":"m1","retryCount":1}]"#),
            (r#"[{"messageId":"own"}]"#, r#"[{"messageId":"own","retryCount":1}]"#),
            (
                r#"[{"m":{"messageId":2}}]"#,
                r#"[{"m":{"messageId":2},"messageId":"m1","retryCount":1}]"#,
            ),
        ] {
            assert_eq!(json(before, FieldPlace::Inside), after);
            assert_eq!(packed(before, FieldPlace::Inside), after);
        }
        let escaped = json(r#"[ { "message\u0049d" : 7 } ]"#, FieldPlace::Inside);
        assert_eq!(escaped, r#"[{ "message\u0049d" : 7 ,"retryCount":1}]"#);
    }

    #[test]
    fn anything_else_gets_an_object_more() {
        let fields = r#"{"messageId":"m1","retryCount":1}"#;
        for (before, front) in [("[]", ""), ("[1]", "1,"), ("[{},{}]", "{},{},"), ("[[1]]", "[1],")]
        {
            let after = format!("[{front}{fields}]");
            assert_eq!(json(before, FieldPlace::Inside), after);
            assert_eq!(packed(before, FieldPlace::Inside), after);
        }
        assert_eq!(json("[{}]", FieldPlace::Argument), format!("[{{}},{fields}]"));
    }
}
