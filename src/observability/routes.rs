//! `GET /health` and `GET /health/signalr…`, but for dead letters, which `publish` shows.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::access::{Access, Gate};
use super::judgement::{Judgement, Status, body};
use super::listing::{self, Limit, View};
use super::queue::{self, QueueProbe};
use super::shape;
use super::statistics;
use crate::connections::{Connections, Facts};
use crate::delivery::Moment;
use crate::model::TransportKind;

/// What the routes look at.
pub struct Observed {
    /// The connections of the node.
    pub connections: Arc<Connections>,
    /// The queue of acknowledged messages; an [`Engine`](super::Engine) is one.
    pub queue: Arc<dyn QueueProbe>,
    /// When a pair ended last on this node since it started.
    pub last_ended: Arc<dyn Fn() -> Option<Moment> + Send + Sync>,
    /// Whether new clients are welcome.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Who may see names.
    pub gate: Arc<dyn Gate>,
}

struct Observatory {
    connections: statistics::Latest,
    queue: queue::Latest,
    last_ended: Arc<dyn Fn() -> Option<Moment> + Send + Sync>,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
    gate: Arc<dyn Gate>,
}

type Shared = State<Arc<Observatory>>;

/// The routes of this room.
pub fn router(observed: Observed) -> Router {
    let Observed { connections, queue, last_ended, ready, gate } = observed;
    let observatory = Observatory {
        connections: statistics::Latest::new(connections),
        queue: queue::Latest::new(queue),
        last_ended,
        ready,
        gate,
    };
    Router::new()
        .route("/health", get(health))
        .route("/health/signalr", get(signalr))
        .route("/health/signalr/queue", get(queue_counts))
        .route("/health/signalr/connections", get(sums))
        .route("/health/signalr/connections/details", get(details))
        .route("/health/signalr/connections/hub/{hub}", get(of_hub))
        .route("/health/signalr/connections/key/{key}", get(of_key))
        .route("/health/signalr/connections/group/{group}", get(of_group))
        .route("/health/signalr/connections/transport/{transport}", get(of_transport))
        .route("/health/signalr/{*rest}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::new(observatory))
}

impl Observatory {
    /// The connections that are meant, and how many they are. They may be many, and others wait for
    /// this thread.
    async fn list(
        &self,
        is_meant: impl Fn(&Facts) -> bool + Send + 'static,
        view: View,
        query: Option<String>,
    ) -> (Value, usize) {
        let connections = self.connections.connections().clone();
        let listing = tokio::task::spawn_blocking(move || {
            let found = connections.facts().filter(is_meant).collect();
            listing::list(found, view, Limit::of_query(query.as_deref()), SystemTime::now())
        });
        // It ends early with the runtime only.
        listing.await.unwrap_or_default()
    }

    async fn judge(&self, request: Request) -> (Access, Option<String>) {
        let (parts, _body) = request.into_parts();
        let access = self.gate.access(&parts).await;
        (access, parts.uri.query().map(str::to_owned))
    }
}

/// ASP.NET's answer: one word. 503 says that nobody should be sent here.
async fn health(State(own): Shared) -> Response {
    let judgement = Judgement::of(&*own.connections.statistics().await, &own.queue.report().await);
    let status = judgement.of_node((own.ready)());
    let code = match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store, no-cache")];
    (code, headers, status.name()).into_response()
}

async fn signalr(State(own): Shared) -> Response {
    let (statistics, queue) = (own.connections.statistics().await, own.queue.report().await);
    let judgement = Judgement::of(&statistics, &queue);
    json_of(&body(&judgement, &statistics, &queue, &shape::moment(SystemTime::now())))
}

/// For everybody, as in Conduit.
async fn queue_counts(State(own): Shared) -> Response {
    json_of(&own.queue.report().await.statistics((own.last_ended)()))
}

async fn sums(State(own): Shared) -> Response {
    json_of(&*own.connections.statistics().await)
}

async fn details(State(own): Shared, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let (connections, count) = own.list(|_| true, View::Details, query).await;
    json_of(&json!({ "activeConnections": connections, "count": count }))
}

async fn of_hub(State(own): Shared, Path(hub): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let name = hub.clone();
    let is_meant = move |facts: &Facts| facts.hub.as_str().eq_ignore_ascii_case(&name);
    let (connections, count) = own.list(is_meant, View::OfHub, query).await;
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
    let Ok(number) = key.parse::<u64>() else {
        return refused(StatusCode::NOT_FOUND, "The id of a virtual key is a number.");
    };
    let is_meant = move |facts: &Facts| facts.caller.claim("virtual_key_id") == Some(&key);
    let (connections, count) = own.list(is_meant, View::OfKey, query).await;
    json_of(&json!({ "virtualKeyId": number, "connections": connections, "count": count }))
}

async fn of_group(State(own): Shared, Path(group): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let name = group.clone();
    let is_meant = move |facts: &Facts| facts.groups.iter().any(|own| own.as_str() == name);
    let (connections, count) = own.list(is_meant, View::OfGroup, query).await;
    json_of(&json!({ "groupName": group, "connections": connections, "count": count }))
}

/// Conduit has no such list.
async fn of_transport(State(own): Shared, Path(name): Path<String>, request: Request) -> Response {
    let (access, query) = own.judge(request).await;
    if let Some(refusal) = admin_only(&access) {
        return refusal;
    }
    let mut kinds = TransportKind::ALL.into_iter();
    let Some(kind) = kinds.find(|kind| kind.name().eq_ignore_ascii_case(&name)) else {
        let known = TransportKind::ALL.map(TransportKind::name).join(", ");
        return refused(StatusCode::NOT_FOUND, &format!("The transports are {known}."));
    };
    let is_meant = move |facts: &Facts| facts.transport == kind;
    let (connections, count) = own.list(is_meant, View::OfTransport, query).await;
    json_of(&json!({ "transportType": kind.name(), "connections": connections, "count": count }))
}

async fn unknown() -> Response {
    refused(StatusCode::NOT_FOUND, "There is no such address.")
}

async fn wrong_method() -> Response {
    refused(StatusCode::METHOD_NOT_ALLOWED, "This path takes GET only.")
}

fn admin_only(access: &Access) -> Option<Response> {
    match access {
        Access::Admin => None,
        Access::Key(_) => {
            let own = "This key may list its own connections only.";
            Some(refused(StatusCode::FORBIDDEN, own))
        }
        Access::Nobody => {
            let key = "A key is needed, in X-API-Key or in Authorization: Bearer.";
            Some(refused(StatusCode::UNAUTHORIZED, key))
        }
    }
}

/// An RFC 9457 problem.
fn refused(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = json!({ "title": title, "status": status.as_u16(), "detail": detail });
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
