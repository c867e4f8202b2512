//! The names of things in the store, small enough to be held a million times.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::model::{HubName, UserId};

/// A point of wall-clock time, in milliseconds since 1970. Wall-clock, because it outlives processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// So much later.
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; nothing when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self::default().after(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_millis(moment.0)).unwrap_or(UNIX_EPOCH)
    }
}

/// Who is owed: one session, or one connection without a session. Ascending; never used again, but
/// after a restart for a connection that never was owed anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// The place of a message in the order of acceptance. Ascending, never used again.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageSeq(pub u64);

impl fmt::Display for MessageSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for MessageSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// Who stands behind a session, as authentication said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Identity {
    /// A known caller, as `user` audiences address it. Several of its connections are the same
    /// identity.
    Named(UserId),
    /// Nobody in particular: only a client id, which is a secret then, tells two of them apart.
    Anonymous,
}

impl Identity {
    /// The caller, when it is known.
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Named(user) => Some(user),
            Self::Anonymous => None,
        }
    }
}

/// Why a client id opens no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClientId {
    /// Empty, or longer than [`ClientKey::LENGTH_MAX`].
    #[error("must have 1 to 128 characters")]
    Length,
    /// An anonymous caller's id that could be guessed.
    #[error("must have at least 22 characters of [A-Za-z0-9_-] from a caller without a credential")]
    Guessable,
}

/// A client id as it is kept: 128 bits of its hash. The id itself may be a secret and is never kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(pub(super) [u8; 16]);

impl ClientKey {
    /// The longest client id, in bytes.
    pub const LENGTH_MAX: usize = 128;
    /// 128 random bits need 22 characters of base64. Whether they are random nobody can check.
    const SECRET_LENGTH_MIN: usize = 22;

    /// Takes the client id of a caller.
    pub fn of(identity: &Identity, client_id: &str) -> Result<Self, BadClientId> {
        if client_id.is_empty() || client_id.len() > Self::LENGTH_MAX {
            return Err(BadClientId::Length);
        }
        let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let strong = client_id.len() >= Self::SECRET_LENGTH_MIN && client_id.bytes().all(url_safe);
        if *identity == Identity::Anonymous && !strong {
            return Err(BadClientId::Guessable);
        }
        Ok(Self(hash_of(&[client_id.as_bytes()])))
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

/// What a session is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The hub; a session does not reach beyond it.
    pub hub: HubName,
    /// Whose session it is: one caller cannot take another's.
    pub identity: Identity,
    /// The client id; none for a stock client, whose connection is the subscriber.
    pub client: Option<ClientKey>,
}

impl SessionKey {
    /// Which session it is, in few bytes; none without a client id.
    pub(super) fn digest(&self) -> Option<SessionDigest> {
        let (hub, client) = (self.hub.as_str().as_bytes(), &self.client.as_ref()?.0);
        Some(SessionDigest(match &self.identity {
            Identity::Named(user) => hash_of(&[hub, b"user", user.as_str().as_bytes(), client]),
            Identity::Anonymous => hash_of(&[hub, client]),
        }))
    }
}

/// What sessions are found by in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionDigest([u8; 16]);

/// 128 bits of SHA-256 over the parts, each closed by its length, so that no two lists collide.
pub(super) fn hash_of(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update((part.len() as u64).to_le_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anonymous_client_id_must_be_a_secret_and_is_never_shown() {
        let named = Identity::Named("u".into());
        let secret = "0123456789abcdefghij-_";
        assert!(ClientKey::of(&named, "tab1").is_ok());
        assert_eq!(ClientKey::of(&Identity::Anonymous, "tab1"), Err(BadClientId::Guessable));
        assert_eq!(ClientKey::of(&named, ""), Err(BadClientId::Length));
        assert_eq!(ClientKey::of(&named, &"x".repeat(129)), Err(BadClientId::Length));
        let key = ClientKey::of(&Identity::Anonymous, secret).unwrap();
        assert!(!format!("{key:?}").contains("0123"));
    }

    #[test]
    fn no_two_sessions_have_the_same_digest_and_a_connection_without_one_has_none() {
        let named = |name: &str| Identity::Named(name.into());
        let client = |id: &str| Some(ClientKey(hash_of(&[id.as_bytes()])));
        let keys = [
            ("tasks", named("u"), client("a")),
            ("tasks", named("u"), client("b")),
            ("tasks", named("v"), client("a")),
            ("tasks", named(""), client("a")),
            ("tasks", Identity::Anonymous, client("a")),
            ("news", named("u"), client("a")),
        ];
        let digest = |(hub, identity, client): (&str, Identity, Option<ClientKey>)| {
            SessionKey { hub: hub.into(), identity, client }.digest()
        };
        let digests: std::collections::HashSet<_> = keys.clone().map(digest).into_iter().collect();
        assert_eq!(digests.len(), keys.len());
        assert!(digest(("tasks", named("u"), None)).is_none());
    }

    #[test]
    fn a_moment_goes_to_the_system_clock_and_back() {
        let now = Moment(1_795_521_600_123);
        assert_eq!(Moment::from(SystemTime::from(now)), now);
        assert_eq!(now.after(Duration::from_secs(1)).since(now), Duration::from_secs(1));
    }
}
