//! Which origins may use the server from a browser, with credentials (section 1.10).

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::answer;

/// What clients of hubs send; exact, as clients of ASP.NET Core see it.
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,DELETE");
/// Two hours, the longest that Chromium keeps: each poll would need a preflight of its own.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// The allowed origins (`cors` in the configuration).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// `scheme://host[:port]`, without a path. None: browsers only from the server's own origin,
    /// and WebSockets from everywhere.
    pub origins: Vec<String>,
}

impl Cors {
    /// The first entry that no browser would ever send.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |origin: &&String| match origin.split_once("://") {
            Some((scheme, rest)) => {
                scheme.is_empty() || rest.is_empty() || rest.contains(['/', '*', '?', '#', '@'])
            }
            None => true,
        };
        match self.origins.iter().find(wrong) {
            Some(origin) => Err(format!(
                "cors.origins: {origin:?} is no origin; write scheme://host[:port] without a path"
            )),
            None => Ok(()),
        }
    }

    /// Whether pages of this origin may read answers.
    fn allows(&self, origin: &HeaderValue) -> bool {
        let origin = origin.as_bytes();
        self.origins.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(origin))
    }

    /// Whether a WebSocket comes from a page that may not open one: browsers do not ask before.
    pub(super) fn refuses(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return false };
        !self.origins.is_empty() && !self.allows(origin) && !is_own(origin, headers)
    }

    /// Answers preflights and marks answers, for every route of `app`.
    pub fn wrap(cors: Arc<Self>, app: Router) -> Router {
        app.layer(middleware::from_fn(move |request: Request, next: Next| {
            let cors = cors.clone();
            async move { cors.apply(request, next).await }
        }))
    }

    async fn apply(&self, request: Request, next: Next) -> Response {
        let allowed = request.headers().get(header::ORIGIN).filter(|origin| self.allows(origin));
        let allowed = allowed.cloned();
        let mut response = if is_preflight(&request) {
            preflight(request.headers(), allowed.is_some())
        } else {
            next.run(request).await
        };
        if self.origins.is_empty() {
            return response;
        }
        let headers = response.headers_mut();
        headers.append(header::VARY, VARY_ORIGIN);
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        response
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Always 204; without permission headers a browser takes it for a refusal.
fn preflight(asked: &HeaderMap, allowed: bool) -> Response {
    let mut response = answer::bare(StatusCode::NO_CONTENT);
    if !allowed {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

/// A page that the server itself delivered, such as the console. The scheme is not compared: a
/// proxy may have taken TLS away.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let (Ok(origin), Some(host)) = (origin.to_str(), headers.get(header::HOST)) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
}
