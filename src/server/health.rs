//! Whether the node lives, and whether it wants clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};

/// Read by probes, changed by the stop sequence. Clones are the same health.
#[derive(Clone, Debug, Default)]
pub struct Health {
    stopping: Arc<AtomicBool>,
}

impl Health {
    /// From now on the node is not ready any more.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether new clients are welcome.
    pub fn is_ready(&self) -> bool {
        !self.stopping.load(Ordering::Acquire)
    }

    /// `/health/live` is 200 while the process answers; `/health/ready` is 503 once it stops.
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/health/live", get(live))
            .route("/health/ready", get(ready))
            .method_not_allowed_fallback(wrong_method)
            .with_state(self.clone())
    }
}

async fn live() -> Response {
    json(StatusCode::OK, r#"{"status":"live"}"#)
}

async fn ready(State(health): State<Health>) -> Response {
    if health.is_ready() {
        json(StatusCode::OK, r#"{"status":"ready"}"#)
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"stopping"}"#)
    }
}

async fn wrong_method() -> Response {
    let body =
        r#"{"title":"Method Not Allowed","status":405,"detail":"This path takes GET only."}"#;
    answer(StatusCode::METHOD_NOT_ALLOWED, "application/problem+json", body)
}

fn json(status: StatusCode, body: &'static str) -> Response {
    answer(status, "application/json", body)
}

fn answer(status: StatusCode, kind: &'static str, body: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn another_method_than_get_is_a_problem_like_any_other() {
        let router = Health { stopping: Arc::default() }.router();
        for path in ["/health/live", "/health/ready"] {
            let request = Request::post(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        }
    }
}
