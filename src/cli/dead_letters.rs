//! `dead-letters`: what could not be delivered, through a running server, or from its files.

mod offline;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::NOT_DONE;
use super::healthcheck::own_url;
use super::http::{Answer, call, download};
use super::publish::refused;
use super::say::{complain, say, say_raw};
use crate::config::{Environment, Overrides};
use words::{Audience, Filter, Many, One, Page, Query};

/// Keeps the key out of the list of processes.
const KEY_VARIABLE: &str = "CONDUIT_ADMIN_KEY";
const ADDRESS: &str = "/api/v1/admin/dead-letters";
const NONE_FOUND: &str = "there is no such dead letter";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The server. [default: where the configuration of the environment says that it listens]
    #[arg(long, global = true)]
    url: Option<String>,
    /// The key of operators (admin.key_sha256); else the variable CONDUIT_ADMIN_KEY.
    #[arg(long, global = true)]
    key: Option<String>,
    /// Open the store's files, when no server runs.
    #[arg(long, global = true, conflicts_with_all = ["url", "key"])]
    offline: bool,
    /// The configuration that says where the files are, with --offline.
    #[arg(long, global = true, value_name = "FILE", requires = "offline")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one JSON line for each, in order of acceptance.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        page: Page,
    },
    /// Print everything about the dead letters of one message.
    Show(One),
    /// Send them again: to the same subscribers, or to those who are there now.
    Requeue {
        #[command(flatten)]
        many: Many,
        #[command(flatten)]
        audience: Audience,
    },
    /// Throw them away.
    Purge(Many),
    /// Print all of them whole, one JSON line for each.
    Export {
        #[command(flatten)]
        filter: Filter,
    },
}

pub(super) async fn run(arguments: Arguments, environment: &Environment) -> ExitCode {
    let office = match Office::of(&arguments, environment).await {
        Ok(office) => office,
        Err(error) => return not_done(&error),
    };
    let done = match arguments.action {
        Action::List { filter, page } => list(&office, &filter, &page).await,
        Action::Show(one) => show(&office, &one).await,
        Action::Requeue { many, audience } => requeue(&office, &many, audience).await,
        Action::Purge(many) => purge(&office, &many).await,
        Action::Export { filter } => export(&office, &filter).await,
    };
    done.map_or_else(|error| not_done(&error), |()| ExitCode::SUCCESS)
}

fn not_done(error: &str) -> ExitCode {
    complain(error);
    ExitCode::from(NOT_DONE)
}

/// Who answers.
enum Office {
    Server { url: String, key: Option<String> },
    Files(offline::Files),
}

impl Office {
    async fn of(arguments: &Arguments, environment: &Environment) -> Result<Self, String> {
        if arguments.offline {
            let file = arguments.config.clone();
            let overrides = Overrides { file, ..Overrides::default() };
            return Ok(Self::Files(offline::Files::open(&overrides, environment)?));
        }
        let url = arguments.url.clone().unwrap_or_else(|| own_url(environment));
        let key = arguments.key.clone().or_else(|| environment.get(KEY_VARIABLE).map(Into::into));
        Ok(Self::Server { url, key })
    }

    /// The answer, when it is a success.
    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        let path = format!("{ADDRESS}{path}");
        let answer = match self {
            Self::Server { url, key } => call(method, url, &path, key.as_deref(), body).await?,
            Self::Files(files) => files.call(method, &path, body).await?,
        };
        success(answer)
    }
}

fn success(answer: Answer) -> Result<Answer, String> {
    match answer.status {
        200 => Ok(answer),
        status => Err(refused(status, &answer.body)),
    }
}

/// Pages are asked for until there are enough.
async fn list(office: &Office, filter: &Filter, page: &Page) -> Result<(), String> {
    let mut query = filter.query();
    let (mut left, mut after) = (page.limit, page.after.clone());
    while left > 0 {
        query.set("limit", Some(left.min(words::PAGE_MAX).to_string()));
        query.set("after", after.take());
        let answer = office.ask(Method::GET, &query.after_path(""), Vec::new()).await?;
        let page: Listed<'_> = read(&answer)?;
        for letter in &page.dead_letters {
            say(letter.get());
        }
        left = left.saturating_sub(page.dead_letters.len());
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
    if let Some(next) = after {
        complain(&format!("there are more; go on with --after {next}"));
    }
    Ok(())
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(borrow)]
    dead_letters: Vec<&'a RawValue>,
    next: Option<String>,
}

async fn show(office: &Office, one: &One) -> Result<(), String> {
    let mut query = one.narrowed.query();
    query.set("messageId", Some(one.id.clone()));
    // An export has no end that an answer has: one message may have letters of many megabytes.
    let mut found = false;
    let each = |piece: &[u8]| {
        // An answer without a line may still come in a piece.
        found |= !piece.is_empty();
        say_raw(piece);
    };
    download_all(office, &query, each).await?;
    if found { Ok(()) } else { Err(NONE_FOUND.into()) }
}

async fn requeue(office: &Office, many: &Many, audience: Audience) -> Result<(), String> {
    let mut query = many.query();
    query.set("audience", audience.current.then(|| "current".into()));
    let (mut requeued, mut refused, mut code) = (0, 0, None);
    loop {
        let path = query.after_path("/requeue");
        let answer = office.ask(Method::POST, &path, many.body()).await?;
        tell(&answer);
        let told: Value = read(&answer)?;
        requeued += told["requeued"].as_u64().unwrap_or_default();
        refused += told["refused"].as_u64().unwrap_or_default();
        code = code.or_else(|| Some(told["refusals"][0]["code"].as_str()?.to_owned()));
        match told["next"].as_str() {
            Some(next) => query.set("after", Some(next.to_owned())),
            None => break,
        }
    }
    match (requeued, refused) {
        (0, 0) => Err(NONE_FOUND.into()),
        (0, _) => {
            let code = code.unwrap_or_default();
            Err(format!("none of them could be sent again: {code}"))
        }
        _ => Ok(()),
    }
}

async fn purge(office: &Office, many: &Many) -> Result<(), String> {
    let path = many.query().after_path("/purge");
    let mut purged = 0;
    loop {
        let answer = office.ask(Method::POST, &path, many.body()).await?;
        tell(&answer);
        let told: Value = read(&answer)?;
        purged += told["purged"].as_u64().unwrap_or_default();
        if told["more"] != true {
            break;
        }
    }
    if purged == 0 { Err(NONE_FOUND.into()) } else { Ok(()) }
}

async fn export(office: &Office, filter: &Filter) -> Result<(), String> {
    download_all(office, &filter.query(), say_raw).await
}

async fn download_all(
    office: &Office,
    query: &Query,
    each: impl FnMut(&[u8]),
) -> Result<(), String> {
    let path = query.after_path(&format!("{ADDRESS}/export"));
    let answer = match office {
        Office::Server { url, key } => download(url, &path, key.as_deref(), each).await?,
        Office::Files(files) => files.download(&path, each).await?,
    };
    success(answer).map(drop)
}

fn tell(answer: &Answer) {
    say(&String::from_utf8_lossy(&answer.body));
}

fn read<'a, T: serde::Deserialize<'a>>(answer: &'a Answer) -> Result<T, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("no answer of ours: {error}"))
}
