//! `POST /api/v1/hubs/{hub}/messages/batch`: many messages in one request, each judged alone.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{Fields, parse_body};
use super::members::path;
use super::messages::{Accepted, begin, finish, read};
use super::problem::Problem;
use super::router::Publish;
use crate::auth::Tenant;

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// What the request alone would have been answered with.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Accepted {
        status: u16,
        #[serde(flatten)]
        accepted: Accepted,
    },
    Refused {
        status: u16,
        #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        problem: Problem,
    },
}

/// 200 with one result per message, in order. All acknowledged ones share the store's commits.
pub(super) async fn publish(
    State(publish): State<Arc<Publish>>,
    Extension(tenant): Extension<Tenant>,
    hub: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let judged = async {
        let hub = path(hub)?;
        let body = read(&publish, &hub, request).await?;
        let messages = messages(&body, publish.config.batch_messages_max)?;
        let deadline = publish.deadline();
        let mut begun = Vec::with_capacity(messages.len());
        for message in &messages {
            begun.push(begin(&publish, &hub, &tenant, message, deadline).await);
        }
        let mut results = Vec::with_capacity(begun.len());
        for begun in begun {
            results.push(match finish(&publish, &hub, begun).await {
                Ok(accepted) => Outcome::Accepted { status: 202, accepted },
                Err(problem) => refused(&publish, problem),
            });
        }
        Ok(Json(Results { results }).into_response())
    };
    publish.answer(judged.await)
}

fn refused(publish: &Publish, problem: Problem) -> Outcome {
    publish.metrics.refused(&problem);
    let message_id = problem.message_id().map(str::to_owned);
    Outcome::Refused { status: problem.status(), message_id, problem }
}

/// The texts of the messages, each a part of the body.
fn messages(body: &Bytes, max: usize) -> Result<Vec<Bytes>, Problem> {
    let Some(mut fields) = Fields::of(parse_body(body)?, "")? else {
        return Err(Problem::not_an_object());
    };
    let list: Option<Vec<&RawValue>> = match fields.take("messages") {
        Some(list) => serde_json::from_str(list.get()).ok(),
        None => return Err(fields.wrong("messages", "is required")),
    };
    let Some(list) = list else { return Err(fields.wrong("messages", "must be an array")) };
    if list.is_empty() || list.len() > max {
        let detail = format!("must have 1 to {max} messages (publish.batch_messages_max)");
        return Err(fields.wrong("messages", &detail).with_limit(max));
    }
    fields.finish()?;
    Ok(list.into_iter().map(|message| body.slice_ref(message.get().as_bytes())).collect())
}
