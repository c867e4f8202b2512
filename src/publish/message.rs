//! A message as a back end writes it, and every reason to refuse it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use chrono::DateTime;

use super::audience;
use super::fields::{Fields, parse_body};
use super::problem::Problem;
use crate::model::{Audience, BadMessageId, Class, MessageId, Priority};

/// Characters in a target, a conflation key, a correlation id.
const TEXT_CHARS_MAX: usize = 256;

/// A message that may be published.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) audience: Audience,
    pub(super) target: String,
    /// The text of a JSON array, a part of the body.
    pub(super) arguments: Bytes,
    pub(super) class: Class,
    pub(super) conflation_key: Option<Arc<str>>,
    pub(super) priority: Priority,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) correlation_id: Option<Arc<str>>,
    pub(super) ordering_key: Option<Arc<str>>,
    pub(super) critical: bool,
    pub(super) require_audience: bool,
    /// A hash of everything that was said but the id.
    pub(super) hash: [u8; 16],
}

impl Message {
    /// Reads a body. `now` decides whether the message has expired already.
    pub(super) fn read(body: &Bytes, now: SystemTime) -> Result<Self, Problem> {
        let Some(mut fields) = Fields::of(parse_body(body)?, "")? else {
            return Err(Problem::not_an_object());
        };
        let id = message_id(&mut fields)?;
        let hash = fields.hash();
        let class = class(&mut fields)?;
        let audience = match fields.take("audience") {
            Some(value) => audience::read(value)?,
            None => return Err(fields.wrong("audience", "is required")),
        };
        let target = match text(&mut fields, "target")? {
            Some(target) => target,
            None => return Err(fields.wrong("target", "is required")),
        };
        let message = Self {
            audience,
            target,
            arguments: arguments(&mut fields, body)?,
            class,
            conflation_key: text(&mut fields, "conflationKey")?.map(Arc::from),
            priority: priority(&mut fields)?,
            expires_at: expires_at(&mut fields, now)?,
            correlation_id: text(&mut fields, "correlationId")?.map(Arc::from),
            ordering_key: text(&mut fields, "orderingKey")?.map(Arc::from),
            critical: of_acknowledged(&mut fields, "critical", class)?,
            require_audience: of_acknowledged(&mut fields, "requireAudience", class)?,
            id,
            hash,
        };
        fields.finish()?;
        Ok(message)
    }
}

