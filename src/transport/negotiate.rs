//! The first request of a client: an id, a secret token, and what it may use (sections 1.2 to 1.6).

use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;

use super::answer;
use super::config::TransportKind;
use super::query;
use super::room::{Transport, Visitor};
use super::router::HubRoute;
use super::table::SlotOrigin;
use super::token::Token;
use crate::model::ConnectionId;

/// The newest version this node speaks.
const VERSION_MAX: i32 = 1;
const NOT_A_NUMBER: &str = "The client requested a non-integer protocol version.";

/// In the order in which ASP.NET Core writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    /// Never `false`: clients that did not ask fail on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    use_stateful_reconnect: Option<bool>,
    negotiate_version: i32,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<String>,
    available_transports: Vec<Available>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Available {
    transport: &'static str,
    transfer_formats: &'static [&'static str],
}

#[derive(Serialize)]
struct Failure {
    error: String,
}

/// Answers a negotiate request; the body is not looked at.
pub(super) fn answer(room: &Arc<Transport>, hub: &HubRoute, visitor: &Visitor) -> Response {
    let version = match version(hub, visitor) {
        Ok(version) => version,
        Err(error) => return to_json(&Failure { error }),
    };
    let asked = visitor.parameter("useStatefulReconnect");
    let stateful = hub.stateful_reconnect && asked.is_some_and(|asked| query::is_true(&asked));
    let origin = if stateful { SlotOrigin::NegotiatedStateful } else { SlotOrigin::Negotiated };
    let has_token = version >= 1;
    let public = if has_token {
        // Without random numbers `create` fails too, before the id is used.
        match Token::random() {
            Ok(id) => Some(id),
            Err(_) => return super::room::Refused::Full.answer(),
        }
    } else {
        None
    };
    let id = |token: &Token| -> ConnectionId { public.as_ref().unwrap_or(token).as_id() };
    let slot = match room.create(hub, visitor, origin, id) {
        Ok(slot) => slot,
        Err(refused) => return refused.answer(),
    };
    room.metrics().negotiates.inc();
    to_json(&Answer {
        use_stateful_reconnect: stateful.then_some(true),
        negotiate_version: version,
        connection_id: slot.id.as_str(),
        connection_token: has_token.then(|| slot.token.text()),
        available_transports: available(hub),
    })
}

/// The version both speak, or the error the client is shown.
fn version(hub: &HubRoute, visitor: &Visitor) -> Result<i32, String> {
    let Some(asked) = visitor.parameter("negotiateVersion") else {
        return at_least(hub.negotiate_version_min, 0);
    };
    match asked.trim().parse::<i32>() {
        Ok(version) => at_least(hub.negotiate_version_min, version),
        Err(_) => Err(NOT_A_NUMBER.to_owned()),
    }
}

fn at_least(min: i32, asked: i32) -> Result<i32, String> {
    if asked < min {
        return Err(format!(
            "The client requested version '{asked}', but the server does not support this version."
        ));
    }
    Ok(asked.min(VERSION_MAX))
}

fn available(hub: &HubRoute) -> Vec<Available> {
    TransportKind::ALL
        .into_iter()
        .filter(|kind| hub.allows(*kind))
        .map(|kind| Available {
            transport: kind.name(),
            transfer_formats: match kind {
                TransportKind::ServerSentEvents => &["Text"],
                TransportKind::WebSockets | TransportKind::LongPolling => &["Text", "Binary"],
            },
        })
        .collect()
}

fn to_json(body: &impl Serialize) -> Response {
    // Nothing in these types can fail: no maps, no foreign serialisers.
    answer::json(serde_json::to_string(body).unwrap_or_default())
}
