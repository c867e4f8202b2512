//! JSON to MessagePack: strings stay strings, whole numbers take the shortest integer form.

use smallvec::SmallVec;

use crate::protocol::framing::DEPTH_MAX;
use crate::protocol::json::scan::{Broken, Scanner, Sink, Text, Word};
use crate::protocol::json::text;
use crate::protocol::messagepack::write;

/// Appends the MessagePack form of a JSON value. On an error what was appended is to be thrown away.
///
/// An integer literal within `i64` or `u64` becomes an integer, any other number a float64 (one
/// too large for it becomes infinity). A lonely surrogate in a string becomes U+FFFD.
pub(in crate::protocol) fn to_message_pack(json: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut writer = Writer { json, out, open: SmallVec::new(), scratch: Vec::new() };
    Scanner::new(json).walk(DEPTH_MAX, &mut writer)
}

/// A container whose number of elements is not known yet.
struct Open {
    is_map: bool,
    /// Where its head will stand; one byte is left for it.
    head_at: usize,
    count: u32,
}

struct Writer<'a> {
    json: &'a [u8],
    out: &'a mut Vec<u8>,
    open: SmallVec<[Open; 8]>,
    /// Strings without their escapes.
    scratch: Vec<u8>,
}

impl Writer<'_> {
    /// A key counts for its pair.
    fn count(&mut self, is_key: bool) {
        if let Some(open) = self.open.last_mut()
            && open.is_map == is_key
        {
            open.count += 1;
        }
    }

    fn text(&mut self, text: Text) {
        let raw = &self.json[text.start..text.end];
        if text.escaped {
            self.scratch.clear();
            text::unescape(raw, &mut self.scratch);
            write::str(&self.scratch, self.out);
        } else {
            write::str(raw, self.out);
        }
    }
}

impl Sink for Writer<'_> {
    fn key(&mut self, text: Text) {
        self.count(true);
        self.text(text);
    }

    fn string(&mut self, text: Text) {
        self.count(false);
        self.text(text);
    }

    fn number(&mut self, literal: &[u8]) {
        self.count(false);
        // The scanner lets only ASCII through.
        let literal = std::str::from_utf8(literal).unwrap_or_default();
        if let Ok(value) = literal.parse::<i64>() {
            write::int(value, self.out);
        } else if let Ok(value) = literal.parse::<u64>() {
            write::uint(value, self.out);
        } else {
            write::float(literal.parse().unwrap_or(f64::NAN), self.out);
        }
    }

    fn word(&mut self, word: Word) {
        self.count(false);
        match word {
            Word::Null => write::nil(self.out),
            Word::True => write::boolean(true, self.out),
            Word::False => write::boolean(false, self.out),
        }
    }

    fn open(&mut self, is_object: bool) {
        self.count(false);
        self.open.push(Open { is_map: is_object, head_at: self.out.len(), count: 0 });
        self.out.push(0);
    }

    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            write::container_head(open.is_map, open.count, open.head_at, self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(json: &str) -> String {
        let mut out = Vec::new();
        to_message_pack(json.as_bytes(), &mut out).unwrap();
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_whole_number_takes_the_shortest_integer_form_and_any_other_is_a_float64() {
        for (json, expected) in [
            ("0", "00"),
            ("-0", "00"),
            ("-1", "ff"),
            ("255", "ccff"),
            ("65536", "ce00010000"),
            ("-129", "d1ff7f"),
            ("18446744073709551615", "cfffffffffffffffff"),
            ("18446744073709551616", "cb43f0000000000000"),
            ("1.0", "cb3ff0000000000000"),
            ("1e2", "cb4059000000000000"),
        ] {
            assert_eq!(hex(json), expected, "{json}");
        }
    }

    #[test]
    fn a_date_in_a_string_stays_a_string() {
        assert_eq!(hex("\"2024-01-02\""), "aa323032342d30312d3032");
        assert_eq!(hex("\"\\u0041\\n\""), "a2410a");
    }

    #[test]
    fn containers_know_how_many_elements_they_have() {
        assert_eq!(hex("[]"), "90");
        assert_eq!(hex("{\"a\":[1,{}],\"b\":null}"), "82a161920180a162c0");
        let many = format!("[[{}]]", vec!["7"; 16].join(","));
        assert_eq!(hex(&many), format!("91dc0010{}", "07".repeat(16)));
    }
}
