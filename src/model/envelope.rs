//! One event on its way to its audience.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Audience, HubName, MessageId};

/// What is promised about the delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The newest per conflation key wins; may be dropped when a reader is slow.
    Volatile,
    /// In order and at most once per connection; a reader too slow for it is disconnected.
    Ordinary,
    /// Kept until acked, nacked out, expired or dead.
    Acknowledged,
}

/// Urgency from 0 (default) to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The most urgent.
    pub const MAX: u8 = 10;

    /// None when over [`Priority::MAX`].
    pub fn new(value: u8) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The number, 0 to 10.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// One event on its way. `E` is what is said; the model does not look into it.
#[derive(Clone, Debug)]
pub struct Envelope<E> {
    /// The message's id.
    pub id: MessageId,
    /// The hub whose clients are meant.
    pub hub: HubName,
    /// Whom it is for.
    pub audience: Audience,
    /// What is said.
    pub event: Arc<E>,
    /// What is promised.
    pub class: Class,
    /// Which volatile messages replace one another; none means the event's target.
    pub conflation_key: Option<Arc<str>>,
    /// How urgent it is.
    pub priority: Priority,
    /// After this it is not delivered any more.
    pub expires_at: Option<SystemTime>,
    /// The publisher's own mark.
    pub correlation_id: Option<Arc<str>>,
}

impl<E> Envelope<E> {
    /// An ordinary message with a new id and nothing special about it.
    pub fn ordinary(hub: HubName, audience: Audience, event: Arc<E>) -> Self {
        Self {
            id: MessageId::new_v7(),
            hub,
            audience,
            event,
            class: Class::Ordinary,
            conflation_key: None,
            priority: Priority::default(),
            expires_at: None,
            correlation_id: None,
        }
    }
}
