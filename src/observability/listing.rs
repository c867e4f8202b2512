//! Single connections, for those who may see names.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::shape;
use crate::connections::Facts;

/// Connections in one answer, unless `?limit=` asks for another number.
const LISTED: usize = 1_000;
/// The most that may be asked for.
const LISTED_MAX: usize = 10_000;

/// What a listing shows of each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Details,
    OfHub,
    OfKey,
    OfGroup,
    OfTransport,
}

/// How many are listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(usize);

impl Limit {
    /// From the query; what is no number counts as not given.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let asked =
            pairs.filter(|(name, _)| name == "limit").find_map(|(_, text)| text.parse().ok());
        Self(asked.unwrap_or(LISTED).min(LISTED_MAX))
    }
}

/// The oldest first. `count` is of all, also of those that the limit leaves out.
pub(super) fn list(
    mut found: Vec<Facts>,
    view: View,
    limit: Limit,
    now: SystemTime,
) -> (Value, usize) {
    let count = found.len();
    found.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.id.cmp(&b.id)));
    found.truncate(limit.0);
    (found.iter().map(|own| one(own, view, now)).collect(), count)
}

/// The id of the virtual key behind a connection; a number where it is one.
fn key(own: &Facts) -> Value {
    match own.caller.claim("virtual_key_id") {
        Some(text) => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
        None => Value::Null,
    }
}

fn one(own: &Facts, view: View, now: SystemTime) -> Value {
    let connected_at = shape::before(now, own.age);
    let groups: Vec<_> = own.groups.iter().map(|group| group.as_str()).collect();
    match view {
        View::OfHub => json!({
            "connectionId": own.id.as_str(),
            "connectedAt": connected_at,
            "connectionDuration": shape::span(own.age),
            "groups": groups,
            "messagesSent": own.messages_sent,
            "messagesAcknowledged": own.messages_acknowledged,
        }),
        View::OfKey => json!({
            "connectionId": own.id.as_str(),
            "hubName": own.hub.as_str(),
            "connectedAt": connected_at,
            "connectionDuration": shape::span(own.age),
            "groups": groups,
        }),
        View::OfGroup | View::OfTransport => json!({
            "connectionId": own.id.as_str(),
            "hubName": own.hub.as_str(),
            "connectedAt": connected_at,
            "virtualKeyId": key(own),
        }),
        View::Details => json!({
            "connectionId": own.id.as_str(),
            "hubName": own.hub.as_str(),
            "virtualKeyId": key(own),
            "userId": own.caller.user.as_ref().map(|user| user.as_str()),
            "connectedAt": connected_at,
            "lastActivityAt": shape::before(now, own.idle),
            "groups": groups,
            "userAgent": own.agent.as_ref().map(|agent| agent.as_str()),
            "ipAddress": own.peer.map(|peer| peer.to_string()),
            "transportType": own.transport.name(),
            "metadata": {},
            "messagesSent": own.messages_sent,
            "messagesAcknowledged": own.messages_acknowledged,
            "connectionDuration": shape::span(own.age),
            "idleTime": shape::span(own.idle),
            "roundTripMs": own.round_trip.map(shape::millis),
            "isStale": own.stale,
            "isParked": own.parked,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_an_end_whatever_is_asked_for() {
        assert_eq!(Limit::of_query(None).0, 1_000);
        assert_eq!(Limit::of_query(Some("a=b&limit=5")).0, 5);
        assert_eq!(Limit::of_query(Some("limit=many")).0, 1_000);
        assert_eq!(Limit::of_query(Some("limit=99999999")).0, 10_000);
    }
}
