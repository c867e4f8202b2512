//! `PUT /api/v1/tasks/{taskId}`: whose task it is, for the room that guards tasks.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::body;
use super::fields::{Fields, parse_body};
use super::members::{name, path};
use super::problem::Problem;
use super::router::Publish;

/// Remembers who may subscribe to a task.
pub trait TaskRegister: Send + Sync + 'static {
    /// The task belongs to the virtual key with this number. Must not wait.
    fn register(&self, task: &str, virtual_key: u32);
}

pub(super) async fn register(
    State(publish): State<Arc<Publish>>,
    task: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let registered = async {
        let tasks = publish.tasks.as_ref().ok_or_else(|| Problem::not_found("address"))?;
        let task = name(path(task)?, "taskId")?;
        if task.trim().is_empty() {
            return Err(Problem::field("taskId", "must not be blank"));
        }
        let (parts, body) = request.into_parts();
        let body = body::read(&parts.headers, body, &publish.config).await?;
        tasks.register(&task, virtual_key_id(&body)?);
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    publish.answer(registered.await)
}

fn virtual_key_id(body: &[u8]) -> Result<u32, Problem> {
    let Some(mut fields) = Fields::of(parse_body(body)?, "")? else {
        return Err(Problem::not_an_object());
    };
    let max = i32::MAX.unsigned_abs(); // Conduit numbers its keys with a signed int
    let must_be = format!("must be a whole number from 1 to {max}");
    let limited = |problem: Problem| problem.with_limit(max as usize);
    let id: Option<u32> = fields.take_as("virtualKeyId", &must_be).map_err(limited)?;
    let Some(id) = id else { return Err(fields.wrong("virtualKeyId", "is required")) };
    if !(1..=max).contains(&id) {
        return Err(limited(fields.wrong("virtualKeyId", &must_be)));
    }
    fields.finish()?;
    Ok(id)
}
