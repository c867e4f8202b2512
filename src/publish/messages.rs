//! `POST /api/v1/hubs/{hub}/messages`: one message to an audience.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::StatusCode;
use serde::Serialize;
use tokio::time::Instant;

use super::body;
use super::members::path;
use super::message::Message;
use super::problem::Problem;
use super::router::Publish;
use crate::auth::Tenant;
use crate::delivery::{
    AcceptedReceipt, Acknowledged, NotAccepted, OnFirst, Publisher, event_from_json,
};
use crate::model::{Class, Envelope, MessageId};

/// Sees what is published, for rooms that learn from it.
pub trait Observer: Send + Sync + 'static {
    /// A message is about to be delivered, and was not before. `arguments` is the text of a JSON
    /// array. Must not wait.
    fn published(&self, hub: &str, target: &str, arguments: &str);
}

/// What was taken, and for an acknowledged message how far the promise goes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    targeted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
}

type Kept = BoxFuture<'static, Result<AcceptedReceipt, NotAccepted>>;

/// A message that was handed in.
pub(super) enum Begun {
    /// It was refused, or delivery has it already.
    Over(Result<Accepted, Problem>),
    /// The store has it, and will say by then whether it keeps it.
    UnderWay(MessageId, Kept, Instant),
}

pub(super) async fn publish(
    State(publish): State<Arc<Publish>>,
    Extension(tenant): Extension<Tenant>,
    hub: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let accepted = async {
        let hub = path(hub)?;
        let body = read(&publish, &hub, request).await?;
        let begun = begin(&publish, &hub, &tenant, &body, publish.deadline()).await;
        let accepted = finish(&publish, &hub, begun).await?;
        Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
    };
    publish.answer(accepted.await)
}

/// The body of a request to a hub that is there.
pub(super) async fn read(publish: &Publish, hub: &str, request: Request) -> Result<Bytes, Problem> {
    if !publish.delivery.has_hub(hub) {
        return Err(Problem::not_found("hub"));
    }
    let (parts, body) = request.into_parts();
    body::read(&parts.headers, body, &publish.config).await
}

/// Hands one message in. Messages that are begun one after the other keep their order.
pub(super) async fn begin(
    publish: &Publish,
    hub: &str,
    tenant: &Tenant,
    body: &Bytes,
    deadline: Instant,
) -> Begun {
    match try_begin(publish, hub, tenant, body, deadline).await {
        Ok(begun) => begun,
        Err(problem) => Begun::Over(Err(problem)),
    }
}

async fn try_begin(
    publish: &Publish,
    hub: &str,
    tenant: &Tenant,
    body: &Bytes,
    deadline: Instant,
) -> Result<Begun, Problem> {
    let message = Message::read(body, SystemTime::now())?;
    let event = event_from_json(&message.target, message.arguments.clone())
        .map_err(|error| Problem::field("arguments", &format!("are not usable: {error}")))?;
    let observed = observed(publish, hub, &message);
    let id = message.id.clone();
    let publisher = Publisher { tenant: tenant.clone(), ordering_key: message.ordering_key };
    let envelope = Envelope {
        id: message.id,
        hub: hub.into(),
        audience: message.audience,
        event: Arc::new(event),
        class: message.class,
        conflation_key: message.conflation_key,
        priority: message.priority,
        expires_at: message.expires_at,
        correlation_id: message.correlation_id,
    };
    if envelope.class == Class::Acknowledged {
        let kept = publish.delivery.publish_acknowledged(Acknowledged {
            envelope,
            publisher,
            critical: message.critical,
            require_audience: message.require_audience,
            body_hash: message.hash,
            on_first: observed,
        });
        return Ok(Begun::UnderWay(id, kept.boxed(), deadline));
    }
    if let Some(observed) = observed {
        observed();
    }
    let published = publish.delivery.publish_in_order(&publisher, envelope);
    publish.until(deadline, published).await?;
    let message_id = id.to_string();
    Ok(Begun::Over(Ok(Accepted { message_id, targeted: None, mode: None })))
}

/// What is to be called before a message is delivered, so that a client that gets the event finds
/// what the observer has learnt from it.
fn observed(publish: &Publish, hub: &str, message: &Message) -> Option<OnFirst> {
    let observer = publish.observer.clone()?;
    let (hub, target, arguments) =
        (hub.to_owned(), message.target.clone(), message.arguments.clone());
    Some(Box::new(move || {
        let arguments = std::str::from_utf8(&arguments).unwrap_or_default();
        observer.published(&hub, &target, arguments);
    }))
}

/// Waits for what the store says. A problem names the message: its id may be the server's own.
pub(super) async fn finish(
    publish: &Publish,
    hub: &str,
    begun: Begun,
) -> Result<Accepted, Problem> {
    let (accepted, is_new) = match begun {
        Begun::Over(outcome) => (outcome?, true),
        Begun::UnderWay(id, kept, deadline) => {
            let kept = publish.until(deadline, kept).await;
            let receipt = kept.map_err(|problem: Problem| problem.of_message(&id))?;
            let accepted = Accepted {
                message_id: id.to_string(),
                targeted: Some(receipt.targeted),
                mode: Some(receipt.mode.name()),
            };
            (accepted, !receipt.duplicate)
        }
    };
    if is_new {
        publish.metrics.accepted(hub);
    } else {
        publish.metrics.repeated(hub);
    }
    Ok(accepted)
}
