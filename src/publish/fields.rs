//! A JSON object as its fields, whose values stay text until somebody wants them.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Containers in one another, the body included: the same limit that clients have.
const DEPTH_MAX: usize = 64;

/// The whole body, known to be JSON and not too deep.
pub(super) fn parse_body(body: &[u8]) -> Result<&RawValue, Problem> {
    let text =
        std::str::from_utf8(body).map_err(|_place| Problem::not_json("The body must be UTF-8."))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::not_json(format!("The JSON is broken at line {line}, column {column}."))
    })?;
    if depth(value.get()) > DEPTH_MAX {
        let detail = format!("Values may be nested at most {DEPTH_MAX} deep.");
        return Err(Problem::not_json(detail).with_limit(DEPTH_MAX));
    }
    Ok(value)
}

/// How many containers are in one another at most. The text is well-formed, so only strings and
/// brackets matter.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0_usize, 0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The fields of one object. Each is taken once; what is left at the end is unknown.
pub(super) struct Fields<'a> {
    /// Where the object stands, with a dot at the end: `audience.`, or nothing for the body.
    at: &'static str,
    list: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// None when it is no object.
    pub(super) fn of(value: &'a RawValue, at: &'static str) -> Result<Option<Self>, Problem> {
        if !value.get().starts_with('{') {
            return Ok(None);
        }
        // It is well-formed, so the only failure is a name that is no Unicode text.
        let Entries(list) = serde_json::from_str(value.get())
            .map_err(|_broken| Problem::not_json("A name of a field is no Unicode text."))?;
        for (index, (name, _)) in list.iter().enumerate() {
            if list[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::field(shown(at, name), "is given twice"));
            }
        }
        Ok(Some(Self { at, list }))
    }

    /// The text of a field's value; null counts as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.list.iter().position(|(own, _)| own == name)?;
        Some(self.list.swap_remove(place).1).filter(|value| value.get() != "null")
    }

    /// The value of a field as a type that the words describe.
    pub(super) fn take_as<T: DeserializeOwned>(
        &mut self,
        name: &str,
        must_be: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match serde_json::from_str(value.get()) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.wrong(name, must_be)),
        }
    }

    /// The problem of one of these fields.
    pub(super) fn wrong(&self, name: &str, detail: &str) -> Problem {
        Problem::field(shown(self.at, name), detail)
    }

    /// A hash of the fields that are still here, whatever their order: names and the texts of their
    /// values. A null counts as absent.
    pub(super) fn hash(&self) -> [u8; 16] {
        let mut said: Vec<(&str, &str)> = self
            .list
            .iter()
            .map(|(name, value)| (name.as_str(), value.get()))
            .filter(|(_, value)| *value != "null")
            .collect();
        said.sort_unstable();
        let mut hash = Sha256::new();
        for part in said.iter().flat_map(|(name, value)| [name, value]) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        short
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Problem> {
        // The first by name, so that the same body always has the same answer.
        match self.list.iter().map(|(name, _)| name).min() {
            Some(name) => Err(Problem::field(shown(self.at, name), "is not known here")),
            None => Ok(()),
        }
    }
}

/// A field with its place. Its name is the sender's, so only its beginning is repeated.
fn shown(at: &str, name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{at}{short}")
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    // Looking for doubles costs the square of their number, so it is bounded; an
                    // object with that many fields has an unknown one among those kept.
                    if entries.len() < 32 {
                        entries.push(entry);
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(body: &[u8]) -> u16 {
        parse_body(body).err().map_or(200, |problem| problem.status())
    }

    #[test]
    fn a_body_is_json_in_utf8_and_not_too_deep() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert_eq!(status(b" {\"a\": [1]} "), 200);
        assert_eq!(status(&nested(64)), 200);
        for wrong in [&nested(65)[..], &nested(500_000), b"", b"{", b"{} {}", b"{\"a\":\xff}"] {
            assert_eq!(status(wrong), 400);
        }
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        assert_eq!(depth(r#"{"a":"[[\"[[\\","b":["]"]}"#), 2);
    }

    #[test]
    fn thousands_of_fields_are_no_more_work_than_a_few() {
        let many: Vec<_> = (0..100_000).map(|n| format!("\"f{n}\":0")).collect();
        let body = format!("{{{}}}", many.join(","));
        let fields = Fields::of(parse_body(body.as_bytes()).unwrap(), "").unwrap().unwrap();
        assert!(fields.finish().is_err());
    }
}
