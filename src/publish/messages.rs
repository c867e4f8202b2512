//! `POST /api/v1/hubs/{hub}/messages`: one message to an audience.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::body;
use super::members::path;
use super::message::Message;
use super::problem::Problem;
use super::router::Publish;
use crate::delivery::event_from_json;
use crate::model::{Envelope, MessageId};

/// Sees what is published, for rooms that learn from it.
pub trait Observer: Send + Sync + 'static {
    /// A message is about to be delivered. `arguments` is the text of a JSON array. Must not wait.
    fn published(&self, hub: &str, target: &str, arguments: &str);
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted<'a> {
    message_id: &'a str,
}

pub(super) async fn publish(
    State(publish): State<Arc<Publish>>,
    hub: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let accepted = async {
        let hub = path(hub)?;
        let id = accept(&publish, &hub, request).await?;
        publish.metrics.accepted(&hub);
        let answer = Json(Accepted { message_id: id.as_str() });
        Ok((StatusCode::ACCEPTED, answer).into_response())
    };
    publish.answer(accepted.await)
}

async fn accept(publish: &Publish, hub: &str, request: Request) -> Result<MessageId, Problem> {
    if !publish.delivery.has_hub(hub) {
        return Err(Problem::not_found("hub"));
    }
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, &publish.config).await?;
    let message = Message::read(&body, SystemTime::now())?;
    let event = event_from_json(&message.target, message.arguments.clone())
        .map_err(|error| Problem::field("arguments", &format!("are not usable: {error}")))?;
    // First, so that a client that gets the event finds what the observer has learnt from it.
    if let Some(observer) = &publish.observer {
        let arguments = std::str::from_utf8(&message.arguments).unwrap_or_default();
        observer.published(hub, &message.target, arguments);
    }
    let id = message.id.clone();
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
    publish.in_time(publish.delivery.publish(envelope)).await?;
    Ok(id)
}
