//! A text that must not be seen in logs, errors or dumps.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A key in the clear. It shows itself only to [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_seen_neither_in_debug_nor_in_a_dump() {
        let secret = Secret::new("condt_open");
        assert!(!format!("{secret:?}").contains("open"));
        assert!(!serde_json::to_string(&secret).unwrap().contains("open"));
        assert_eq!(secret.expose(), "condt_open");
    }
}
