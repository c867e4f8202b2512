//! MessagePack to JSON: always well-formed JSON, whatever the bytes say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike, SecondsFormat};
use smallvec::SmallVec;

use crate::protocol::framing::DEPTH_MAX;
use crate::protocol::json::text;
use crate::protocol::messagepack::read::{Broken, Reader, Sink, Token};
use crate::protocol::metrics;

/// Appends the JSON form of a MessagePack value. On an error what was appended is to be thrown away.
///
/// `bin` becomes base64, a timestamp an ISO 8601 text, a number that JSON cannot say null, an
/// integer key its decimal text. Any other key becomes the text `"null"`, any other extension
/// null, and both are counted ([`metrics::unrepresentable`]). Bytes of a string that are no UTF-8
/// become U+FFFD.
pub(in crate::protocol) fn to_json(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut writer = Writer { out, open: SmallVec::new(), muted: 0 };
    Reader::new(bytes).walk(DEPTH_MAX, &mut writer)
}

/// A container that is not complete.
struct Open {
    is_map: bool,
    /// Values written so far, keys included.
    written: usize,
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    open: SmallVec<[Open; 8]>,
    /// Open containers within a key: nothing of them is written.
    muted: usize,
}

impl Writer<'_> {
    /// Writes what stands between two values, and says whether the next is a key.
    fn separate(&mut self) -> bool {
        let Some(open) = self.open.last_mut() else { return false };
        let is_key = open.is_map && open.written.is_multiple_of(2);
        if open.is_map && !is_key {
            self.out.push(b':');
        } else if open.written > 0 {
            self.out.push(b',');
        }
        open.written += 1;
        is_key
    }

    fn key(&mut self, token: Token<'_>) {
        match token {
            Token::Str(bytes) => text::write(&String::from_utf8_lossy(bytes), self.out),
            Token::Int(_) | Token::Uint(_) => {
                self.out.push(b'"');
                self.value(token);
                self.out.push(b'"');
            }
            _ => {
                metrics::unrepresentable().inc();
                self.out.extend_from_slice(b"\"null\"");
                self.muted = usize::from(matches!(token, Token::Array(_) | Token::Map(_)));
            }
        }
    }

    fn value(&mut self, token: Token<'_>) {
        match token {
            Token::Nil => self.null(),
            Token::Bool(true) => self.out.extend_from_slice(b"true"),
            Token::Bool(false) => self.out.extend_from_slice(b"false"),
            Token::Int(value) => {
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Token::Uint(value) => {
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Token::F32(value) if value.is_finite() => {
                self.out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
            }
            Token::F64(value) if value.is_finite() => {
                self.out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
            }
            Token::F32(_) | Token::F64(_) => self.null(),
            Token::Str(bytes) => text::write(&String::from_utf8_lossy(bytes), self.out),
            Token::Bin(bytes) => self.base64(bytes),
            Token::Ext(kind, data) => self.extension(kind, data),
            Token::Array(_) => self.begin(false),
            Token::Map(_) => self.begin(true),
        }
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn begin(&mut self, is_map: bool) {
        self.out.push(if is_map { b'{' } else { b'[' });
        self.open.push(Open { is_map, written: 0 });
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        let start = self.out.len();
        self.out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
        let written = STANDARD.encode_slice(bytes, &mut self.out[start..]);
        debug_assert!(written.is_ok(), "four characters for every three bytes are there");
        self.out.push(b'"');
    }

    fn extension(&mut self, kind: i8, data: &[u8]) {
        match (kind == -1).then(|| timestamp(data)).flatten() {
            Some(text) => text::write(&text, self.out),
            None => {
                metrics::unrepresentable().inc();
                self.null();
            }
        }
    }
}

impl Sink for Writer<'_> {
    fn token(&mut self, token: Token<'_>) {
        if self.muted > 0 {
            self.muted += usize::from(matches!(token, Token::Array(_) | Token::Map(_)));
        } else if self.separate() {
            self.key(token);
        } else {
            self.value(token);
        }
    }

    fn close(&mut self) {
        if self.muted > 0 {
            self.muted -= 1;
        } else if let Some(open) = self.open.pop() {
            self.out.push(if open.is_map { b'}' } else { b']' });
        }
    }
}

/// A timestamp of 32, 64 or 96 bits as ISO 8601 with `Z` and 0, 3, 6 or 9 digits of fraction;
/// none when it is none, or its year has no four digits.
fn timestamp(data: &[u8]) -> Option<String> {
    let (seconds, nanoseconds) = match *data {
        [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
        }
        [n0, n1, n2, n3, ref seconds @ ..] => {
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes([n0, n1, n2, n3]))
        }
        _ => return None,
    };
    if nanoseconds >= 1_000_000_000 {
        return None;
    }
    let time = DateTime::from_timestamp(seconds, nanoseconds)?;
    let has_four_digits = (0..=9999).contains(&time.year());
    has_four_digits.then(|| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        to_json(bytes, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_value_has_a_json_form() {
        for (bytes, expected) in [
            (&[0xc4, 3, 1, 2, 3][..], "\"AQID\""),
            (&[0xc4, 0], "\"\""),
            (&[0xca, 0x3d, 0xcc, 0xcc, 0xcd], "0.1"),
            (&[0xca, 0x42, 0x28, 0, 0], "42.0"),
            (&[0xca, 0x7f, 0xc0, 0, 0], "null"),
            (&[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], "null"),
            (&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "18446744073709551615"),
            (&[0x82, 0xa1, b'a', 0x92, 1, 0x80, 0xff, 0x90], "{\"a\":[1,{}],\"-1\":[]}"),
            (&[0xa2, b'"', 0xff], "\"\\\"\u{fffd}\""),
        ] {
            assert_eq!(json(bytes), expected);
        }
    }

    #[test]
    fn a_timestamp_has_as_many_digits_as_it_needs() {
        let sixty_four = |nanoseconds: u64| {
            let mut bytes = vec![0xd7, 0xff];
            bytes.extend_from_slice(&(nanoseconds << 34 | 0x6593_7d25).to_be_bytes());
            bytes
        };
        assert_eq!(json(&[0xd6, 0xff, 0x65, 0x93, 0x7d, 0x25]), "\"2024-01-02T03:04:05Z\"");
        assert_eq!(json(&sixty_four(6_000_000)), "\"2024-01-02T03:04:05.006Z\"");
        assert_eq!(json(&sixty_four(6_000)), "\"2024-01-02T03:04:05.000006Z\"");
        assert_eq!(json(&sixty_four(6)), "\"2024-01-02T03:04:05.000000006Z\"");
        let mut before = vec![0xc7, 12, 0xff];
        before.extend_from_slice(&500_000_000_u32.to_be_bytes());
        before.extend_from_slice(&(-1_i64).to_be_bytes());
        assert_eq!(json(&before), "\"1969-12-31T23:59:59.500Z\"");
    }

    #[test]
    fn what_json_has_no_word_for_is_null_and_counted() {
        let before = metrics::unrepresentable().get();
        assert_eq!(json(&[0xd4, 5, 0]), "null");
        assert_eq!(json(&[0xd4, 0xff, 0]), "null", "a timestamp of one byte");
        assert_eq!(json(&[0x81, 0xc0, 1]), "{\"null\":1}");
        assert_eq!(json(&[0x82, 0x91, 0x81, 1, 0x90, 7, 0x90, 8]), "{\"null\":7,\"null\":8}");
        assert!(metrics::unrepresentable().get() >= before + 5);
    }
}
