//! Names and ids: cheap to clone, compared by their text, never mixed up with one another.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// The configured name of a hub (`tasks`), not its path.
    HubName
}
name! {
    /// The public id of one connection; never the secret connection token.
    ConnectionId
}
name! {
    /// Who is behind a connection, as its authenticator says. Compared exactly.
    UserId
}
name! {
    /// The name of a group within one hub. Case-sensitive.
    GroupName
}
name! {
    /// Whose budget a published message uses: the name of its service key.
    Tenant
}
name! {
    /// The id of one published message, and its idempotency key.
    MessageId
}

/// Why a text is no message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessageId {
    /// Empty, or longer than [`MessageId::LENGTH_MAX`].
    #[error("must have 1 to 128 characters")]
    Length,
    /// A character outside `[A-Za-z0-9._:-]`.
    #[error("may only contain A-Z a-z 0-9 . _ : -")]
    Character,
}

impl MessageId {
    /// The longest id a publisher may bring, in characters.
    pub const LENGTH_MAX: usize = 128;

    /// Checks an id that a publisher brings.
    pub fn parse(text: &str) -> Result<Self, BadMessageId> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(BadMessageId::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if !text.bytes().all(allowed) {
            return Err(BadMessageId::Character);
        }
        Ok(Self::from(text))
    }

    /// A new id that sorts by the time of its making (UUID version 7).
    pub fn new_v7() -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self::from(&*uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_short_and_of_url_safe_characters() {
        assert!(MessageId::parse("order-7:a.b_C").is_ok());
        assert_eq!(MessageId::parse(""), Err(BadMessageId::Length));
        assert_eq!(MessageId::parse(&"a".repeat(129)), Err(BadMessageId::Length));
        assert_eq!(MessageId::parse("a b"), Err(BadMessageId::Character));
    }

    #[test]
    fn ids_made_later_sort_later() {
        let (a, b) = (MessageId::new_v7(), MessageId::new_v7());
        assert!(a < b, "{a} {b}");
    }
}
