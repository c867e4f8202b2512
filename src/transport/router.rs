//! The routes of the hubs: who is asked first, and which transport a request belongs to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};

use super::answer;
use super::config::{TransportKind, Transports};
use super::room::{Transport, Visitor};
use super::table::Slot;
use super::{negotiate, polling, post, sse, websocket};
use crate::auth::{Authenticator, Refusal};
use crate::connections::{Endpoint, NewConnection, Settings};
use crate::model::HubName;

/// An authenticator that needs longer has lost its way.
const AUTHENTICATION: Duration = Duration::from_secs(10);

/// One hub at one path.
#[derive(Clone)]
pub struct HubRoute {
    /// Where it is mapped (`/hubs/tasks`).
    pub path: String,
    /// Its name.
    pub hub: HubName,
    /// Who talks with its clients.
    pub endpoint: Arc<dyn Endpoint>,
    /// Who lets them in.
    pub authenticator: Arc<dyn Authenticator>,
    /// The hub's times and limits.
    pub settings: Arc<Settings>,
    /// The transports it speaks.
    pub transports: Transports,
    /// Whether clients may ask for stateful reconnect.
    pub stateful_reconnect: bool,
    /// The lowest negotiate version it accepts; 0 accepts all.
    pub negotiate_version_min: i32,
}

impl HubRoute {
    pub(super) fn allows(&self, kind: TransportKind) -> bool {
        self.transports.allows(kind)
    }

    pub(super) fn new_connection(
        &self,
        slot: &Slot,
        visitor: &Visitor,
        kind: TransportKind,
    ) -> NewConnection {
        NewConnection {
            id: slot.id.clone(),
            hub: self.hub.clone(),
            caller: visitor.caller.clone(),
            peer: visitor.peer.map(|peer| peer.ip()),
            agent: visitor.agent.clone(),
            transport: kind,
            settings: self.settings.clone(),
            binary: kind != TransportKind::ServerSentEvents,
            pings: kind != TransportKind::LongPolling,
            resumable: kind == TransportKind::WebSockets && slot.is_stateful(),
        }
    }
}

/// What a request is, as metrics name it.
#[derive(Clone, Copy)]
enum Kind {
    Negotiate,
    WebSocket,
    Events,
    Poll,
    Post,
    Delete,
    Other,
}

impl Kind {
    fn of_hub_request(method: &Method, headers: &HeaderMap) -> Self {
        match *method {
            Method::GET if websocket::is_upgrade(headers) => Self::WebSocket,
            Method::GET if accepts_events(headers) => Self::Events,
            Method::GET => Self::Poll,
            Method::POST => Self::Post,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }

    fn of_negotiate(method: &Method) -> Self {
        if method == Method::POST { Self::Negotiate } else { Self::Other }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "negotiate",
            Self::WebSocket => "websocket",
            Self::Events => "events",
            Self::Poll => "poll",
            Self::Post => "post",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }
}

/// Whether one member of the Accept list is exactly the type of an event stream (section 2.2).
fn accepts_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|member| member.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The routes of all hubs, and nothing else.
pub(super) fn build(room: &Arc<Transport>, routes: Vec<HubRoute>) -> Router {
    let mut router = Router::new();
    for route in routes {
        let path = route.path.clone();
        let negotiate = format!("{}/negotiate", path.trim_end_matches('/'));
        let hub = Arc::new(route);
        let (own_room, own_hub) = (room.clone(), hub.clone());
        router = router.route(
            &negotiate,
            any(move |request: Request| {
                let kind = Kind::of_negotiate(request.method());
                serve(own_room.clone(), own_hub.clone(), kind, request)
            }),
        );
        let own_room = room.clone();
        router = router.route(
            &path,
            any(move |request: Request| {
                let kind = Kind::of_hub_request(request.method(), request.headers());
                serve(own_room.clone(), hub.clone(), kind, request)
            }),
        );
    }
    router
}

async fn serve(room: Arc<Transport>, hub: Arc<HubRoute>, kind: Kind, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = answer(&room, &hub, kind, parts, body).await;
    let status = response.status();
    room.metrics().requests.with_label_values(&[kind.name(), status.as_str()]).inc();
    response
}

async fn answer(
    room: &Arc<Transport>,
    hub: &Arc<HubRoute>,
    kind: Kind,
    mut parts: Parts,
    body: Body,
) -> Response {
    // Browsers send WebSockets to anybody; only the Origin tells (section 1.10).
    if matches!(kind, Kind::WebSocket) && room.cors().refuses(&parts.headers) {
        return answer::bare(StatusCode::FORBIDDEN);
    }
    let caller = match authenticate(hub, &parts).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let mut visitor = Visitor::new(&parts, Arc::new(caller));
    if let Kind::WebSocket | Kind::Events | Kind::Poll = kind {
        visitor.agent = room.agents().of(&parts.headers);
    }
    match kind {
        Kind::Negotiate => negotiate::answer(room, hub, &visitor),
        Kind::WebSocket => websocket::open(room, hub, &mut parts, visitor),
        Kind::Events => sse::open(room, hub, &visitor),
        Kind::Poll => {
            let mut response = polling::poll(room, hub, &visitor).await;
            answer::forbid_caching(response.headers_mut());
            response
        }
        Kind::Post => post::accept(room, hub, &visitor, body).await,
        Kind::Delete => polling::delete(room, hub, &visitor),
        Kind::Other => answer::text(StatusCode::METHOD_NOT_ALLOWED, ""),
    }
}

#[allow(clippy::result_large_err)] // the refusal is answered at once
async fn authenticate(hub: &HubRoute, parts: &Parts) -> Result<crate::model::Caller, Response> {
    let asked = hub.authenticator.authenticate(parts);
    match tokio::time::timeout(AUTHENTICATION, asked).await {
        Ok(Ok(caller)) => Ok(caller),
        Ok(Err(Refusal::Unauthenticated)) => Err(answer::unauthenticated()),
        Ok(Err(Refusal::Forbidden)) => Err(answer::bare(StatusCode::FORBIDDEN)),
        Err(_elapsed) => {
            tracing::warn!(hub = %hub.hub, "the authenticator did not answer in time");
            Err(answer::unavailable("authentication takes too long"))
        }
    }
}
