//! What became of messages, for those who published them.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::members::path;
use super::problem::Problem;
use super::router::Publish;
use super::shapes::{counts, identity, iso};
use crate::auth::{Tenant, query_value};
use crate::delivery::{BreakerState, PairReceipt, PairStatus, Receipt};
use crate::model::MessageId;

/// `GET /api/v1/messages/{id}[?hub=]`: of the tenant's own messages only. The newest, when the id was
/// used on several hubs.
pub(super) async fn of_message(
    State(publish): State<Arc<Publish>>,
    Extension(tenant): Extension<Tenant>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let found = async {
        let id = MessageId::parse(&path(id)?).map_err(|_bad| Problem::not_found("message"))?;
        let hub = query_value(query.as_deref().unwrap_or_default(), "hub");
        let receipts = publish.in_time(publish.delivery.receipts(id, Some(tenant))).await?;
        let fits = |own: &Receipt| hub.as_deref().is_none_or(|hub| own.hub.as_str() == hub);
        let newest = receipts.into_iter().filter(fits).max_by_key(|own| own.seq);
        let newest = newest.ok_or_else(|| Problem::not_found("message"))?;
        Ok(Json(receipt(&newest)).into_response())
    };
    publish.answer(found.await)
}

/// `GET /api/v1/delivery/stats`: everybody's messages, counted.
pub(super) async fn stats(State(publish): State<Arc<Publish>>) -> Response {
    let counted = async {
        let stats = publish.in_time(publish.delivery.delivery_stats()).await?;
        let queue = publish.delivery.queue();
        let totals = &stats.totals;
        let mut pairs = counts(&stats.pairs);
        pairs["retired"] = json!(totals.retired);
        pairs["requeued"] = json!(totals.requeued);
        let breakers = publish.delivery.breakers().map(|own| {
            json!({
                "store": state(own.store),
                "subscribers": {"open": own.open, "halfOpen": own.half_open, "isolated": own.isolated},
            })
        });
        let body = json!({
            "mode": publish.delivery.mode().map(|mode| mode.name()),
            "pairs": pairs,
            "messages": {
                "accepted": stats.messages_accepted,
                "settled": stats.messages_settled,
                "open": stats.messages_open,
                "nobody": totals.nobody,
            },
            "kept": {
                "bytes": stats.bytes,
                "subscribers": stats.subscribers,
                "messageIds": stats.keys,
                "receipts": stats.receipts,
                "messageIdsForgotten": totals.keys_forgotten,
                "receiptsForgotten": totals.receipts_forgotten,
            },
            "node": {
                "subscribersPresent": queue.present,
                "inFlight": queue.in_flight,
                "subscribersBehind": queue.behind,
                "repeatsWaiting": queue.repeats_waiting,
                "breakers": breakers,
            },
        });
        Ok(Json(body).into_response())
    };
    publish.answer(counted.await)
}

/// A breaker's state, as Conduit says it.
pub(super) fn state(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "Closed",
        BreakerState::Open => "Open",
        BreakerState::HalfOpen => "HalfOpen",
        BreakerState::Isolated => "Isolated",
    }
}

/// One message's receipt.
pub(super) fn receipt(receipt: &Receipt) -> Value {
    let mut body = counts(&receipt.counts);
    body["messageId"] = json!(receipt.id.as_str());
    body["hub"] = json!(receipt.hub.as_str());
    body["acceptedAt"] = json!(iso(receipt.accepted_at));
    body["expiresAt"] = json!(receipt.expires_at.map(iso));
    body["settledAt"] = json!(receipt.settled_at.map(iso));
    body["subscribers"] = receipt.pairs.iter().map(pair).collect();
    body
}

fn pair(pair: &PairReceipt) -> Value {
    json!({
        "subscriber": pair.subscriber.to_string(),
        "identity": pair.identity.as_ref().map(identity),
        "status": status(pair.status),
    })
}

/// A fixed name for where a pair is.
pub(super) fn status(status: PairStatus) -> &'static str {
    match status {
        PairStatus::Owed => "pending",
        PairStatus::Acknowledged => "acknowledged",
        PairStatus::Unconfirmed => "unconfirmed",
        PairStatus::Expired => "expired",
        PairStatus::Dead => "dead",
        PairStatus::Purged => "purged",
    }
}
