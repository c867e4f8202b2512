//! `publish`: one message through the HTTP door of a running server.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::healthcheck::own_url;
use super::http::call;
use super::say::{complain, say};
use super::{NOT_DONE, NOT_UNDERSTOOD};
use crate::config::Environment;

/// Keeps the key out of the list of processes.
const KEY_VARIABLE: &str = "CONDUIT_SERVICE_KEY";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server. [default: where the configuration of the environment says that it listens]
    #[arg(long)]
    url: Option<String>,
    /// The service key; else the variable CONDUIT_SERVICE_KEY.
    #[arg(long)]
    key: Option<String>,
    /// The hub's name.
    #[arg(long, default_value = "tasks")]
    hub: String,
    #[command(flatten)]
    audience: Audience,
    /// The name of the event.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Its arguments, each in JSON.
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    arguments: Vec<String>,
}

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Audience {
    /// To every connection of the hub.
    #[arg(long)]
    all: bool,
    /// To the members of a group.
    #[arg(long)]
    group: Option<String>,
    /// To the connections of a user.
    #[arg(long)]
    user: Option<String>,
    /// To one connection.
    #[arg(long)]
    connection: Option<String>,
}

pub(super) async fn run(arguments: Arguments, environment: &Environment) -> ExitCode {
    let body = match body(&arguments) {
        Ok(body) => body,
        Err(error) => {
            complain(&error);
            return ExitCode::from(NOT_UNDERSTOOD);
        }
    };
    let url = arguments.url.clone().unwrap_or_else(|| own_url(environment));
    let key = arguments.key.as_deref().or_else(|| environment.get(KEY_VARIABLE));
    let path = format!("/api/v1/hubs/{}/messages", segment(&arguments.hub));
    match call(Method::POST, &url, &path, key, body).await {
        Ok(answer) if answer.status == 202 => {
            say(&String::from_utf8_lossy(&answer.body));
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            complain(&refused(answer.status, &answer.body));
            ExitCode::from(NOT_DONE)
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(NOT_DONE)
        }
    }
}

/// The body of the request.
#[derive(Serialize)]
struct Message<'a> {
    audience: Value,
    target: &'a str,
    arguments: Vec<&'a RawValue>,
}

fn body(arguments: &Arguments) -> Result<Vec<u8>, String> {
    let to = &arguments.audience;
    let audience = match (&to.group, &to.user, &to.connection) {
        (Some(group), _, _) => json!({ "group": group }),
        (_, Some(user), _) => json!({ "user": user }),
        (_, _, Some(connection)) => json!({ "connection": connection }),
        (None, None, None) => json!({ "all": to.all }),
    };
    let target = &arguments.target;
    let message = Message { audience, target, arguments: raw(&arguments.arguments)? };
    serde_json::to_vec(&message).map_err(|error| error.to_string())
}

/// Each word must be one JSON value, and goes as it was typed. The shell eats quotes, so the error
/// shows how to keep them.
pub(super) fn raw(words: &[String]) -> Result<Vec<&RawValue>, String> {
    let value = |word: &'_ String| -> String {
        format!("{word:?} is not JSON; a text needs its quotes: '\"{word}\"'")
    };
    words.iter().map(|word| serde_json::from_str(word).map_err(|_no_json| value(word))).collect()
}

/// A problem in words, or whatever else came.
pub(super) fn refused(status: u16, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) => format!("refused with {status}: {detail}"),
        None => format!("refused with {status}"),
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn text(words: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from(["publish"].iter().chain(words));
        let arguments = line.map_err(|error| error.kind().to_string())?.arguments;
        Ok(String::from_utf8_lossy(&body(&arguments)?).into_owned())
    }

    #[test]
    fn words_become_a_message_whose_arguments_are_as_they_were_typed() {
        assert_eq!(
            text(&["--group", "task-7", "News", "\"7\"", "-1.50", "{\"a\": 1}"]).unwrap(),
            r#"{"audience":{"group":"task-7"},"target":"News","arguments":["7",-1.50,{"a": 1}]}"#
        );
        for (words, audience) in [
            (&["--all", "N"][..], r#"{"all":true}"#),
            (&["--user", "u", "N"], r#"{"user":"u"}"#),
            (&["--connection", "c", "N"], r#"{"connection":"c"}"#),
        ] {
            assert!(text(words).unwrap().contains(audience), "{words:?}");
        }
    }

    #[test]
    fn exactly_one_audience_is_asked_for() {
        assert!(text(&["News"]).is_err());
        assert!(text(&["--all", "--group", "g", "News"]).is_err());
    }

    #[test]
    fn what_is_not_json_is_named_with_the_way_to_write_it() {
        let error = text(&["--all", "News", "seven"]).unwrap_err();
        assert_eq!(error, "\"seven\" is not JSON; a text needs its quotes: '\"seven\"'");
    }

    #[test]
    fn a_problem_is_told_by_its_detail() {
        let body = br#"{"status":422,"detail":"'target' is required."}"#;
        assert_eq!(refused(422, body), "refused with 422: 'target' is required.");
        assert_eq!(refused(502, b"<html>"), "refused with 502");
    }

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        assert_eq!(segment("video-generation"), "video-generation");
        assert_eq!(segment("a/b ?"), "a%2Fb%20%3F");
    }
}
