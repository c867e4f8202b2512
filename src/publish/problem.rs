//! How an error is told to a back end: RFC 9457.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::delivery::DeliveryError;
use crate::model::MessageId;

/// Seconds after which trying again may help when the node stops or another one is unreachable.
const RETRY_AFTER_SECONDS: u64 = 5;

/// One problem of one request, as `application/problem+json`. Never repeats a value of the request:
/// it may be a secret, and the sender has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Parts>);

// In a box of its own, because it travels through every function that may go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Parts {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whose: Option<&'static str>,
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            limit: None,
            code: None,
            whose: None,
            message_id: None,
            retry_after_seconds: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(&mut self.0);
        self
    }

    /// 400: the body is no JSON.
    pub fn not_json(detail: impl Into<String>) -> Self {
        let kind = "urn:conduit-realtime:problem:not-json";
        Self::new(StatusCode::BAD_REQUEST, kind, "The body is not JSON", detail)
    }

    /// 400: the body is no UTF-8 text.
    pub fn not_text() -> Self {
        let kind = "urn:conduit-realtime:problem:not-text";
        let detail = "The body must be UTF-8.";
        Self::new(StatusCode::BAD_REQUEST, kind, "The body is no text", detail)
    }

    /// 401: no key, or a wrong one.
    pub fn unauthenticated() -> Self {
        let kind = "urn:conduit-realtime:problem:unauthenticated";
        let detail = "Send a service key in X-API-Key or as a Bearer token.";
        Self::new(StatusCode::UNAUTHORIZED, kind, "No good service key", detail)
    }

    /// 401: no key of operators, or a wrong one.
    pub fn not_an_operator() -> Self {
        let kind = "urn:conduit-realtime:problem:unauthenticated";
        let detail =
            "Send the key of operators (admin.key_sha256) in X-API-Key or as a Bearer token.";
        Self::new(StatusCode::UNAUTHORIZED, kind, "No good key of operators", detail)
    }

    /// 401: no key of operators and no virtual key of an admin.
    pub fn not_an_admin() -> Self {
        let kind = "urn:conduit-realtime:problem:unauthenticated";
        let detail = "Send the key of operators (admin.key_sha256) or a virtual key with admin = true \
                      in X-API-Key or as a Bearer token.";
        Self::new(StatusCode::UNAUTHORIZED, kind, "No good key of admins", detail)
    }

    /// 404: something that the path names is not there.
    pub fn not_found(what: &str) -> Self {
        let kind = "urn:conduit-realtime:problem:not-found";
        Self::new(StatusCode::NOT_FOUND, kind, "Not found", format!("There is no such {what}."))
    }

    /// 405: the path is good, the method is not.
    pub fn method_not_allowed() -> Self {
        let kind = "urn:conduit-realtime:problem:method-not-allowed";
        let detail = "This path does not take this method.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, "Method not allowed", detail)
    }

    /// 408: the body did not arrive in time.
    pub fn too_slow() -> Self {
        let kind = "urn:conduit-realtime:problem:body-too-slow";
        let detail = "The body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, kind, "The body is too slow", detail)
    }

    /// 409: a bound of the thing that was to be changed is reached.
    pub fn full(detail: impl Into<String>, limit: usize) -> Self {
        let kind = "urn:conduit-realtime:problem:full";
        Self::new(StatusCode::CONFLICT, kind, "A bound is reached", detail).with_limit(limit)
    }

    /// 413: the body is too long.
    pub fn too_large(limit: usize) -> Self {
        let kind = "urn:conduit-realtime:problem:body-too-large";
        let detail = format!("The body may have at most {limit} bytes (publish.body_bytes_max).");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, kind, "The body is too large", detail).with_limit(limit)
    }

    /// 422: a field is missing, unknown or wrong. `detail` goes on after the field's name.
    pub fn field(field: impl Into<String>, detail: &str) -> Self {
        let field = field.into();
        let kind = "urn:conduit-realtime:problem:bad-field";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let text = format!("'{field}' {detail}.");
        Self::new(status, kind, "A field is not usable", text).with(|own| own.field = Some(field))
    }

    /// 422: the body is JSON, but no object.
    pub fn not_an_object() -> Self {
        let kind = "urn:conduit-realtime:problem:bad-body";
        let detail = "The body must be a JSON object.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, "The body is not usable", detail)
    }

    /// 429: the tenant asks too often.
    pub fn too_many_requests(limit: u32, wait_seconds: u64) -> Self {
        let kind = "urn:conduit-realtime:problem:too-many-requests";
        let detail = format!(
            "This service key may ask {limit} times a second (publish.requests_per_second_max)."
        );
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(status, kind, "Too many requests", detail);
        // The wait is rounded down to seconds; "at once" would be wrong.
        problem.with_retry_after(wait_seconds).with(|own| own.limit = Some(u64::from(limit)))
    }

    /// 500: our own mistake.
    pub fn internal() -> Self {
        let kind = "urn:conduit-realtime:problem:internal";
        let detail = "The server made a mistake.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, "Internal error", detail)
    }

    /// 503: the node stops, or cannot reach the others; another try may help.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let kind = "urn:conduit-realtime:problem:unavailable";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, kind, "Not available now", detail).with_retry_after(RETRY_AFTER_SECONDS)
    }

    /// 504: nobody knows whether it was done.
    pub fn timed_out() -> Self {
        let kind = "urn:conduit-realtime:problem:timed-out";
        let detail = "It was not done in time; whether it still will be is not known.";
        Self::new(StatusCode::GATEWAY_TIMEOUT, kind, "Timed out", detail)
    }

    /// The number that was exceeded or missed.
    pub fn with_limit(self, limit: usize) -> Self {
        self.with(|own| own.limit = u64::try_from(limit).ok())
    }

    /// A fixed name for programs, and whose limit it was: the tenant's, or everybody's.
    pub(super) fn with_code(self, code: &'static str, whose: Option<&'static str>) -> Self {
        self.with(|own| (own.code, own.whose) = (Some(code), whose))
    }

    /// When trying again may help.
    pub(super) fn with_retry_after(self, seconds: u64) -> Self {
        self.with(|own| own.retry_after_seconds = Some(seconds.max(1)))
    }

    /// The message that it is about: a publisher that gave no id needs it to try again.
    pub(super) fn of_message(self, id: &MessageId) -> Self {
        self.with(|own| own.message_id = Some(id.to_string()))
    }

    /// What is wrong, in words.
    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(super) fn message_id(&self) -> Option<&str> {
        self.0.message_id.as_deref()
    }

    /// The status that this problem is answered with.
    pub fn status(&self) -> u16 {
        self.0.status
    }
}

impl From<DeliveryError> for Problem {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::UnknownHub(_) => Self::not_found("hub"),
            DeliveryError::GroupFull(full) => Self::full(full.to_string(), full.max),
            DeliveryError::Backplane(error) => Self::unavailable(error.to_string()),
            DeliveryError::Store(error) => Self::store_unavailable(&error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let status = StatusCode::from_u16(self.0.status).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if let Some(seconds) = self.0.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_type_title_status_detail_and_where_they_apply_field_and_limit() {
        let problem = Problem::field("audience.group", "must be a string").with_limit(256);
        assert_eq!(
            serde_json::to_value(problem).unwrap(),
            serde_json::json!({
                "type": "urn:conduit-realtime:problem:bad-field",
                "title": "A field is not usable",
                "status": 422,
                "detail": "'audience.group' must be a string.",
                "field": "audience.group",
                "limit": 256,
            })
        );
    }

    #[test]
    fn what_may_work_later_says_when() {
        let response = Problem::unavailable("x").into_response();
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let response = Problem::too_many_requests(5, 0).into_response();
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
