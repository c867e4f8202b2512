//! Who is there, and in which group: the management part of the API.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::audience::check_name;
use super::problem::Problem;
use super::router::Publish;
use crate::auth::query_value;
use crate::delivery::Reach;
use crate::model::{ConnectionId, GroupName, HubName, Subject, UserId};

/// Characters in the reason of a close, which goes to the client.
const REASON_CHARS_MAX: usize = 256;

type Shared = State<Arc<Publish>>;
type Parts<T> = Result<Path<T>, PathRejection>;

pub(super) async fn add_connection(
    State(publish): Shared,
    parts: Parts<(String, String, String)>,
) -> Response {
    publish.answer(change_connection(&publish, parts, true).await)
}

pub(super) async fn remove_connection(
    State(publish): Shared,
    parts: Parts<(String, String, String)>,
) -> Response {
    publish.answer(change_connection(&publish, parts, false).await)
}

pub(super) async fn add_user(
    State(publish): Shared,
    parts: Parts<(String, String, String)>,
) -> Response {
    publish.answer(change_user(&publish, parts, true).await)
}

pub(super) async fn remove_user(
    State(publish): Shared,
    parts: Parts<(String, String, String)>,
) -> Response {
    publish.answer(change_user(&publish, parts, false).await)
}

pub(super) async fn has_connection(
    State(publish): Shared,
    parts: Parts<(String, String)>,
) -> Response {
    publish.answer(has(&publish, parts, "connection", |id| Subject::Connection(id.into())).await)
}

pub(super) async fn has_group(State(publish): Shared, parts: Parts<(String, String)>) -> Response {
    publish.answer(has(&publish, parts, "group", |name| Subject::Group(name.into())).await)
}

pub(super) async fn has_user(State(publish): Shared, parts: Parts<(String, String)>) -> Response {
    publish.answer(has(&publish, parts, "user", |name| Subject::User(name.into())).await)
}

/// Ends a connection, wherever it is. 404 when nobody has it.
pub(super) async fn close(
    State(publish): Shared,
    parts: Parts<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let closed = async {
        let (hub, id) = path(parts)?;
        let (hub, id) = (hub_of(&publish, hub)?, ConnectionId::from(name(id, "connection")?));
        let reason = query_value(query.as_deref().unwrap_or_default(), "reason");
        let reason = reason.filter(|reason| !reason.is_empty()).map(|reason| reason.into_owned());
        if reason.as_ref().is_some_and(|text| text.chars().nth(REASON_CHARS_MAX).is_some()) {
            let detail = format!("may have at most {REASON_CHARS_MAX} characters");
            return Err(Problem::field("reason", &detail).with_limit(REASON_CHARS_MAX));
        }
        match publish.in_time(publish.delivery.close(&hub, &id, reason)).await? {
            Reach::Done => Ok(StatusCode::NO_CONTENT.into_response()),
            Reach::Nobody => Err(Problem::not_found("connection")),
        }
    };
    publish.answer(closed.await)
}

/// 204 also when nobody has the connection: in a cluster it may be on its way, as in ASP.NET Core.
async fn change_connection(
    publish: &Publish,
    parts: Parts<(String, String, String)>,
    add: bool,
) -> Result<Response, Problem> {
    let (hub, group, id) = path(parts)?;
    let hub = hub_of(publish, hub)?;
    let group = GroupName::from(name(group, "group")?);
    let id = ConnectionId::from(name(id, "connection")?);
    if add {
        publish.in_time(publish.delivery.join(&hub, &id, &group)).await?;
    } else {
        publish.in_time(publish.delivery.leave(&hub, &id, &group)).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn change_user(
    publish: &Publish,
    parts: Parts<(String, String, String)>,
    add: bool,
) -> Result<Response, Problem> {
    let (hub, group, user) = path(parts)?;
    let hub = hub_of(publish, hub)?;
    let group = GroupName::from(name(group, "group")?);
    let user = UserId::from(name(user, "user")?);
    let change = publish.delivery.change_group_of_user(&hub, &user, &group, add);
    publish.in_time(change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn has(
    publish: &Publish,
    parts: Parts<(String, String)>,
    what: &'static str,
    subject: impl FnOnce(String) -> Subject,
) -> Result<Response, Problem> {
    let (hub, own) = path(parts)?;
    let hub = hub_of(publish, hub)?;
    let subject = subject(name(own, what)?);
    if publish.in_time(publish.delivery.exists(&hub, &subject)).await? {
        Ok(StatusCode::OK.into_response())
    } else {
        Err(Problem::not_found(what))
    }
}

/// The parts of the path; it may hold bytes that are no text.
pub(super) fn path<T>(parts: Parts<T>) -> Result<T, Problem> {
    parts.map(|Path(parts)| parts).map_err(|_rejection| Problem::not_found("address"))
}

pub(super) fn name(name: String, field: &str) -> Result<String, Problem> {
    check_name(&name, field)?;
    Ok(name)
}

fn hub_of(publish: &Publish, hub: String) -> Result<HubName, Problem> {
    if publish.delivery.has_hub(&hub) { Ok(hub.into()) } else { Err(Problem::not_found("hub")) }
}
