//! Who may ask, and how often.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

use super::problem::Problem;
use super::router::Publish;
use crate::auth::Tenant;

/// Puts the questions in front of every route: is the door open, whose key is it, has the tenant
/// asked too often?
pub(super) fn guard(routes: Router, publish: &Arc<Publish>) -> Router {
    let routes = match NonZeroU32::new(publish.config.requests_per_second_max) {
        Some(limit) => limited(routes, limit, publish),
        None => routes,
    };
    routes
        .layer(from_fn_with_state(publish.clone(), ask_for_key))
        .layer(from_fn_with_state(publish.clone(), ask_at_door))
}

/// While the node stops nothing new is taken.
pub(super) async fn ask_at_door(
    State(publish): State<Arc<Publish>>,
    request: Request,
    next: Next,
) -> Response {
    if publish.door.is_open() {
        return next.run(request).await;
    }
    publish.refuse(Problem::unavailable("This node is stopping."))
}

/// Leaves the tenant with the request.
async fn ask_for_key(
    State(publish): State<Arc<Publish>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(tenant) = publish.service_keys.tenant_of(request.headers()).cloned() else {
        return publish.refuse(Problem::unauthenticated());
    };
    request.extensions_mut().insert(tenant);
    next.run(request).await
}

/// Operators have their own key, and work while the node stops, too.
pub(super) async fn ask_operator(
    State(publish): State<Arc<Publish>>,
    request: Request,
    next: Next,
) -> Response {
    if publish.admin.opens(request.headers()) {
        return next.run(request).await;
    }
    publish.refuse(Problem::not_an_operator())
}

/// Conduit's admins: operators, and whoever has a virtual key with that role.
pub(super) async fn ask_admin(
    State(publish): State<Arc<Publish>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if publish.admin.opens(headers) || publish.virtual_keys.has_admin(headers) {
        return next.run(request).await;
    }
    publish.refuse(Problem::not_an_admin())
}

/// A burst of one second's requests, refilled evenly.
fn limited(routes: Router, limit: NonZeroU32, publish: &Arc<Publish>) -> Router {
    let config = GovernorConfigBuilder::default()
        .period(Duration::from_secs(1) / limit.get())
        .burst_size(limit.get())
        .key_extractor(ByTenant)
        .finish();
    let Some(config) = config else { return routes };
    let publish = publish.clone();
    let refused = move |error: GovernorError| -> http::Response<Body> {
        match error {
            GovernorError::TooManyRequests { wait_time, .. } => {
                publish.refuse(Problem::too_many_requests(limit.get(), wait_time))
            }
            GovernorError::UnableToExtractKey | GovernorError::Other { .. } => {
                Problem::internal().into_response()
            }
        }
    };
    routes.layer(GovernorLayer::new(config).error_handler(refused))
}

/// Counts by the tenant that [`ask_for_key`] left with the request; there are no more of them than
/// configured keys, so the counts need no bound.
#[derive(Clone, Copy, Debug)]
struct ByTenant;

impl KeyExtractor for ByTenant {
    type Key = Tenant;

    fn extract<T>(&self, request: &http::Request<T>) -> Result<Tenant, GovernorError> {
        request.extensions().get().cloned().ok_or(GovernorError::UnableToExtractKey)
    }
}
