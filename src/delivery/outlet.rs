//! The way out for every event, and what the other rooms see of delivery.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::metrics::Metrics;
use super::questions::Questions;
use crate::backplane::{Backplane, BackplaneError, Incoming, Published, Reach};
use crate::connections::{Connection, Connections, Frame, Registry, SendError};
use crate::model::{Envelope, HubName};
use crate::protocol::Event;

/// Why something could not be delivered or arranged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// No hub of that name is configured.
    #[error("there is no hub '{0}'")]
    UnknownHub(HubName),
    /// The connection is in too many groups.
    #[error(transparent)]
    GroupFull(#[from] crate::connections::GroupFull),
    /// Other nodes could not be reached.
    #[error(transparent)]
    Backplane(#[from] BackplaneError),
}

/// Delivers to the hubs of this node and, through the backplane, of all others.
pub struct Delivery {
    pub(super) backplane: Arc<dyn Backplane>,
    pub(super) registries: HashMap<HubName, Registry>,
    pub(super) questions: Questions,
    pub(super) metrics: Metrics,
    pub(super) tasks: TaskTracker,
}

impl Delivery {
    /// Delivery for these hubs; their set does not change later.
    pub fn new(
        node: &Arc<Connections>,
        backplane: Arc<dyn Backplane>,
        hubs: impl IntoIterator<Item = HubName>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let registries = hubs.into_iter().map(|hub| (hub, Registry::new(node.clone()))).collect();
        let questions = Questions::new(&metrics);
        Arc::new(Self { backplane, registries, questions, metrics, tasks })
    }

    /// Delivery on a node that is alone, for the tests of the rooms above.
    #[cfg(test)]
    pub(crate) fn alone(
        node: &Arc<Connections>,
        hubs: impl IntoIterator<Item = HubName>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        Self::new(node, Arc::new(crate::backplane::InProcess), hubs, metrics, tasks)
    }

    /// Whether a hub is configured.
    pub fn has_hub(&self, hub: &str) -> bool {
        self.registries.contains_key(hub)
    }

    /// Sends an event to its audience. On one node it is in every outbox when this returns.
    pub async fn publish(&self, envelope: Envelope<Event>) -> Result<(), DeliveryError> {
        self.registry(&envelope.hub)?;
        self.metrics.published.inc();
        match self.backplane.publish(envelope).await? {
            Published::DeliverHere(envelope) => self.deliver_here(&envelope),
            Published::Sent => {}
        }
        Ok(())
    }

    /// Sends an event to the client of one connection on this node, and waits for room: for what a
    /// session says to its own client.
    pub async fn send_to(
        &self,
        connection: &Arc<Connection>,
        event: &Event,
    ) -> Result<(), SendError> {
        let Some(protocol) = connection.protocol() else { return Err(SendError::Closed) };
        match event.encoded(protocol) {
            Ok(encoded) => connection.send(Frame::ordered(encoded)).await,
            Err(error) => {
                self.not_encodable(event, &error);
                Ok(())
            }
        }
    }

    /// Takes what other nodes send, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let Some(mut receiver) = self.backplane.receiver() else { return };
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => return,
                incoming = receiver.recv() => incoming,
            };
            let Some(incoming) = incoming else { return };
            self.received(incoming).await;
        }
    }

    async fn received(self: &Arc<Self>, incoming: Incoming) {
        match incoming {
            Incoming::Event(envelope) => self.deliver_here(&envelope),
            Incoming::Group { hub, command, done } => {
                let reach = self.change_group_here(&hub, &command).await.unwrap_or(Reach::Nobody);
                // Nobody waits any more: the asking node has its own deadline.
                let _ = done.send(reach);
            }
            Incoming::Close { hub, connection, reason } => {
                self.close_here(&hub, &connection, reason);
            }
            Incoming::Question { hub, question, answer } => {
                self.ask_here(&hub, question, answer);
            }
            Incoming::Exists { hub, subject, answer } => {
                let here = self.registry(&hub).is_ok_and(|registry| registry.has(&subject));
                let _ = answer.send(here);
            }
        }
    }

    pub(super) fn registry(&self, hub: &HubName) -> Result<&Registry, DeliveryError> {
        self.registries.get(hub).ok_or_else(|| DeliveryError::UnknownHub(hub.clone()))
    }
}
