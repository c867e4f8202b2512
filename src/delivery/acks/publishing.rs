//! Acknowledged publishing: durable first, then into outboxes, then the answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::engine::Acks;
use super::hub::DeliveryOrder;
use super::order::Publisher;
use crate::delivery::breaker::Permit;
use crate::delivery::lanes::Lane;
use crate::delivery::outlet::{Delivery, DeliveryError};
use crate::model::{Envelope, HubName, MessageId, Priority};
use crate::protocol::{EncodeError, Event, Protocol};
use crate::store::{
    Acceptance, Content, Encoding, MessageSeq, Mode, Moment, NewMessage, Refusal, StoreError,
};

/// A message that must not be lost.
pub struct Acknowledged {
    /// The message; its class is not looked at.
    pub envelope: Envelope<Event>,
    /// Who publishes it.
    pub publisher: Publisher,
    /// Whether an operator counts on it.
    pub critical: bool,
    /// Whether an audience of nobody is refused.
    pub require_audience: bool,
    /// A hash of everything the publisher said: the same id with another hash is refused.
    pub body_hash: [u8; 16],
    /// Called before anybody is sent it, and only when it is published now: not for a repetition of
    /// a message that was accepted before, and not for one that was refused. Must not wait.
    pub on_first: Option<OnFirst>,
}

/// Hears that a message is about to be delivered for the first time.
pub type OnFirst = Box<dyn FnOnce() + Send>;

/// What a publisher is told about a message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedReceipt {
    /// Its id.
    pub id: MessageId,
    /// Its place in the order of acceptance.
    pub seq: MessageSeq,
    /// How many subscribers owe an answer, those away included. 0: it is settled already.
    pub targeted: u64,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// It was accepted before, and nothing was published now.
    pub duplicate: bool,
    /// What it survives.
    pub mode: Mode,
}

/// A message that is being accepted, and by whom.
type Begun = (Arc<Acks>, JoinHandle<Result<AcceptedReceipt, NotAccepted>>);

/// Why an acknowledged message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The hub is not there, or this node keeps nothing.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// Its arguments cannot be kept.
    #[error(transparent)]
    NotEncodable(#[from] EncodeError),
    /// A limit or a rule of the store.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed. The message may be accepted nevertheless: to be repeated with its id.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has failed too often; nothing is tried before this has passed.
    #[error("the store is failing; it is tried again in {0:?}")]
    BreakerOpen(Duration),
    /// This node keeps no messages.
    #[error("acknowledged delivery is not configured")]
    NotConfigured,
    /// The node stops.
    #[error("the server is stopping")]
    Stopping,
}

impl NotAccepted {
    /// A fixed name, for problem documents and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivery(_) => "unknown_hub",
            Self::NotEncodable(_) => "not_encodable",
            Self::Refused(refusal) => refusal.name(),
            Self::Store(_) => "store_failing",
            Self::BreakerOpen(_) => "store_breaker_open",
            Self::NotConfigured => "not_configured",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the same message may be accepted later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Delivery(_) | Self::NotEncodable(_) | Self::NotConfigured => false,
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Store(_) | Self::BreakerOpen(_) | Self::Stopping => true,
        }
    }
}

impl Delivery {
    /// Keeps a message until each subscriber in its audience has settled it. When this completes, it
    /// is durable and in the outboxes of those who are here.
    ///
    /// The message is handed to the store by the call itself, so calls in a row keep their order
    /// without waiting for each other. Dropping the future changes nothing.
    pub fn publish_acknowledged(
        &self,
        message: Acknowledged,
    ) -> impl Future<Output = Result<AcceptedReceipt, NotAccepted>> + Send + use<> {
        let begun = self.begin_publishing(message);
        async move {
            let (acks, task) = begun?;
            let outcome = task.await.map_err(|_panicked_or_stopping| NotAccepted::Stopping)?;
            match &outcome {
                Ok(receipt) if !receipt.duplicate => acks.policy.metrics.accepted.inc(),
                Ok(_) => {}
                Err(error) => acks.policy.metrics.refused.with_label_values(&[error.name()]).inc(),
            }
            outcome
        }
    }

    fn begin_publishing(&self, message: Acknowledged) -> Result<Begun, NotAccepted> {
        self.registry(&message.envelope.hub)?;
        let acks = self.acks.clone().ok_or(NotAccepted::NotConfigured)?;
        let publisher = message.publisher.clone();
        let (new, on_first) = new_message(message)?;
        // The last thing that can refuse it: a probe that is given must be made.
        acks.ask_store_breaker()?;
        let lane = acks.lane_of_turns(&new.hub, new.priority);
        let mut ticket = acks.turns.ticket(&new.hub, &publisher, lane);
        let now = acks.now();
        // Under way from here on, whatever becomes of the future.
        let answer = acks.store.accept(new.clone(), now);
        let task = acks.tasks.clone().spawn({
            let acks = acks.clone();
            async move {
                let answer = answer.await;
                acks.tell_store_breaker(answer.as_ref().err());
                ticket.turn().await;
                if let Some(on_first) = on_first.filter(|_| is_first(&answer)) {
                    on_first();
                }
                let receipt = acks.accepted(new, now, answer).await;
                drop(ticket);
                receipt
            }
        });
        Ok((acks, task))
    }

