//! Connection ids and secret tokens: 16 random bytes, shown as 22 URL-safe characters.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::ConnectionId;

const LENGTH: usize = 16;
/// Tokens of one call to the kernel: the call costs as much as some hundred bytes of its answer.
const BATCH: usize = 64;

/// The secret name of a slot. Never logged: it has no `Debug` that shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token([u8; LENGTH]);

/// Random bytes that are not used yet.
struct Pool {
    bytes: [u8; LENGTH * BATCH],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; LENGTH * BATCH], left: 0 }) };
}

impl Token {
    /// A new one from the system's random numbers.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        POOL.with_borrow_mut(|pool| {
            if pool.left == 0 {
                getrandom::fill(&mut pool.bytes)?;
                pool.left = BATCH;
            }
            pool.left -= 1;
            let mut token = [0; LENGTH];
            let own = &mut pool.bytes[pool.left * LENGTH..][..LENGTH];
            token.copy_from_slice(own);
            own.fill(0);
            Ok(Self(token))
        })
    }

    /// Reads what a client sent. None when no token can look like that.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; LENGTH + 2];
        if text.len() != 22 {
            return None;
        }
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        bytes[..length].try_into().ok().map(Self)
    }

    /// As it goes over the wire.
    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The same characters as a public id: before version 1 the id is the token.
    pub(super) fn as_id(&self) -> ConnectionId {
        ConnectionId::from(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_survive_the_wire() {
        let tokens: Vec<_> = (0..200).map(|_| Token::random().unwrap()).collect();
        let texts: std::collections::HashSet<_> = tokens.iter().map(Token::text).collect();
        assert_eq!(texts.len(), 200);
        for token in tokens {
            assert!(Token::parse(&token.text()) == Some(token));
        }
    }

    #[test]
    fn what_no_token_looks_like_is_simply_not_there() {
        let long = "x".repeat(100_000);
        for text in ["", "a", "ä", "!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAAA", &long] {
            assert!(Token::parse(text).is_none(), "{text:.30}");
        }
    }
}
