//! Clients that were chosen, and what is sent to them.

use std::sync::Arc;

use super::clients::HubContext;
use super::error::HubResult;
use crate::model::{Audience, Class, Envelope};
use crate::protocol::{Arguments, Event};

/// Whoever belongs to an audience when an event is sent. Sending never waits for their sockets.
#[derive(Clone)]
pub struct Recipients<'a> {
    context: &'a HubContext,
    audience: Audience,
    class: Class,
}

impl<'a> Recipients<'a> {
    pub(super) fn new(context: &'a HubContext, audience: Audience) -> Self {
        Self { context, audience, class: Class::Ordinary }
    }

    /// For events of which only the newest matters: a reader too slow for them misses some instead
    /// of being disconnected.
    pub fn volatile(mut self) -> Self {
        self.class = Class::Volatile;
        self
    }

    /// Sends an event; on this node it is in every outbox when this returns.
    pub async fn send(&self, target: &str, arguments: impl Arguments + 'static) -> HubResult<()> {
        let event = Arc::new(Event::new(target, arguments));
        let hub = self.context.name().clone();
        let mut envelope = Envelope::ordinary(hub, self.audience.clone(), event);
        envelope.class = self.class;
        self.context.delivery().publish(envelope).await?;
        Ok(())
    }
}
