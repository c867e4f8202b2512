//! `GET /health` and `GET /health/signalr…`, but for the queue's own, which `publish` answers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::access::{Access, Gate};
use super::judgement::{Judgement, Status, body};
use super::listing::{self, Limit, View};
use super::queue::{Queue, QueueProbe};
use super::shape;
use super::statistics::Latest;
use crate::connections::{Connections, Facts};

/// What the routes look at.
pub struct Observed {
    /// The connections of the node.
    pub connections: Arc<Connections>,
    /// The queue of acknowledged messages; none while there is no such thing.
    pub queue: Option<Arc<dyn QueueProbe>>,
    /// Whether new clients are welcome.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Who may see names.
    pub gate: Arc<dyn Gate>,
}

struct Observatory {
    latest: Latest,
    queue: Queue,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
    gate: Arc<dyn Gate>,
}

type Shared = State<Arc<Observatory>>;

/// The routes of this room.
pub fn router(observed: Observed) -> Router {
    let Observed { connections, queue, ready, gate } = observed;
    let observatory =
        Observatory { latest: Latest::new(connections), queue: Queue::new(queue), ready, gate };
    Router::new()
        .route("/health", get(health))
        .route("/health/signalr", get(signalr))
        .route("/health/signalr/connections", get(statistics))
        .route("/health/signalr/connections/details", get(details))
        .route("/health/signalr/connections/hub/{hub}", get(of_hub))
        .route("/health/signalr/connections/key/{key}", get(of_key))
        .route("/health/signalr/connections/group/{group}", get(of_group))
        .with_state(Arc::new(observatory))
}

impl Observatory {
    fn list(
        &self,
        is_meant: impl Fn(&Facts) -> bool,
        view: View,
        query: Option<&str>,
    ) -> (Value, usize) {
        let mut found = self.latest.connections().facts();
        found.retain(is_meant);
        listing::list(found, view, Limit::of_query(query), SystemTime::now())
    }

    async fn judge(&self, request: Request) -> (Access, Option<String>) {
        let (parts, _body) = request.into_parts();
        let access = self.gate.access(&parts).await;
        (access, parts.uri.query().map(str::to_owned))
    }
}

/// ASP.NET's answer: one word. 503 says that nobody should be sent here.
async fn health(State(own): Shared) -> Response {
    let judgement = Judgement::of(&own.latest.statistics(), &own.queue.report().await);
    let status = judgement.of_node((own.ready)());
    let code = match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store, no-cache")];
    (code, headers, status.name()).into_response()
}

async fn signalr(State(own): Shared) -> Response {
    let (statistics, queue) = (own.latest.statistics(), own.queue.report().await);
    let judgement = Judgement::of(&statistics, &queue);
    json_of(&body(&judgement, &statistics, &queue, &shape::moment(SystemTime::now())))
}

async fn statistics(State(own): Shared) -> Response {
    json_of(&*own.latest.statistics())
}

async fn details(State(own): Shared, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let (connections, count) = own.list(|_| true, View::Details, query.as_deref());
    json_of(&json!({ "activeConnections": connections, "count": count }))
}

async fn of_hub(State(own): Shared, Path(hub): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let is_meant = |facts: &Facts| facts.hub.as_str().eq_ignore_ascii_case(&hub);
    let (connections, count) = own.list(is_meant, View::OfHub, query.as_deref());
    json_of(&json!({ "hubName": hub, "connections": connections, "count": count }))
}

/// A key sees its own connections and no others'.
async fn of_key(State(own): Shared, Path(key): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if !matches!(&access, Access::Key(id) if **id == *key)
        && let Some(refusal) = admin_only(&access)
    {
        return refusal;
    }
    let Ok(number) = key.parse::<u64>() else { return refused(StatusCode::NOT_FOUND) };
    let is_meant = |facts: &Facts| facts.caller.claim("virtual_key_id") == Some(&key);
    let (connections, count) = own.list(is_meant, View::OfKey, query.as_deref());
    json_of(&json!({ "virtualKeyId": number, "connections": connections, "count": count }))
}

async fn of_group(State(own): Shared, Path(group): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let is_meant = |facts: &Facts| facts.groups.iter().any(|own| own.as_str() == group);
    let (connections, count) = own.list(is_meant, View::OfGroup, query.as_deref());
    json_of(&json!({ "groupName": group, "connections": connections, "count": count }))
}

fn admin_only(access: &Access) -> Option<Response> {
    match access {
        Access::Admin => None,
        Access::Key(_) => Some(refused(StatusCode::FORBIDDEN)),
        Access::Nobody => Some(refused(StatusCode::UNAUTHORIZED)),
    }
}

/// An RFC 9457 problem.
fn refused(status: StatusCode) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = json!({ "title": title, "status": status.as_u16() });
    let mut response = answer(status, "application/problem+json", &problem);
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

fn json_of(value: &impl Serialize) -> Response {
    answer(StatusCode::OK, "application/json; charset=utf-8", value)
}

fn answer(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Response {
    // Plain data with text keys: it cannot fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")];
    (status, headers, Body::from(body)).into_response()
}
