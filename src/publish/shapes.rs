//! What answers are made of: times, audiences, counts, the places in lists.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::delivery::{Counts, DeadKey, Identity, MessageSeq, Moment, SubscriberId};
use crate::model::Audience;

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn iso(moment: Moment) -> String {
    let time = DateTime::<Utc>::from(SystemTime::from(moment));
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Pairs by where they are.
pub(super) fn counts(counts: &Counts) -> Value {
    json!({
        "targeted": counts.targeted(),
        "pending": counts.pending,
        "acknowledged": counts.acknowledged,
        "unconfirmed": counts.unconfirmed,
        "expired": counts.expired,
        "dead": counts.dead,
        "purged": counts.purged,
    })
}

/// Whose name it is; null for a caller without one.
pub(super) fn identity(identity: &Identity) -> Value {
    match identity {
        Identity::Named(user) => json!(user.as_str()),
        Identity::Anonymous => Value::Null,
    }
}

/// As a publisher writes it.
pub(super) fn audience(audience: &Audience) -> Value {
    let texts = |names: &[crate::model::ConnectionId]| -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    };
    let with_except = |mut value: Value, except: &[crate::model::ConnectionId]| {
        if !except.is_empty() {
            value["except"] = json!(texts(except));
        }
        value
    };
    match audience {
        Audience::All { except } => with_except(json!({"all": true}), except),
        Audience::Group { group, except } => with_except(json!({"group": group.as_str()}), except),
        Audience::Groups(groups) => {
            json!({"groups": groups.iter().map(ToString::to_string).collect::<Vec<_>>()})
        }
        Audience::User(user) => json!({"user": user.as_str()}),
        Audience::Users(users) => {
            json!({"users": users.iter().map(ToString::to_string).collect::<Vec<_>>()})
        }
        Audience::Connection(id) => json!({"connection": id.as_str()}),
        Audience::Connections(ids) => json!({"connections": texts(ids)}),
    }
}

/// A place in a list of dead letters, as a client hands it back.
pub(super) fn place(key: DeadKey) -> String {
    format!("{}-{}", key.seq, key.subscriber)
}

/// Reads a place.
pub(super) fn parse_place(text: &str) -> Option<DeadKey> {
    let (seq, subscriber) = text.split_once('-')?;
    let (seq, subscriber) = (seq.parse().ok()?, subscriber.parse().ok()?);
    Some(DeadKey { seq: MessageSeq(seq), subscriber: SubscriberId(subscriber) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let key = DeadKey { seq: MessageSeq(7), subscriber: SubscriberId(u64::MAX) };
        assert_eq!(parse_place(&place(key)), Some(key));
        for wrong in ["", "7", "7-", "-7", "a-1", "7-1-1", "18446744073709551616-1"] {
            assert_eq!(parse_place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_audience_is_shown_as_it_is_written() {
        let shown = audience(&Audience::Group { group: "g".into(), except: vec!["c".into()] });
        assert_eq!(shown, json!({"group": "g", "except": ["c"]}));
        assert_eq!(audience(&Audience::all()), json!({"all": true}));
        assert_eq!(audience(&Audience::Users(vec!["u".into()])), json!({"users": ["u"]}));
    }

    #[test]
    fn a_time_has_milliseconds_and_a_zone() {
        assert_eq!(iso(Moment(1_795_521_600_123)), "2026-11-24T12:00:00.123Z");
    }
}
