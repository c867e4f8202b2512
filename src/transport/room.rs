//! What all transports share: the table of ids, the bounds, the way to a connection.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agents::Agents;
use super::answer;
use super::config::Config;
use super::cors::Cors;
use super::inbox::Budget;
use super::metrics::Metrics;
use super::query;
use super::router::{self, HubRoute};
use super::table::{Slot, SlotOrigin, Table};
use super::token::Token;
use crate::auth::PeerAddr;
use crate::connections::{Connections, Opening};
use crate::model::{Caller, UserAgent};

/// How often ids without a transport are looked through, as in ASP.NET Core.
const SCAN: Duration = Duration::from_secs(1);

/// The transports of this node.
pub struct Transport {
    config: Config,
    cors: Arc<Cors>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
    table: Table,
    budget: Arc<Budget>,
    agents: Agents,
    draining: CancellationToken,
}

impl Transport {
    /// Connections are opened in `connections`; their conversations run on `tasks`.
    pub fn new(
        config: Config,
        cors: Cors,
        connections: Arc<Connections>,
        tasks: TaskTracker,
        metrics: Metrics,
    ) -> Arc<Self> {
        let room = Arc::new(Self {
            table: Table::new(config.unattached_max, metrics.unattached.clone()),
            budget: Arc::new(Budget {
                used: AtomicUsize::new(0),
                max: config.unattached_bytes_max,
            }),
            agents: Agents::new(metrics.agents_not_kept.clone()),
            config,
            cors: Arc::new(cors),
            connections,
            tasks,
            metrics: Arc::new(metrics),
            draining: CancellationToken::new(),
        });
        room.tasks.spawn(forget_unattached(Arc::downgrade(&room), room.draining.clone()));
        room
    }

    /// The routes of the hubs. The server merges others and wraps all in [`Transport::with_cors`].
    pub fn router(self: &Arc<Self>, routes: Vec<HubRoute>) -> Router {
        router::build(self, routes)
    }

    /// Answers preflights and marks answers to allowed origins, for every route of `app`.
    pub fn with_cors(&self, app: Router) -> Router {
        Cors::wrap(self.cors.clone(), app)
    }

    /// From now on nobody new gets in: 503, so that clients try another node. Open connections go
    /// on.
    pub fn stop_accepting(&self) {
        self.draining.cancel();
    }

    /// Whether [`Transport::stop_accepting`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn cors(&self) -> &Cors {
        &self.cors
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(super) fn agents(&self) -> &Agents {
        &self.agents
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The slot a request names, if it is its caller's.
    pub(super) fn find(&self, hub: &HubRoute, visitor: &Visitor) -> Result<Arc<Slot>, Absent> {
        let id = visitor.id.as_deref().ok_or(Absent::IdRequired)?;
        let token = Token::parse(id).ok_or(Absent::NotThere)?;
        let slot = self.table.get(&token).ok_or(Absent::NotThere)?;
        if slot.hub != hub.hub {
            return Err(Absent::NotThere);
        }
        if slot.user != visitor.caller.user {
            tracing::debug!(connection = %slot.id, "another user's request for a connection");
            return Err(Absent::AnotherUser);
        }
        Ok(slot)
    }

    /// A slot for a WebSocket that did not negotiate. Its id is its token (section 1.7).
    pub(super) fn create_unnegotiated(
        &self,
        hub: &HubRoute,
        visitor: &Visitor,
    ) -> Result<Arc<Slot>, Refused> {
        self.create(hub, visitor, SlotOrigin::Unnegotiated, Token::as_id)
    }

    pub(super) fn create(
        &self,
        hub: &HubRoute,
        visitor: &Visitor,
        origin: SlotOrigin,
        id: impl FnOnce(&Token) -> crate::model::ConnectionId,
    ) -> Result<Arc<Slot>, Refused> {
        if self.is_draining() {
            return Err(Refused::Stopping);
        }
        let token = Token::random().map_err(|error| {
            tracing::error!(%error, "the system gives no random numbers");
            Refused::Full
        })?;
        let user = visitor.caller.user.clone();
        let slot = Arc::new(Slot::new(token, id(&token), hub.hub.clone(), user, origin));
        if !self.table.insert(slot.clone()) {
            self.metrics.refuse("unattached_max");
            return Err(Refused::Full);
        }
        Ok(slot)
    }

    /// The slot has its transport.
    pub(super) fn attached(&self, slot: &Arc<Slot>) {
        self.table.attach(slot);
    }

    /// The slot is over.
    pub(super) fn forget(&self, slot: &Slot) {
        self.table.remove(slot);
    }

    /// Forgets the slot when it is dropped, however its conversation ends.
    pub(super) fn seat(self: &Arc<Self>, slot: Arc<Slot>) -> Seat {
        Seat { room: self.clone(), slot }
    }
}

/// The place of a running conversation in the table.
pub(super) struct Seat {
    room: Arc<Transport>,
    slot: Arc<Slot>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.forget(&self.slot);
    }
}

/// Who sent a request, once the authenticator has let it in.
pub(super) struct Visitor {
    /// The parameter `id`; an empty one counts as none.
    pub(super) id: Option<Box<str>>,
    /// The whole query; it may hold a credential and is never logged.
    query: Box<str>,
    pub(super) caller: Arc<Caller>,
    pub(super) peer: Option<SocketAddr>,
    /// What its program calls itself, when it may open a connection.
    pub(super) agent: Option<UserAgent>,
}

impl Visitor {
    pub(super) fn new(parts: &Parts, caller: Arc<Caller>) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        Self {
            id: query::find(query, "id").filter(|id| !id.is_empty()).map(Into::into),
            query: query.into(),
            caller,
            peer: parts.extensions.get::<PeerAddr>().map(|peer| peer.0),
            agent: None,
        }
    }

    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        query::find(&self.query, name)
    }

    /// What the hub is told.
    pub(super) fn opening(&self) -> Opening {
        Opening { query: query::for_hub(&self.query), peer: self.peer }
    }
}

/// Why a request has no slot (section 1.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    IdRequired,
    NotThere,
    AnotherUser,
}

impl Absent {
    pub(super) fn answer(self) -> Response {
        match self {
            Self::IdRequired => answer::text(StatusCode::BAD_REQUEST, answer::ID_REQUIRED),
            Self::NotThere => answer::text(StatusCode::NOT_FOUND, answer::NO_CONNECTION),
            Self::AnotherUser => answer::bare(StatusCode::FORBIDDEN),
        }
    }

    /// ASP.NET Core leaves out the content type here.
    pub(super) fn for_websocket(self) -> Response {
        match self {
            Self::NotThere => answer::untyped(StatusCode::NOT_FOUND, answer::NO_CONNECTION),
            other => other.answer(),
        }
    }
}

/// Why nobody new gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Stopping,
    Full,
}

impl Refused {
    pub(super) fn answer(self) -> Response {
        answer::unavailable(match self {
            Self::Stopping => "The server is stopping",
            Self::Full => "Too many connections are open or wait for their transport",
        })
    }
}

/// Ids whose transport never comes die after their time (section 1.8).
async fn forget_unattached(room: Weak<Transport>, draining: CancellationToken) {
    let mut ticks = tokio::time::interval(SCAN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(room) = room.upgrade() else { return };
        let expired = room.table.expire(room.config.unattached_timeout());
        room.metrics.unattached_expired.inc_by(expired as u64);
    }
}
