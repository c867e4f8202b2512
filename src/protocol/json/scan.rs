//! One pass over JSON text, without recursion and without memory: where a value ends, what it holds.

use crate::protocol::framing::DEPTH_MAX;

/// The text is no well-formed JSON, or nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Where a string stands, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether there is a backslash in it.
    pub(crate) escaped: bool,
}

/// The three literal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Null,
    True,
    False,
}

/// Something to hear of everything a value is made of, in the order of the text.
pub(crate) trait Sink {
    fn key(&mut self, text: Text);
    fn string(&mut self, text: Text);
    fn number(&mut self, literal: &[u8]);
    fn word(&mut self, word: Word);
    fn open(&mut self, is_object: bool);
    fn close(&mut self);
}

/// Hears nothing: for values that stay raw.
struct Deaf;

impl Sink for Deaf {
    fn key(&mut self, _: Text) {}
    fn string(&mut self, _: Text) {}
    fn number(&mut self, _: &[u8]) {}
    fn word(&mut self, _: Word) {}
    fn open(&mut self, _: bool) {}
    fn close(&mut self) {}
}

/// A place in a text. The text must be UTF-8; the scanner itself checks everything else.
pub(crate) struct Scanner<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte that is no white space; stays on it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<u8, Broken> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(Broken),
            }
        }
    }

    /// Steps over the next byte that is no white space.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<u8, Broken> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// A property's name with its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Text, Broken> {
        if self.peek()? != b'"' {
            return Err(Broken);
        }
        let text = self.string()?;
        if self.next()? != b':' {
            return Err(Broken);
        }
        Ok(text)
    }

    /// Steps over a whole value and says where it stands.
    #[inline]
    pub(crate) fn skip(&mut self, depth_max: usize) -> Result<std::ops::Range<usize>, Broken> {
        self.peek()?;
        let start = self.at;
        self.walk(depth_max, &mut Deaf)?;
        Ok(start..self.at)
    }

    /// Steps over a whole value and tells the sink. At most `depth_max` containers may be open at
    /// a time; more than [`DEPTH_MAX`] never may.
    pub(crate) fn walk(&mut self, depth_max: usize, sink: &mut impl Sink) -> Result<(), Broken> {
        let depth_max = depth_max.min(DEPTH_MAX);
        let mut depth = 0;
        // One bit per open container, the innermost lowest: DEPTH_MAX of them fit.
        let mut objects = 0_u64;
        loop {
            match self.peek()? {
                b'"' => sink.string(self.string()?),
                b'-' | b'0'..=b'9' => sink.number(self.number()?),
                open @ (b'{' | b'[') => {
                    if depth == depth_max {
                        return Err(Broken);
                    }
                    let is_object = open == b'{';
                    depth += 1;
                    objects = objects << 1 | u64::from(is_object);
                    self.at += 1;
                    sink.open(is_object);
                    if self.peek()? != if is_object { b'}' } else { b']' } {
                        if is_object {
                            sink.key(self.key()?);
                        }
                        continue;
                    }
                    self.at += 1;
                    sink.close();
                    depth -= 1;
                    objects >>= 1;
                }
                _ => sink.word(self.word()?),
            }
            // A value is complete: close what ends with it, or go on to the next.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                match self.next()? {
                    b',' => {
                        if is_object {
                            sink.key(self.key()?);
                        }
                        break;
                    }
                    b'}' if is_object => {}
                    b']' if !is_object => {}
                    _ => return Err(Broken),
                }
                sink.close();
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// A string; stands on its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text, Broken> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += plain_len(&self.bytes[at..]);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Text { start, end: at, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at += escape_len(&self.bytes[at..])?;
                }
                _ => return Err(Broken),
            }
        }
    }

    /// A number; stands on its first byte.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Broken> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Broken) } else { Ok(()) }
    }

    /// One of the literal names; stands on its first byte.
    pub(crate) fn word(&mut self) -> Result<Word, Broken> {
        let rest = &self.bytes[self.at..];
        let (word, length) = match rest {
            [b'n', b'u', b'l', b'l', ..] => (Word::Null, 4),
            [b't', b'r', b'u', b'e', ..] => (Word::True, 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (Word::False, 5),
            _ => return Err(Broken),
        };
        self.at += length;
        Ok(word)
    }
}

/// How many bytes from the start can stand in a string as they are: no quote, no backslash, no
/// control character. Eight at a time, as a word.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // A borrow can only mark bytes after the first one that is marked rightly.
        let found = (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash);
        let found = found & HIGHS;
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    bytes.len() - tail.len() + tail.iter().position(special).unwrap_or(tail.len())
}

/// The length of the escape that starts with the first byte.
fn escape_len(bytes: &[u8]) -> Result<usize, Broken> {
    match bytes {
        [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(2),
        [_, b'u', hex @ ..] if hex.len() >= 4 && hex[..4].iter().all(u8::is_ascii_hexdigit) => {
            Ok(6)
        }
        _ => Err(Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> bool {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.skip(DEPTH_MAX).is_ok() && scanner.at == text.len()
    }

    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.5e+3",
            "10E-2",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "[]",
            "{}",
            "[1,[2,{}],\"x\"]",
            "{\"a\":{\"b\":[null]}}",
            " [ 1 , 2 ]",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "[1}",
            "{]",
            "nul",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "\"abc",
            "'a'",
            "+1",
            "[1 2]",
            "NaN",
            "\"12345678\\",
        ] {
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn a_string_ends_at_its_first_special_byte_wherever_that_stands() {
        for special in [b'"', b'\\', 0x1f, 0] {
            for place in 0..20 {
                let mut bytes = vec![b'\xc3'; 20];
                bytes[place] = special;
                assert_eq!(plain_len(&bytes), place);
            }
        }
        assert_eq!(plain_len(&[b' '; 17]), 17);
    }

    #[test]
    fn the_deepest_value_has_as_many_levels_as_allowed() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(whole(&nested(DEPTH_MAX)));
        assert!(!whole(&nested(DEPTH_MAX + 1)));
        assert!(!whole(&"[".repeat(1_000_000)));
    }
}
