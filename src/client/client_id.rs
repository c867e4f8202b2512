//! The lasting half of a subscriber's name, which is also its secret.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 192 bits: more than the 128 the server wants, and no padding in base64.
const RANDOM_BYTES: usize = 24;

/// Who a client is across its connections. Of anonymous callers it is the only secret: whoever
/// knows it gets their messages, so it is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Arc<str>);

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoRandomness(String);

impl ClientId {
    /// A new one of 192 random bits.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| NoRandomness(error.to_string()))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// One that the application has kept. It must have at least 128 random bits.
    pub fn kept(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, to be kept where secrets are.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_one_is_long_url_safe_and_never_shown() {
        let (one, other) = (ClientId::random().unwrap(), ClientId::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        assert!(!format!("{one:?}").contains(one.as_str()));
    }
}
