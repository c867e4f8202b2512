//! Conduit's routes of dead letters, `/health/signalr/queue/deadletter…`, in Conduit's shapes
//! (contract, 3.5). The counts of the queue are told by `observability`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::access::ask_admin;
use super::admin::again_by_id;
use super::members::path;
use super::problem::Problem;
use super::router::{Publish, unknown_path, wrong_method};
use super::shapes::iso;
use crate::delivery::{DeadFilter, DeadLetter, Reason, Receipt, Target};
use crate::model::MessageId;

/// Conduit answers with everything it has; here there may be a hundred thousand.
const LISTED_MAX: usize = 1_000;

/// Dead letters are for admins, as in Conduit.
pub(super) fn router(publish: &Arc<Publish>) -> Router {
    Router::new()
        .route("/health/signalr/queue/deadletter", get(list))
        .route("/health/signalr/queue/deadletter/{id}/requeue", post(requeue))
        .route("/health/signalr/queue/{*rest}", any(unknown_path))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(publish.clone(), ask_admin))
        .with_state(publish.clone())
}

/// Dead letters, and after them messages that expired; `count` is what is listed.
async fn list(State(publish): State<Arc<Publish>>) -> Response {
    let listed = async {
        let reading = publish.delivery.dead_letters(DeadFilter::default(), None, LISTED_MAX);
        let page = publish.in_time(reading).await?;
        let expired = publish.in_time(publish.delivery.expired(LISTED_MAX)).await?;
        let mut messages: Vec<Value> = page.letters.iter().map(dead).collect();
        messages.extend(expired.iter().map(expired_message));
        let body = json!({
            "count": messages.len(),
            "messages": messages,
            "more": page.next.is_some() || expired.len() == LISTED_MAX,
        });
        Ok(Json(body).into_response())
    };
    publish.answer(listed.await)
}

/// 404 for an unknown id, where Conduit says that it was done.
async fn requeue(
    State(publish): State<Arc<Publish>>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let done = async {
        let unknown = || Problem::not_found("dead letter");
        let id = MessageId::parse(&path(id)?).map_err(|_bad| unknown())?;
        let filter = DeadFilter { ids: Some([id].into()), ..DeadFilter::default() };
        // All of them: Conduit's clients know of no rest. A message has no more than its audience had
        // subscribers, and each part of the work has its deadline.
        again_by_id(&publish, filter, Target::SameSubscriber, usize::MAX).await?;
        Ok(Json(json!({ "message": "Message requeued successfully" })).into_response())
    };
    publish.answer(done.await)
}

fn dead(letter: &DeadLetter) -> Value {
    json!({
        "messageId": letter.id.as_str(),
        "messageType": &*letter.target,
        "hubName": letter.hub.as_str(),
        "methodName": &*letter.target,
        "queuedAt": iso(letter.accepted_at),
        "deliveryAttempts": letter.attempts_made(),
        "lastError": letter.attempts.last().map(|last| &*last.error),
        "deadLetterReason": words(letter.reason),
    })
}

/// Of a message that is over only its receipt is kept: it knows how often it was tried for those it
/// expired for, all together, and not what came of it.
fn expired_message(receipt: &Receipt) -> Value {
    json!({
        "messageId": receipt.id.as_str(),
        "messageType": &*receipt.target,
        "hubName": receipt.hub.as_str(),
        "methodName": &*receipt.target,
        "queuedAt": iso(receipt.accepted_at),
        "deliveryAttempts": receipt.tries_of_expired,
        "lastError": null,
        "deadLetterReason": "Message expired",
    })
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::TimedOut => "Not acknowledged in time",
        Reason::Nacked => "Refused by the client",
        Reason::GivenUp => "Given up by the client",
        Reason::NotWritten => "Could not be written",
        Reason::SubscriberGone => "The subscriber is gone",
        Reason::AccessRevoked => "The subscriber is not allowed in the group any more",
        Reason::TooOld => "Owed for too long",
        Reason::Damaged => "The stored message is damaged",
    }
}
