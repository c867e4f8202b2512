//! JSON strings: escapes taken out and put in.

use super::scan::plain_len;

/// Appends the content of a string without its escapes; `raw` must have passed the scanner.
/// Returns whether every surrogate had its partner; a lonely one becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut complete = true;
    let mut rest = raw;
    while let Some(place) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..place]);
        let escape = rest.get(place + 1).copied().unwrap_or_default();
        rest = rest.get(place + 2..).unwrap_or_default();
        let plain = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, length) = unicode(rest);
                rest = rest.get(length..).unwrap_or_default();
                complete &= character.is_some();
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    complete
}

/// The character whose hex digits stand in front, and how many bytes that takes.
fn unicode(rest: &[u8]) -> (Option<char>, usize) {
    let high = hex(rest);
    if !(0xd800..0xdc00).contains(&high) {
        return (char::from_u32(high), 4);
    }
    match rest.get(4..) {
        Some([b'\\', b'u', second @ ..]) => {
            let low = hex(second);
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (char::from_u32(code), 10)
            } else {
                (None, 4)
            }
        }
        _ => (None, 4),
    }
}

fn hex(digits: &[u8]) -> u32 {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    digits.iter().take(4).fold(0, |value, byte| value << 4 | digit(byte))
}

/// Appends a text as a JSON string: only what must be escaped is (as .NET's relaxed escaping).
pub(crate) fn write(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_len(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else { break };
        rest = &rest[plain + 1..];
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                let (high, low) = (HEX[usize::from(special >> 4)], HEX[usize::from(special & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_text_reads_as_itself() {
        let text = "plain \"quoted\" \\ \n\r\t\u{8}\u{c}\u{1}\u{1f}\u{7f} <é&+> \u{2028} 🦀";
        let mut out = Vec::new();
        write(text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        let mut back = Vec::new();
        assert!(unescape(&out[1..out.len() - 1], &mut back));
        assert_eq!(back, text.as_bytes());
    }

    #[test]
    fn escapes_are_read_as_serde_json_reads_them() {
        for raw in ["\\u00e9\\u20ac", "\\ud83e\\udd80!", "\\/\\\\\\\"", "a\\u0041b", ""] {
            let mut out = Vec::new();
            assert!(unescape(raw.as_bytes(), &mut out));
            let expected: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap();
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn a_lonely_surrogate_is_replaced_and_reported() {
        for raw in ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041"] {
            let mut out = Vec::new();
            assert!(!unescape(raw.as_bytes(), &mut out), "{raw}");
            assert!(String::from_utf8(out).unwrap().starts_with('\u{fffd}'));
        }
    }
}
