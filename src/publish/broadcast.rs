//! `POST /api/broadcast`: the bench hub's short way to all, for load tests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::body;
use super::problem::Problem;
use super::router::Publish;
use crate::delivery::event_of_text;
use crate::model::{Audience, Envelope};

/// The bench hub's configured name, and the event that its clients wait for.
const HUB: &str = "bench";
const TARGET: &str = "Broadcast";

/// The body is the one argument. No key: the hub is off unless the operator turns it on.
pub(super) async fn broadcast(State(publish): State<Arc<Publish>>, request: Request) -> Response {
    let sent = async {
        if !publish.bench {
            return Err(Problem::not_found("address"));
        }
        let (parts, body) = request.into_parts();
        let body = body::read(&parts.headers, body, &publish.config).await?;
        let text = String::from_utf8(body.into()).map_err(|_no_text| Problem::not_text())?;
        let event = Arc::new(event_of_text(TARGET, text));
        let envelope = Envelope::ordinary(HUB.into(), Audience::all(), event);
        publish.in_time(publish.delivery.publish(envelope)).await?;
        publish.metrics.broadcast();
        Ok(StatusCode::ACCEPTED.into_response())
    };
    publish.answer(sent.await)
}
