//! `listen`: a client in the terminal, one JSON line for everything that happens.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::publish::raw;
use super::say::{complain, say};
use super::{NOT_DONE, NOT_UNDERSTOOD};
use crate::client::Client;
use crate::protocol::{Protocol, RawArguments, RawValue as WireValue};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The hub: http://127.0.0.1:8080/hubs/tasks
    url: String,
    /// The access token.
    #[arg(long)]
    token: Option<String>,
    /// An event to print; may be given again.
    #[arg(long, value_name = "EVENT")]
    on: Vec<String>,
    /// A method to call once connected, with its arguments in JSON.
    #[arg(long, value_names = ["METHOD", "JSON"], num_args = 1.., allow_negative_numbers = true,
          action = clap::ArgAction::Set)]
    invoke: Option<Vec<String>>,
}

/// What is printed, one a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Event { event: &'a str, arguments: &'a RawValue },
    Result { method: &'a str, result: &'a RawValue },
    Error { method: &'a str, error: String },
    Closed { closed: Option<String> },
}

impl Line<'_> {
    fn print(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            say(&line);
        }
    }
}

pub(super) async fn run(arguments: Arguments) -> ExitCode {
    let call = match arguments.invoke.as_deref().map(call_of).transpose() {
        Ok(call) => call,
        Err(error) => {
            complain(&error);
            return ExitCode::from(NOT_UNDERSTOOD);
        }
    };
    let mut builder = Client::builder(&arguments.url);
    if let Some(token) = &arguments.token {
        builder = builder.access_token(token);
    }
    for event in &arguments.on {
        builder = builder.on(event, |event| print_event(event.target(), event.arguments()));
    }
    let client = match builder.connect().await {
        Ok(client) => client,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(NOT_DONE);
        }
    };
    if let Some((method, call)) = call
        && !invoke(&client, &method, call).await
    {
        client.stop().await;
        return ExitCode::from(NOT_DONE);
    }
    let closed = tokio::select! {
        closed = client.closed() => closed,
        // Whoever listens has heard enough.
        _interrupted = tokio::signal::ctrl_c() => {
            client.stop().await;
            return ExitCode::SUCCESS;
        }
    };
    let failed = closed.error.is_some();
    Line::Closed { closed: closed.error }.print();
    if failed { ExitCode::from(NOT_DONE) } else { ExitCode::SUCCESS }
}

/// The method and its arguments.
fn call_of(words: &[String]) -> Result<(String, Vec<WireValue>), String> {
    let Some((method, words)) = words.split_first() else { return Err("no method".into()) };
    let value = |raw: &RawValue| {
        let bytes = raw.get().to_owned().into();
        WireValue::parse(Protocol::Json, bytes).map_err(|error| error.to_string())
    };
    let values = raw(words)?.into_iter().map(value).collect::<Result<_, _>>()?;
    Ok((method.clone(), values))
}

async fn invoke(client: &Client, method: &str, call: Vec<WireValue>) -> bool {
    match client.invoke::<WireValue>(method, call).await {
        Ok(result) => {
            if let Ok(result) = text_of(result.bytes()) {
                Line::Result { method, result }.print();
            }
            true
        }
        Err(error) => {
            Line::Error { method, error: error.to_string() }.print();
            false
        }
    }
}

fn print_event(event: &str, arguments: &RawArguments) {
    if let Ok(arguments) = text_of(arguments.bytes()) {
        Line::Event { event, arguments }.print();
    }
}

/// The client speaks JSON, so what comes is the text of it.
fn text_of(bytes: &[u8]) -> serde_json::Result<&RawValue> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_call_takes_the_words_up_to_the_next_option() {
        let words =
            ["listen", "http://h", "--invoke", "M", "\"7\"", "-1", "--on", "A", "--on", "B"];
        let arguments = Words::try_parse_from(words).unwrap_or_else(|e| panic!("{e}")).arguments;
        assert_eq!(arguments.on, ["A", "B"]);
        let (method, values) = call_of(&arguments.invoke.unwrap()).unwrap();
        assert_eq!((method.as_str(), values.len()), ("M", 2));
        assert!(call_of(&["M".into(), "seven".into()]).is_err());
    }

    #[test]
    fn a_line_is_one_json_object() {
        let arguments = text_of(br#"["7",1.50]"#).unwrap();
        let line = Line::Event { event: "News", arguments };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"event":"News","arguments":["7",1.50]}"#);
    }
}