fn text(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>, Problem> {
    let text: Option<String> = fields.take_as(name, "must be a string")?;
    let wrong = |text: &String| text.is_empty() || text.chars().nth(TEXT_CHARS_MAX).is_some();
    if text.as_ref().is_some_and(wrong) {
        let detail = format!("must have 1 to {TEXT_CHARS_MAX} characters");
        return Err(fields.wrong(name, &detail).with_limit(TEXT_CHARS_MAX));
    }
    Ok(text)
}

fn arguments(fields: &mut Fields<'_>, body: &Bytes) -> Result<Bytes, Problem> {
    match fields.take("arguments") {
        Some(value) if value.get().starts_with('[') => Ok(body.slice_ref(value.get().as_bytes())),
        Some(_) => Err(fields.wrong("arguments", "must be an array")),
        None => Err(fields.wrong("arguments", "is required")),
    }
}

fn class(fields: &mut Fields<'_>) -> Result<Class, Problem> {
    let class: Option<String> = fields.take_as("class", "must be a string")?;
    match class.as_deref() {
        None | Some("ordinary") => Ok(Class::Ordinary),
        Some("volatile") => Ok(Class::Volatile),
        Some("acknowledged") => Ok(Class::Acknowledged),
        Some(_) => Err(fields.wrong("class", "must be volatile, ordinary or acknowledged")),
    }
}

/// A yes or no that means nothing for other classes; there it would be a misunderstanding.
fn of_acknowledged(fields: &mut Fields<'_>, name: &str, class: Class) -> Result<bool, Problem> {
    let value: Option<bool> = fields.take_as(name, "must be true or false")?;
    if value.is_some() && class != Class::Acknowledged {
        return Err(fields.wrong(name, "goes with class acknowledged only"));
    }
    Ok(value.unwrap_or_default())
}

fn priority(fields: &mut Fields<'_>) -> Result<Priority, Problem> {
    let max = Priority::MAX;
    let detail = format!("must be a whole number from 0 to {max}");
    let wrong = |fields: &Fields<'_>| fields.wrong("priority", &detail).with_limit(max.into());
    let Some(value) = fields.take("priority") else { return Ok(Priority::default()) };
    let number: Option<u8> = serde_json::from_str(value.get()).ok();
    number.and_then(Priority::new).ok_or_else(|| wrong(fields))
}

fn expires_at(fields: &mut Fields<'_>, now: SystemTime) -> Result<Option<SystemTime>, Problem> {
    let text: Option<String> = fields.take_as("expiresAt", "must be a time in RFC 3339")?;
    let Some(text) = text else { return Ok(None) };
    let time = DateTime::parse_from_rfc3339(&text)
        .map_err(|_no_time| fields.wrong("expiresAt", "must be a time in RFC 3339"))?;
    let time = SystemTime::from(time);
    if time <= now {
        return Err(fields.wrong("expiresAt", "is in the past"));
    }
    Ok(Some(time))
}

fn message_id(fields: &mut Fields<'_>) -> Result<MessageId, Problem> {
    let text: Option<String> = fields.take_as("messageId", "must be a string")?;
    let Some(text) = text else { return Ok(MessageId::new_v7()) };
    MessageId::parse(&text).map_err(|error| {
        let problem = fields.wrong("messageId", &error.to_string());
        match error {
            BadMessageId::Length => problem.with_limit(MessageId::LENGTH_MAX),
            BadMessageId::Character => problem,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use serde_json::{Value, json};

    /// 2026-11-24T12:00:00Z.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_521_600)
    }

    fn good() -> Value {
        json!({"audience": {"all": true}, "target": "News", "arguments": [1]})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut body = good();
        body[name] = value;
        body
    }

    fn acknowledged(name: &str, value: Value) -> Value {
        let mut body = with("class", json!("acknowledged"));
        body[name] = value;
        body
    }

    fn without(name: &str) -> Value {
        let mut body = good();
        body.as_object_mut().unwrap().remove(name);
        body
    }

    fn read(body: &str) -> Result<Message, Value> {
        Message::read(&Bytes::copy_from_slice(body.as_bytes()), now())
            .map_err(|problem| serde_json::to_value(problem).unwrap())
    }

    #[test]
    fn a_message_of_the_required_fields_is_ordinary_and_gets_an_id() {
        let message = read(&good().to_string()).unwrap();
        assert_eq!(message.audience, Audience::all());
        assert_eq!(message.target, "News");
        assert_eq!(message.class, Class::Ordinary);
        assert_eq!(message.priority.get(), 0);
        assert_eq!(message.conflation_key, None);
        assert_eq!(message.expires_at, None);
        assert_eq!(message.id.as_str().len(), 36);
        assert_eq!(message.id.as_str().as_bytes()[14], b'7', "a UUID of version 7");
    }

    #[test]
    fn arguments_stay_the_text_they_were() {
        let body =
            r#"{"arguments" : [ 1.0e2, {"a":1,"a":2} ],"target":"t","audience":{"all":true}}"#;
        assert_eq!(&read(body).unwrap().arguments[..], br#"[ 1.0e2, {"a":1,"a":2} ]"#);
    }

    #[test]
    fn every_option_is_taken() {
        let mut body = good();
        body["class"] = json!("volatile");
        body["conflationKey"] = json!("k");
        body["priority"] = json!(10);
        body["expiresAt"] = json!("2026-11-24T13:30:00+01:00");
        body["correlationId"] = json!("c-1");
        body["messageId"] = json!("order:66.a_b-C");
        let message = read(&body.to_string()).unwrap();
        assert_eq!(message.class, Class::Volatile);
        assert_eq!(message.conflation_key.as_deref(), Some("k"));
        assert_eq!(message.priority.get(), 10);
        assert_eq!(message.expires_at, Some(now() + Duration::from_secs(1_800)));
        assert_eq!(message.correlation_id.as_deref(), Some("c-1"));
        assert_eq!(message.id.as_str(), "order:66.a_b-C");
    }

    #[test]
    fn an_acknowledged_message_may_say_that_it_is_critical_and_needs_an_audience() {
        let mut body = acknowledged("critical", json!(true));
        body["requireAudience"] = json!(true);
        body["orderingKey"] = json!("order-7");
        let message = read(&body.to_string()).unwrap();
        assert_eq!(message.class, Class::Acknowledged);
        assert!(message.critical && message.require_audience);
        assert_eq!(message.ordering_key.as_deref(), Some("order-7"));
        let message = read(&acknowledged("critical", Value::Null).to_string()).unwrap();
        assert!(!message.critical && !message.require_audience);
    }

    #[test]
    fn the_same_message_has_the_same_hash_however_its_fields_are_arranged() {
        let hash = |body: &str| read(body).unwrap().hash;
        let one = r#"{"audience":{"all":true},"target":"t","arguments":[1],"messageId":"a"}"#;
        let same = r#"{ "messageId": "b", "arguments":[1], "priority":null,
            "target":"t","audience":{"all":true} }"#;
        assert_eq!(hash(one), hash(same));
        for (a, b) in [("[1]", "[2]"), ("\"t\"", "\"u\""), ("{\"all\":true}", "{\"user\":\"u\"}")] {
            assert_ne!(hash(one), hash(&one.replace(a, b)), "{a}");
        }
        assert_ne!(hash(one), hash(&one.replace("\"messageId\":\"a\"", "\"priority\":1")));
    }

    #[test]
    fn a_null_option_is_an_absent_one() {
        for option in ["class", "conflationKey", "priority", "expiresAt", "correlationId"] {
            assert!(read(&with(option, Value::Null).to_string()).is_ok(), "{option}");
        }
    }

    #[test]
    fn each_wrong_field_is_refused_by_name_and_limit() {
        let long = json!("x".repeat(257));
        for (body, field, limit) in [
            (without("audience"), "audience", None),
            (with("audience", Value::Null), "audience", None),
            (with("audience", json!({"group": 5})), "audience.group", None),
            (without("target"), "target", None),
            (with("target", json!(7)), "target", None),
            (with("target", json!("")), "target", Some(256)),
            (with("target", long.clone()), "target", Some(256)),
            (without("arguments"), "arguments", None),
            (with("arguments", json!({"a": 1})), "arguments", None),
            (with("arguments", json!("[]")), "arguments", None),
            (with("class", json!("gold")), "class", None),
            (with("class", json!(1)), "class", None),
            (with("orderingKey", json!(1)), "orderingKey", None),
            (with("orderingKey", long.clone()), "orderingKey", Some(256)),
            (with("critical", json!(true)), "critical", None),
            (with("requireAudience", json!(false)), "requireAudience", None),
            (acknowledged("critical", json!("yes")), "critical", None),
            (acknowledged("requireAudience", json!(1)), "requireAudience", None),
            (with("conflationKey", json!(1)), "conflationKey", None),
            (with("conflationKey", long.clone()), "conflationKey", Some(256)),
            (with("priority", json!(11)), "priority", Some(10)),
            (with("priority", json!(-1)), "priority", Some(10)),
            (with("priority", json!(1.5)), "priority", Some(10)),
            (with("priority", json!("high")), "priority", Some(10)),
            (with("priority", json!(256)), "priority", Some(10)),
            (with("expiresAt", json!("2026-11-24T12:00:00Z")), "expiresAt", None),
            (with("expiresAt", json!("soon")), "expiresAt", None),
            (with("expiresAt", json!(1_795_525_200)), "expiresAt", None),
            (with("correlationId", json!(1)), "correlationId", None),
            (with("correlationId", long), "correlationId", Some(256)),
            (with("messageId", json!("")), "messageId", Some(128)),
            (with("messageId", json!("x".repeat(129))), "messageId", Some(128)),
            (with("messageId", json!("a b")), "messageId", None),
            (with("messageId", json!(5)), "messageId", None),
            (with("colour", json!("red")), "colour", None),
        ] {
            let problem = read(&body.to_string()).unwrap_err();
            assert_eq!(problem["field"], field, "{body}");
            assert_eq!(problem.get("limit").and_then(Value::as_u64), limit, "{body}");
            assert_eq!(problem["status"], 422, "{body}");
        }
    }

    #[test]
    fn a_field_that_is_given_twice_is_refused() {
        let body = r#"{"target":"a","target":"b","audience":{"all":true},"arguments":[]}"#;
        assert_eq!(read(body).unwrap_err()["field"], "target");
    }

    #[test]
    fn a_body_that_is_json_but_no_object_has_no_field_to_blame() {
        let problem = read("[1]").unwrap_err();
        assert_eq!((&problem["status"], problem.get("field")), (&json!(422), None));
    }

    #[test]
    fn a_secret_in_a_wrong_place_is_not_repeated() {
        let problem = read(&with("expiresAt", json!("condt_secret")).to_string()).unwrap_err();
        assert!(!problem.to_string().contains("secret"));
    }
}