    /// Publishes an ordinary or volatile message of a publisher behind what it has under way. Once it
    /// waits for its turn it is published, whatever becomes of the future: a place that is given up
    /// would let those behind it pass those before it.
    pub async fn publish_in_order(
        self: &Arc<Self>,
        publisher: &Publisher,
        envelope: Envelope<Event>,
    ) -> Result<(), DeliveryError> {
        if let Some(acks) = self.acks.as_ref().filter(|acks| !acks.turns.is_idle()) {
            if acks.turns.is_full() {
                acks.policy.metrics.refused.with_label_values(&[StoreError::Busy.name()]).inc();
                return Err(DeliveryError::Store(StoreError::Busy));
            }
            let lane = acks.lane_of_turns(&envelope.hub, envelope.priority);
            let mut ticket = acks.turns.ticket(&envelope.hub, publisher, lane);
            let delivery = self.clone();
            let task = acks.tasks.spawn(async move {
                ticket.turn().await;
                delivery.publish(envelope).await
            });
            return task.await.unwrap_or(Err(DeliveryError::Store(StoreError::Closed)));
        }
        self.publish(envelope).await
    }
}

impl Acks {
    /// The store has answered, and the publisher's earlier messages are done: those who are here get
    /// this one.
    async fn accepted(
        self: Arc<Self>,
        new: NewMessage,
        now: Moment,
        answer: Result<Acceptance, StoreError>,
    ) -> Result<AcceptedReceipt, NotAccepted> {
        let mode = self.store.mode();
        let id = new.id.clone();
        match answer? {
            Acceptance::Accepted(accepted) => {
                let (seq, targeted) = (accepted.seq, accepted.subscribers.len() as u64);
                if targeted > 0 {
                    let message = self.shelf.accepted(&accepted, &new, now);
                    drop(new);
                    self.deliver_first(message, accepted.subscribers).await;
                }
                Ok(AcceptedReceipt { id, seq, targeted, accepted_at: now, duplicate: false, mode })
            }
            Acceptance::Duplicate { seq, targeted, accepted_at } => {
                Ok(AcceptedReceipt { id, seq, targeted, accepted_at, duplicate: true, mode })
            }
            Acceptance::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// In which lane a message keeps its order: on a strict hub nothing of a publisher overtakes.
    fn lane_of_turns(&self, hub: &HubName, priority: Priority) -> Lane {
        match self.hubs.get(hub).map(|hub| hub.order) {
            Some(DeliveryOrder::Strict) => Lane::Normal,
            Some(DeliveryOrder::First) | None => Lane::of(priority),
        }
    }

    fn ask_store_breaker(&self) -> Result<(), NotAccepted> {
        match self.store_breaker.lock().permit(Instant::now()) {
            Permit::Free | Permit::Probe => Ok(()),
            Permit::Wait(until) => {
                let wait = until.map(|until| until.duration_since(Instant::now()));
                Err(NotAccepted::BreakerOpen(wait.unwrap_or(self.policy.breaker.open_time)))
            }
        }
    }

    /// A full disk is an answer: the store looks after it by itself, and says so at once.
    fn tell_store_breaker(&self, error: Option<&StoreError>) {
        let (now, limits) = (Instant::now(), &self.policy.breaker);
        let mut breaker = self.store_breaker.lock();
        match error {
            Some(StoreError::Failing(_) | StoreError::Deadline) => {
                breaker.failed(now, limits);
            }
            Some(StoreError::DiskFull | StoreError::Busy | StoreError::Closed) => breaker.unused(),
            None => breaker.succeeded(now, limits),
        }
    }
}

/// Whether the message is published now. Where nobody knows, it may be: a sweep finds it then.
fn is_first(answer: &Result<Acceptance, StoreError>) -> bool {
    match answer {
        Ok(Acceptance::Accepted(_)) | Err(_) => true,
        Ok(Acceptance::Duplicate { .. } | Acceptance::Refused(_)) => false,
    }
}

fn new_message(message: Acknowledged) -> Result<(NewMessage, Option<OnFirst>), EncodeError> {
    let Acknowledged { envelope, publisher, critical, require_audience, body_hash, on_first } =
        message;
    let arguments = envelope.event.to_raw()?;
    let encoding = match arguments.protocol() {
        Protocol::Json => Encoding::Json,
        Protocol::MessagePack => Encoding::MessagePack,
    };
    let new = NewMessage {
        id: envelope.id,
        tenant: publisher.tenant,
        hub: envelope.hub,
        audience: envelope.audience,
        priority: envelope.priority,
        critical,
        expires_at: envelope.expires_at.map(Moment::from),
        content: Content {
            target: envelope.event.target().into(),
            encoding,
            arguments: arguments.bytes().clone(),
            ordering_key: publisher.ordering_key,
            correlation_id: envelope.correlation_id,
        },
        body_hash,
        require_audience,
    };
    Ok((new, on_first))
}
