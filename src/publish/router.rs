//! The addresses of this room, and what their handlers share.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, head, post, put};
use tokio::time::Instant;

use super::config::Config;
use super::door::Door;
use super::messages::Observer;
use super::metrics::Metrics;
use super::problem::Problem;
use super::tasks::TaskRegister;
use super::webhook::Webhooks;
use super::{access, admin, batch, broadcast, conduit, members, messages, receipts, tasks};
use crate::auth::{AdminKey, ServiceKeys, VirtualKeys};
use crate::delivery::Delivery;

/// What the server gives this room.
pub struct Publish {
    /// Where messages go.
    pub delivery: Arc<Delivery>,
    /// Who may publish.
    pub service_keys: Arc<ServiceKeys>,
    /// Who may see and change what others published.
    pub admin: Arc<AdminKey>,
    /// The clients' keys: those of admins open Conduit's dead letters, as they do in Conduit.
    pub virtual_keys: Arc<VirtualKeys>,
    /// The limits, checked.
    pub config: Config,
    /// Who is told what became of messages, as long as this lives.
    pub webhooks: Arc<Webhooks>,
    /// Closed when the node stops.
    pub door: Door,
    /// Sees every message before delivery does.
    pub observer: Option<Arc<dyn Observer>>,
    /// Takes `PUT /api/v1/tasks/{taskId}`; 404 without one.
    pub tasks: Option<Arc<dyn TaskRegister>>,
    /// Whether `POST /api/broadcast` works: whether the bench hub is on.
    pub bench: bool,
    /// What is counted.
    pub metrics: Metrics,
}

impl Publish {
    /// Counts a refusal and answers with it.
    pub(super) fn refuse(&self, problem: Problem) -> Response {
        self.metrics.refused(&problem);
        problem.into_response()
    }

    /// The answer of a handler.
    pub(super) fn answer(&self, result: Result<Response, Problem>) -> Response {
        result.unwrap_or_else(|problem| self.refuse(problem))
    }

    /// Waits for delivery, at most as long as configured.
    pub(super) async fn in_time<T, E: Into<Problem>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        self.until(self.deadline(), work).await
    }

    /// When the work of a request that begins now must be done.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.config.delivery_timeout()
    }

    /// Waits for delivery until then.
    pub(super) async fn until<T, E: Into<Problem>>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout_at(deadline, work).await {
            Ok(done) => done.map_err(Into::into),
            Err(_elapsed) => Err(Problem::timed_out()),
        }
    }
}

/// All routes: `/api/v1/…` behind a service key, `/api/v1/admin/…` behind the operators' key,
/// Conduit's behind that or an admin's, `/api/broadcast` without.
pub fn router(publish: Publish) -> Router {
    let publish = Arc::new(publish);
    let v1 = Router::new()
        .route("/hubs/{hub}/messages", post(messages::publish))
        .route("/hubs/{hub}/messages/batch", post(batch::publish))
        .route("/messages/{id}", get(receipts::of_message))
        .route("/delivery/stats", get(receipts::stats))
        .route("/hubs/{hub}/connections/{id}", head(members::has_connection))
        .route("/hubs/{hub}/connections/{id}", delete(members::close))
        .route("/hubs/{hub}/groups/{group}", head(members::has_group))
        .route("/hubs/{hub}/users/{user}", head(members::has_user))
        .route(
            "/hubs/{hub}/groups/{group}/connections/{id}",
            put(members::add_connection).delete(members::remove_connection),
        )
        .route(
            "/hubs/{hub}/groups/{group}/users/{user}",
            put(members::add_user).delete(members::remove_user),
        )
        .route("/tasks/{task}", put(tasks::register))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .with_state(publish.clone());
    let broadcast = Router::new()
        .route("/api/broadcast", post(broadcast::broadcast))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(publish.clone(), access::ask_at_door))
        .with_state(publish.clone());
    let operators = admin::router()
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(from_fn_with_state(publish.clone(), access::ask_operator))
        .with_state(publish.clone());
    Router::new()
        .nest("/api/v1", access::guard(v1, &publish))
        .nest("/api/v1/admin", operators)
        .merge(conduit::router(&publish))
        .merge(broadcast)
}

pub(super) async fn unknown_path(State(publish): State<Arc<Publish>>) -> Response {
    publish.refuse(Problem::not_found("address"))
}

pub(super) async fn wrong_method(State(publish): State<Arc<Publish>>) -> Response {
    publish.refuse(Problem::method_not_allowed())
}
