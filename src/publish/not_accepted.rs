//! How a message that was not kept is told, and what a publisher may do about it.

use http::StatusCode;

use super::problem::Problem;
use crate::delivery::{NotAccepted, Refusal, RefusedBy};

/// Long enough that a full tenant does not ask in vain all the time, short for a queue that drains.
const RETRY_AFTER_SECONDS: u64 = 5;

impl Problem {
    /// 503: the store does not take anything now.
    pub(super) fn store_unavailable(why: &str) -> Self {
        let kind = "urn:conduit-realtime:problem:store-unavailable";
        let detail = format!(
            "Nothing can be kept now: {why}. The message may be kept nevertheless; repeat it with \
             its messageId."
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, "The store is not available", detail)
            .with_code("store_unavailable", None)
            .with_retry_after(RETRY_AFTER_SECONDS)
    }

    /// 409: what is asked for cannot be, as things are.
    pub(super) fn conflict(
        code: &'static str,
        kind: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let title = "It cannot be done as things are";
        Self::new(StatusCode::CONFLICT, kind, title, detail).with_code(code, None)
    }
}

impl From<NotAccepted> for Problem {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Delivery(error) => error.into(),
            NotAccepted::NotEncodable(error) => {
                Self::field("arguments", &format!("cannot be kept: {error}"))
            }
            NotAccepted::Refused(refusal) => refusal.into(),
            NotAccepted::Store(error) => Self::store_unavailable(&error.to_string()),
            NotAccepted::BreakerOpen(wait) => {
                let problem = Self::store_unavailable("it has failed too often");
                problem.with_retry_after(wait.as_secs().saturating_add(1))
            }
            NotAccepted::NotConfigured => {
                Self::field("class", "cannot be acknowledged: this node keeps nothing")
            }
            NotAccepted::Stopping => Self::unavailable("This node is stopping."),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.name();
        match refusal {
            Refusal::IdReused => Self::conflict(
                code,
                "urn:conduit-realtime:problem:message-id-reused",
                "This messageId was used on this hub for a message that says something else.",
            ),
            Refusal::Nobody => Self::conflict(
                code,
                "urn:conduit-realtime:problem:nobody",
                "Nobody is in the audience, and requireAudience is true.",
            ),
            Refusal::PendingFull { by, limit } => full(
                code,
                "urn:conduit-realtime:problem:pending-full",
                ("messages wait for an answer", "pending_per_tenant_max", "pending_max"),
                (by, limit),
            ),
            Refusal::DeadLettersFull { by, limit } => full(
                code,
                "urn:conduit-realtime:problem:dead-letters-full",
                ("dead letters are kept", "dead_letters_per_tenant_max", "dead_letters_max"),
                (by, limit),
            ),
            Refusal::BytesFull { by, limit } => full(
                code,
                "urn:conduit-realtime:problem:bytes-full",
                ("bytes of messages are kept", "mib_per_tenant_max", "mib_max"),
                (by, limit),
            ),
            Refusal::IdempotencyFull { limit } => full(
                code,
                "urn:conduit-realtime:problem:idempotency-full",
                ("young message ids are remembered", "", "idempotency_keys_max"),
                (RefusedBy::Total, limit),
            ),
        }
    }
}

/// 503 with whose limit it was, which setting it is, and when to come back.
fn full(
    code: &'static str,
    kind: &'static str,
    (what, of_tenant, of_all): (&str, &str, &str),
    (by, limit): (RefusedBy, u64),
) -> Problem {
    let (whose, who, setting) = match by {
        RefusedBy::Tenant => ("tenant", "this service key", of_tenant),
        RefusedBy::Total => ("total", "all service keys", of_all),
    };
    let detail = format!("As many {what} for {who} as may be: {limit} (store.{setting}).");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, "There is no room", detail)
        .with_limit(usize::try_from(limit).unwrap_or(usize::MAX))
        .with_code(code, Some(whose))
        .with_retry_after(RETRY_AFTER_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::StoreError;
    use axum::response::IntoResponse;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn told(error: NotAccepted) -> (Value, Option<String>) {
        let problem = Problem::from(error);
        let value = serde_json::to_value(&problem).unwrap();
        let response = problem.into_response();
        let after = response.headers().get("retry-after");
        (value, after.map(|own| own.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_bound_is_503_with_its_code_its_limit_and_whose_it_is() {
        use RefusedBy::{Tenant, Total};
        for (refusal, code, whose, setting) in [
            (
                Refusal::PendingFull { by: Tenant, limit: 7 },
                "pending_full",
                "tenant",
                "pending_per_tenant_max",
            ),
            (Refusal::PendingFull { by: Total, limit: 7 }, "pending_full", "total", "pending_max"),
            (
                Refusal::DeadLettersFull { by: Tenant, limit: 7 },
                "dead_letters_full",
                "tenant",
                "dead_letters_per_tenant_max",
            ),
            (
                Refusal::DeadLettersFull { by: Total, limit: 7 },
                "dead_letters_full",
                "total",
                "dead_letters_max",
            ),
            (
                Refusal::BytesFull { by: Tenant, limit: 7 },
                "bytes_full",
                "tenant",
                "mib_per_tenant_max",
            ),
            (Refusal::BytesFull { by: Total, limit: 7 }, "bytes_full", "total", "mib_max"),
            (
                Refusal::IdempotencyFull { limit: 7 },
                "idempotency_full",
                "total",
                "idempotency_keys_max",
            ),
        ] {
            let (problem, after) = told(refusal.into());
            assert_eq!((&problem["status"], &problem["limit"]), (&json!(503), &json!(7)));
            assert_eq!((&problem["code"], &problem["whose"]), (&json!(code), &json!(whose)));
            assert!(problem["detail"].as_str().unwrap().contains(&format!("store.{setting}")));
            assert_eq!(after.as_deref(), Some("5"), "{code}");
        }
    }

    #[test]
    fn a_conflict_is_409_and_nothing_to_repeat() {
        for (refusal, code) in
            [(Refusal::IdReused, "message_id_reused"), (Refusal::Nobody, "nobody")]
        {
            let (problem, after) = told(refusal.into());
            assert_eq!((&problem["status"], &problem["code"]), (&json!(409), &json!(code)));
            assert_eq!(after, None);
        }
    }

    #[test]
    fn a_store_that_fails_is_503_with_the_time_of_its_breaker() {
        let (problem, after) = told(StoreError::DiskFull.into());
        assert_eq!(problem["code"], "store_unavailable");
        assert_eq!(after.as_deref(), Some("5"));
        let (problem, after) = told(NotAccepted::BreakerOpen(Duration::from_millis(1_500)));
        assert_eq!(problem["code"], "store_unavailable");
        assert_eq!(after.as_deref(), Some("2"));
    }

    #[test]
    fn a_node_that_keeps_nothing_blames_the_class() {
        let (problem, _) = told(NotAccepted::NotConfigured);
        assert_eq!((&problem["status"], &problem["field"]), (&json!(422), &json!("class")));
    }
}
