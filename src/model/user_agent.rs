//! What a client's program calls itself.

use std::borrow::Borrow;
use std::sync::Arc;

/// The User-Agent of a client, shared by all that call themselves the same. A client's own words:
/// shown, and never trusted. One pointer, because every connection has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserAgent(Arc<Box<str>>);

impl UserAgent {
    /// Bytes that are kept; what is longer is cut.
    pub const BYTES_MAX: usize = 256;

    /// From a header's value: without control characters, and what is no UTF-8 as U+FFFD. None when
    /// it says nothing.
    pub fn of(value: &[u8]) -> Option<Self> {
        // Twice the bound is enough, whatever is left out; a header may have 64 KiB.
        let value = &value[..value.len().min(2 * Self::BYTES_MAX)];
        let mut text: String =
            String::from_utf8_lossy(value).chars().filter(|own| !own.is_control()).collect();
        text.truncate(text.floor_char_boundary(Self::BYTES_MAX));
        let text = text.trim();
        (!text.is_empty()).then(|| Self(Arc::new(text.into())))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody else has it.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Borrow<str> for UserAgent {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &[u8]) -> String {
        UserAgent::of(value).map(|own| own.as_str().to_owned()).unwrap_or_default()
    }

    #[test]
    fn what_a_client_calls_itself_is_short_and_cannot_steer_a_terminal() {
        assert_eq!(shown(b"Mozilla/5.0 (X11)"), "Mozilla/5.0 (X11)");
        assert_eq!(shown(b" a\x1b[2J\tb\xc2\x9bc "), "a[2Jbc");
        assert_eq!(shown(b"\xff"), "\u{fffd}");
        assert_eq!(shown(&[b'x'; 70_000]).len(), UserAgent::BYTES_MAX);
        assert_eq!(shown("ä".repeat(300).as_bytes()), "ä".repeat(128));
        assert!(UserAgent::of(b" \t").is_none());
    }

    #[test]
    fn a_connection_pays_one_pointer_for_it() {
        assert_eq!(size_of::<Option<UserAgent>>(), size_of::<usize>());
    }
}
