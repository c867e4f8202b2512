//! Which dead letters an operator means: the same words in every query.

use std::borrow::Cow;
use std::time::SystemTime;

use chrono::DateTime;

use crate::delivery::{DeadFilter, Moment, Reason, SubscriberId, Target};
use crate::model::{HubName, MessageId, Tenant};
use crate::publish::problem::Problem;
use crate::publish::shapes::parse_place;

/// Dead letters of one page, at most.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;

/// What a query says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: DeadFilter,
    /// Whether it says that all are meant.
    pub(super) all: bool,
    pub(super) target: Target,
    pub(super) limit: usize,
}

impl Query {
    /// Reads a query. An unknown or a wrong parameter is refused: it may have been meant to narrow.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut own = Self {
            filter: DeadFilter::default(),
            all: false,
            target: Target::SameSubscriber,
            limit: PAGE,
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            own.take(&name, value)?;
        }
        Ok(own)
    }

    fn take(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), Problem> {
        let filter = &mut self.filter;
        match name {
            "hub" => filter.hub = Some(HubName::from(value.into_owned())),
            "tenant" => filter.tenant = Some(Tenant::from(value.into_owned())),
            "messageId" => filter.ids = Some([message_id(&value)?].into()),
            "reason" => filter.reason = Some(reason(&value)?),
            "subscriber" => filter.subscriber = Some(subscriber(&value)?),
            "from" => filter.died_from = Some(moment(name, &value)?),
            "before" => filter.died_before = Some(moment(name, &value)?),
            "all" => self.all = value == "true",
            "audience" if value == "current" => self.target = Target::CurrentAudience,
            "audience" => return Err(Problem::field(name, "must be current, or left out")),
            "limit" => self.limit = limit(&value)?,
            "after" => {
                let place = parse_place(&value);
                filter.after = Some(place.ok_or_else(|| {
                    Problem::field("after", "must be what an earlier answer calls next")
                })?);
            }
            _ => {
                let short: String = name.chars().take(64).collect();
                return Err(Problem::field(short, "is not known here"));
            }
        }
        Ok(())
    }

    /// Whether anything narrows it, or all are meant by word.
    pub(super) fn is_meant(&self) -> bool {
        let narrowed = DeadFilter { after: None, ..self.filter.clone() };
        self.all || narrowed != DeadFilter::default()
    }
}

fn message_id(value: &str) -> Result<MessageId, Problem> {
    MessageId::parse(value).map_err(|error| Problem::field("messageId", &error.to_string()))
}

fn reason(value: &str) -> Result<Reason, Problem> {
    Reason::from_name(value).ok_or_else(|| {
        let names: Vec<_> = Reason::ALL.iter().map(|own| own.name()).collect();
        Problem::field("reason", &format!("must be one of {}", names.join(", ")))
    })
}

pub(super) fn subscriber(value: &str) -> Result<SubscriberId, Problem> {
    let number = value.parse().map(SubscriberId);
    number.map_err(|_no_number| Problem::field("subscriber", "must be a whole number"))
}

fn moment(name: &str, value: &str) -> Result<Moment, Problem> {
    DateTime::parse_from_rfc3339(value)
        .map(|time| Moment::from(SystemTime::from(time)))
        .map_err(|_no_time| Problem::field(name, "must be a time in RFC 3339"))
}

fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("must be a whole number from 1 to {PAGE_MAX}");
        Problem::field("limit", &detail).with_limit(PAGE_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{DeadKey, MessageSeq};
    use serde_json::{Value, json};

    #[test]
    fn every_word_narrows() {
        let query = "hub=tasks&tenant=a%20b&messageId=m-1&reason=timed_out&subscriber=7&limit=5\
                     &from=2026-11-24T12:00:00Z&before=2026-11-24T13:00:00%2B01:00\
                     &after=3-4&audience=current";
        let query = Query::parse(Some(query)).unwrap();
        let noon = Moment(1_795_521_600_000);
        let expected = DeadFilter {
            hub: Some("tasks".into()),
            tenant: Some("a b".into()),
            reason: Some(Reason::TimedOut),
            subscriber: Some(SubscriberId(7)),
            ids: Some(["m-1".into()].into()),
            died_from: Some(noon),
            died_before: Some(noon),
            after: Some(DeadKey { seq: MessageSeq(3), subscriber: SubscriberId(4) }),
        };
        assert_eq!(query.filter, expected);
        assert_eq!((query.limit, query.target), (5, Target::CurrentAudience));
        assert!(query.is_meant());
    }

    #[test]
    fn all_must_be_said() {
        assert!(!Query::parse(None).unwrap().is_meant());
        assert!(!Query::parse(Some("all=false&limit=9&after=1-1")).unwrap().is_meant());
        assert!(Query::parse(Some("all=true")).unwrap().is_meant());
    }

    #[test]
    fn each_wrong_word_is_refused_by_name_and_limit() {
        for (query, field, limit) in [
            ("hbu=tasks", "hbu", None),
            ("messageId=a%20b", "messageId", None),
            ("reason=bored", "reason", None),
            ("subscriber=x", "subscriber", None),
            ("from=yesterday", "from", None),
            ("before=1", "before", None),
            ("limit=0", "limit", Some(1_000)),
            ("limit=1001", "limit", Some(1_000)),
            ("after=x", "after", None),
            ("audience=all", "audience", None),
        ] {
            let problem = Query::parse(Some(query)).unwrap_err();
            let problem = serde_json::to_value(problem).unwrap();
            assert_eq!((&problem["status"], &problem["field"]), (&json!(422), &json!(field)));
            assert_eq!(problem.get("limit").and_then(Value::as_u64), limit, "{query}");
        }
    }
}
