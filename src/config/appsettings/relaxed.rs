//! JSON as .NET's configuration reads it: with comments, commas too many and a byte order mark.

use serde_json::Value;

/// The value in the text.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(strict) => {
            let plain = without_commas_too_many(&without_comments(text));
            // Lines stay where they were, so that the error says where.
            serde_json::from_str(&plain)
                .map_err(|relaxed| if plain == text { strict } else { relaxed })
        }
    }
}

/// Comments become blanks; line feeds stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '"' => {
                let length = string_length(rest);
                out.push_str(&rest[..length]);
                length
            }
            '/' if rest.starts_with("//") => {
                out.push(' ');
                rest.find('\n').unwrap_or(rest.len())
            }
            '/' if rest.starts_with("/*") => {
                let end = rest[2..].find("*/").map_or(rest.len(), |at| at + 4);
                out.push(' ');
                out.extend(rest[..end].chars().filter(|own| *own == '\n'));
                end
            }
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// A comma before a closing bracket becomes a blank.
fn without_commas_too_many(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '"' => string_length(rest),
            other => other.len_utf8(),
        };
        let closes = || rest[1..].trim_start().starts_with(['}', ']']);
        let ends_an_item = || !out.trim_end().ends_with(['{', '[', ',', ':']);
        if next == ',' && closes() && ends_an_item() {
            out.push(' ');
        } else {
            out.push_str(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    out
}

/// The length of the string at the start, quotes included; of all that is left when it never ends.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_commas_too_many_are_no_obstacle() {
        let text = "\u{feff}{ // one, two\n \"a\": [1, 2, /* \" */ ], \"b\": \"// ,] \\\" /*\",\n}";
        assert_eq!(parse(text).unwrap(), json!({ "a": [1, 2], "b": "// ,] \" /*" }));
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none_at_its_line() {
        for text in ["{", "{\"a\": 1 /* ", "{\n\n// x\n\"a\" 1}", "\"", "{,}", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let error = parse("{\n// x\n/* \n */ \"a\" 1}").unwrap_err();
        assert_eq!(error.line(), 4, "{error}");
    }
}
