//! MessagePack, token by token, without recursion and without memory; lengths and counts that lie
//! are found before anything is done with them.

use std::ops::Range;

use crate::protocol::framing::DEPTH_MAX;

/// The bytes are no complete MessagePack value, or nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// One scalar, or the head of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Only what does not fit an `i64`.
    Uint(u64),
    F32(f32),
    F64(f64),
    /// Not known to be UTF-8.
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    /// Number of elements.
    Array(usize),
    /// Number of pairs.
    Map(usize),
}

/// Something to hear of everything a value is made of, in the order of the bytes.
pub(crate) trait Sink {
    fn token(&mut self, token: Token<'_>);
    /// The innermost container is complete.
    fn close(&mut self);
}

/// Hears nothing: for values that stay raw.
struct Deaf;

impl Sink for Deaf {
    fn token(&mut self, _: Token<'_>) {}
    fn close(&mut self) {}
}

/// A place in a message.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(Broken)?;
        self.at += length;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let rest = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let taken = rest.ok_or(Broken)?;
        self.at += N;
        Ok(*taken)
    }

    /// A length or count of `N` bytes.
    #[inline]
    fn length<const N: usize>(&mut self) -> Result<usize, Broken> {
        let bytes = self.array::<N>()?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    #[inline]
    fn ext(&mut self, length: usize) -> Result<Token<'a>, Broken> {
        let [kind] = self.array()?;
        Ok(Token::Ext(kind as i8, self.take(length)?))
    }

