//! From an envelope to the outboxes of those who are here.

use std::time::SystemTime;

use super::outlet::Delivery;
use crate::connections::Frame;
use crate::model::{Class, Envelope};
use crate::protocol::{EncodeError, Event};

impl Delivery {
    /// Appends the event to the outbox of everybody in its audience on this node.
    pub(super) fn deliver_here(&self, envelope: &Envelope<Event>) {
        let Ok(registry) = self.registry(&envelope.hub) else { return };
        if envelope.expires_at.is_some_and(|end| end <= SystemTime::now()) {
            self.metrics.expired.inc();
            return;
        }
        let event = &envelope.event;
        let count = registry.fan_out(&envelope.audience, |protocol| {
            let encoded = event
                .encoded(protocol)
                .inspect_err(|error| self.not_encodable(event, error))
                .ok()?;
            Some(match envelope.class {
                Class::Volatile => {
                    let key = envelope.conflation_key.clone();
                    Frame::volatile(encoded, key.unwrap_or_else(|| event.target().into()))
                }
                Class::Ordinary | Class::Acknowledged => Frame::ordered(encoded),
            })
        });
        self.metrics.deliveries.inc_by(count as u64);
    }

    pub(super) fn not_encodable(&self, event: &Event, error: &EncodeError) {
        self.metrics.not_encodable.inc();
        tracing::debug!(target = event.target(), %error, "an event cannot be said in a protocol");
    }
}
