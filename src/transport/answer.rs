//! The answers of section 1.11, word for word.

use axum::body::Body;
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::config::TransportKind;

/// The body when an id is not there.
pub(super) const NO_CONNECTION: &str = "No Connection with that ID";
/// The body when a request has no id.
pub(super) const ID_REQUIRED: &str = "Connection ID required";
/// The body when an id belongs to another transport.
pub(super) const OTHER_TRANSPORT: &str = "Cannot change transports mid-connection";
/// The body of POST on a WebSocket.
pub(super) const NO_POST: &str = "POST requests are not allowed for WebSocket connections.";
/// The body of DELETE on anything but long polling.
pub(super) const NO_DELETE: &str = "Cannot terminate this connection using the DELETE endpoint.";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Seconds after which a client may try again; another node is chosen at once by then.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An answer with nothing but its status.
pub(super) fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A text without a content type: what a WebSocket gets for an unknown id.
pub(super) fn untyped(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// A text, often an empty one.
pub(super) fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}

/// JSON with 200.
pub(super) fn json(body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// The node cannot take more now, or is about to stop.
pub(super) fn unavailable(reason: &'static str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// The hub does not speak this transport.
pub(super) fn not_supported(kind: TransportKind) -> Response {
    let body = format!("{} transport not supported by this end point type", kind.name());
    text(StatusCode::NOT_FOUND, body)
}

/// A credential is missing or not good.
pub(super) fn unauthenticated() -> Response {
    let mut response = bare(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The headers of every poll (section 2.3).
pub(super) fn forbid_caching(headers: &mut HeaderMap) {
    let values: [(HeaderName, &'static str); 3] = [
        (header::CACHE_CONTROL, "no-cache, no-store"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