    /// The next token. The elements of a container are only counted, not known to be there.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Token<'a>, Broken> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Token::Int(i64::from(marker)),
            0x80..=0x8f => Token::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Token::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Token::Str(self.take(usize::from(marker & 0x1f))?),
            0xc0 => Token::Nil,
            0xc1 => return Err(Broken),
            0xc2 | 0xc3 => Token::Bool(marker == 0xc3),
            0xc4 => self.length::<1>().and_then(|length| self.take(length)).map(Token::Bin)?,
            0xc5 => self.length::<2>().and_then(|length| self.take(length)).map(Token::Bin)?,
            0xc6 => self.length::<4>().and_then(|length| self.take(length)).map(Token::Bin)?,
            0xc7 => self.length::<1>().and_then(|length| self.ext(length))?,
            0xc8 => self.length::<2>().and_then(|length| self.ext(length))?,
            0xc9 => self.length::<4>().and_then(|length| self.ext(length))?,
            0xca => Token::F32(f32::from_be_bytes(self.array()?)),
            0xcb => Token::F64(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(i64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => {
                let value = u64::from_be_bytes(self.array()?);
                i64::try_from(value).map_or(Token::Uint(value), Token::Int)
            }
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.ext(1 << (marker - 0xd4))?,
            0xd9 => self.length::<1>().and_then(|length| self.take(length)).map(Token::Str)?,
            0xda => self.length::<2>().and_then(|length| self.take(length)).map(Token::Str)?,
            0xdb => self.length::<4>().and_then(|length| self.take(length)).map(Token::Str)?,
            0xdc => Token::Array(self.length::<2>()?),
            0xdd => Token::Array(self.length::<4>()?),
            0xde => Token::Map(self.length::<2>()?),
            0xdf => Token::Map(self.length::<4>()?),
            0xe0..=0xff => Token::Int(i64::from(marker as i8)),
        })
    }

    /// The next token, when it is what `pick` wants; otherwise the place stays.
    fn picked<T>(&mut self, pick: impl FnOnce(Token<'a>) -> Option<T>) -> Result<T, Broken> {
        let start = self.at;
        let picked = self.head().ok().and_then(pick);
        if picked.is_none() {
            self.at = start;
        }
        picked.ok_or(Broken)
    }

    /// The head of an array, whatever it claims.
    pub(crate) fn array_head(&mut self) -> Result<usize, Broken> {
        self.picked(|token| if let Token::Array(count) = token { Some(count) } else { None })
    }

    /// The head of a map, whatever it claims.
    pub(crate) fn map_head(&mut self) -> Result<usize, Broken> {
        self.picked(|token| if let Token::Map(count) = token { Some(count) } else { None })
    }

    /// An integer in any form that fits.
    pub(crate) fn int(&mut self) -> Result<i64, Broken> {
        self.picked(|token| if let Token::Int(value) = token { Some(value) } else { None })
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self) -> Result<bool, Broken> {
        self.picked(|token| if let Token::Bool(value) = token { Some(value) } else { None })
    }

    /// Where the bytes of a string stand; none for nil.
    pub(crate) fn str_or_nil(&mut self) -> Result<Option<Range<usize>>, Broken> {
        let length = self.picked(|token| match token {
            Token::Str(bytes) => Some(Some(bytes.len())),
            Token::Nil => Some(None),
            _ => None,
        })?;
        Ok(length.map(|length| self.at - length..self.at))
    }

    /// Steps over a whole value and says where it stands.
    #[inline]
    pub(crate) fn skip(&mut self, depth_max: usize) -> Result<Range<usize>, Broken> {
        let start = self.at;
        self.walk(depth_max, &mut Deaf)?;
        Ok(start..self.at)
    }

    /// Steps over a whole value and tells the sink. At most `depth_max` containers may be open at
    /// a time; more than [`DEPTH_MAX`] never may.
    #[inline]
    pub(crate) fn walk(&mut self, depth_max: usize, sink: &mut impl Sink) -> Result<(), Broken> {
        let token = self.head()?;
        if let Token::Array(_) | Token::Map(_) = token {
            return self.walk_container(token, depth_max.min(DEPTH_MAX), sink);
        }
        sink.token(token);
        Ok(())
    }

    fn walk_container(
        &mut self,
        mut token: Token<'a>,
        depth_max: usize,
        sink: &mut impl Sink,
    ) -> Result<(), Broken> {
        // How many values each open container still waits for.
        let mut awaited = [0_usize; DEPTH_MAX];
        let mut depth = 0;
        loop {
            let count = match token {
                Token::Array(count) => Some(count),
                Token::Map(count) => Some(count.checked_mul(2).ok_or(Broken)?),
                _ => None,
            };
            if let Some(count) = count
                && (depth == depth_max || count > self.bytes.len() - self.at)
            {
                return Err(Broken);
            }
            sink.token(token);
            match count {
                Some(0) => sink.close(),
                Some(count) => {
                    awaited[depth] = count;
                    depth += 1;
                }
                None => {}
            }
            if count.is_none_or(|count| count == 0) {
                // A value is complete: close what ends with it.
                while depth > 0 {
                    awaited[depth - 1] -= 1;
                    if awaited[depth - 1] > 0 {
                        break;
                    }
                    depth -= 1;
                    sink.close();
                }
                if depth == 0 {
                    return Ok(());
                }
            }
            token = self.head()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        reader.skip(DEPTH_MAX).is_ok() && reader.is_at_end()
    }

    #[test]
    fn every_form_of_value_is_stepped_over() {
        for bytes in [
            &[0x7f][..],
            &[0xc0],
            &[0xc3],
            &[0xff],
            &[0xa1, b'a'],
            &[0x92, 1, 0x91, 2],
            &[0x81, 0xa1, b'k', 0x80],
            &[0xc4, 1, 0],
            &[0xc7, 0, 5],
            &[0xd4, 5, 0],
            &[0xd8, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xdc, 0, 1, 0xc0],
            &[0xde, 0, 1, 0xc0, 0xc0],
            &[0xdb, 0, 0, 0, 1, b'x'],
        ] {
            assert!(whole(bytes), "{bytes:02x?}");
            for end in 0..bytes.len() {
                assert!(!whole(&bytes[..end]), "{bytes:02x?} cut at {end}");
            }
        }
        assert!(!whole(&[0xc1]));
    }

    #[test]
    fn a_count_or_length_that_lies_costs_nothing() {
        for head in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
            assert!(!whole(&[head, 0xff, 0xff, 0xff, 0xff, 0, 0]));
        }
        assert!(!whole(&[0x93, 0xdd, 0, 0, 0, 3, 0, 0, 0, 0]));
    }

    #[test]
    fn the_deepest_value_has_as_many_levels_as_allowed() {
        let nested = |levels: usize| {
            let mut bytes = vec![0x91; levels];
            *bytes.last_mut().unwrap() = 0x90;
            bytes
        };
        assert!(whole(&nested(DEPTH_MAX)));
        assert!(!whole(&nested(DEPTH_MAX + 1)));
        assert!(!whole(&vec![0x91; 1_000_000]));
        assert!(!whole(&vec![0xdd; 1_000_000]));
    }
}
