//! The words of `dead-letters`, as the query that the server reads.

use clap::Args;
use serde_json::json;

/// Dead letters of one page.
pub(super) const PAGE_MAX: usize = 1_000;

/// Which are meant: those that fit everything that is given.
#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// Of this hub.
    #[arg(long)]
    hub: Option<String>,
    /// Of this service key, by its name.
    #[arg(long)]
    tenant: Option<String>,
    /// That died of this: timed_out, nacked, given_up, not_written, subscriber_gone, …
    #[arg(long)]
    reason: Option<String>,
    /// Of this subscriber, by its number.
    #[arg(long)]
    subscriber: Option<u64>,
    /// Of this message.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// That died at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// That died before this time.
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Page {
    /// How many are printed at most.
    #[arg(long, default_value_t = 100)]
    pub(super) limit: usize,
    /// Go on where an earlier list has ended.
    #[arg(long, value_name = "PLACE")]
    pub(super) after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The message's id.
    #[arg(value_name = "MESSAGE")]
    pub(super) id: String,
    #[command(flatten)]
    pub(super) narrowed: Filter,
}

/// Message ids, or a filter, or all of them.
#[derive(Debug, Args)]
pub(super) struct Many {
    /// The messages' ids.
    #[arg(value_name = "MESSAGE")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All dead letters.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Audience {
    /// To the audience as it is now, instead of the same subscribers.
    #[arg(long)]
    pub(super) current: bool,
}

impl Filter {
    pub(super) fn query(&self) -> Query {
        let mut query = Query::default();
        query.set("hub", self.hub.clone());
        query.set("tenant", self.tenant.clone());
        query.set("reason", self.reason.clone());
        query.set("subscriber", self.subscriber.map(|own| own.to_string()));
        query.set("messageId", self.message_id.clone());
        query.set("from", self.from.clone());
        query.set("before", self.before.clone());
        query
    }
}

impl Many {
    pub(super) fn query(&self) -> Query {
        let mut query = self.filter.query();
        query.set("all", self.all.then(|| "true".into()));
        query
    }

    /// Without ids the filter decides.
    pub(super) fn body(&self) -> Vec<u8> {
        if self.ids.is_empty() {
            return Vec::new();
        }
        json!({ "messageIds": self.ids }).to_string().into_bytes()
    }
}

/// The parameters of a request.
#[derive(Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Sets a parameter, or takes it away.
    pub(super) fn set(&mut self, name: &'static str, value: Option<String>) {
        self.0.retain(|(own, _)| *own != name);
        self.0.extend(value.map(|value| (name, value)));
    }

    pub(super) fn after_path(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish();
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        many: Many,
    }

    fn many(words: &[&str]) -> Many {
        Line::try_parse_from(["requeue"].iter().chain(words)).unwrap().many
    }

    #[test]
    fn words_become_a_query_and_ids_a_body() {
        let own =
            many(&["--hub", "tasks", "--subscriber", "7", "--from", "2026-11-24T12:00:00+01:00"]);
        let expected = "/requeue?hub=tasks&subscriber=7&from=2026-11-24T12%3A00%3A00%2B01%3A00";
        assert_eq!(own.query().after_path("/requeue"), expected);
        assert!(own.body().is_empty());
        let own = many(&["m1", "m2", "--reason", "nacked"]);
        assert_eq!(own.query().after_path(""), "?reason=nacked");
        assert_eq!(own.body(), br#"{"messageIds":["m1","m2"]}"#);
        assert_eq!(many(&["--all"]).query().after_path(""), "?all=true");
        assert_eq!(many(&[]).query().after_path("/purge"), "/purge");
    }

    #[test]
    fn a_parameter_is_set_once() {
        let mut query = Query::default();
        query.set("after", Some("1-1".into()));
        query.set("after", Some("2-2".into()));
        assert_eq!(query.after_path(""), "?after=2-2");
        query.set("after", None);
        assert_eq!(query.after_path("/x"), "/x");
    }
}
