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
use super::publish::{refused, segment};
use super::say::{complain, say, say_raw};
use crate::config::{Environment, Overrides};
use words::{Audience, Filter, Many, One, Page};

/// Keeps the key out of the list of processes.
const KEY_VARIABLE: &str = "CONDUIT_ADMIN_KEY";
const ADDRESS: &str = "/api/v1/admin/dead-letters";

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
    let query = one.narrowed.query();
    let path = query.after_path(&format!("/messages/{}", segment(&one.id)));
    let answer = office.ask(Method::GET, &path, Vec::new()).await?;
    let shown: Listed<'_> = read(&answer)?;
    for letter in shown.dead_letters {
        say(letter.get());
    }
    Ok(())
}

async fn requeue(office: &Office, many: &Many, audience: Audience) -> Result<(), String> {
    let mut query = many.query();
    query.set("audience", audience.current.then(|| "current".into()));
    if let [id] = &many.ids[..] {
        let path = query.after_path(&format!("/messages/{}/requeue", segment(id)));
        return tell(&office.ask(Method::POST, &path, Vec::new()).await?);
    }
    loop {
        let path = query.after_path("/requeue");
        let answer = office.ask(Method::POST, &path, many.body()).await?;
        tell(&answer)?;
        let told: Value = read(&answer)?;
        match told["next"].as_str() {
            Some(next) if many.ids.is_empty() => query.set("after", Some(next.to_owned())),
            _ if told["requeued"] == 0 && told["refused"] != 0 => {
                return Err("none of them could be sent again".into());
            }
            _ => return Ok(()),
        }
    }
}

async fn purge(office: &Office, many: &Many) -> Result<(), String> {
    let query = many.query();
    if let [id] = &many.ids[..] {
        let path = query.after_path(&format!("/messages/{}", segment(id)));
        return tell(&office.ask(Method::DELETE, &path, Vec::new()).await?);
    }
    loop {
        let path = query.after_path("/purge");
        let answer = office.ask(Method::POST, &path, many.body()).await?;
        tell(&answer)?;
        let told: Value = read(&answer)?;
        if told["more"] != true {
            return Ok(());
        }
    }
}

async fn export(office: &Office, filter: &Filter) -> Result<(), String> {
    let path = filter.query().after_path(&format!("{ADDRESS}/export"));
    let answer = match office {
        Office::Server { url, key } => download(url, &path, key.as_deref(), say_raw).await?,
        Office::Files(files) => files.download(&path, say_raw).await?,
    };
    success(answer).map(drop)
}

fn tell(answer: &Answer) -> Result<(), String> {
    say(&String::from_utf8_lossy(&answer.body));
    Ok(())
}

fn read<'a, T: serde::Deserialize<'a>>(answer: &'a Answer) -> Result<T, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("no answer of ours: {error}"))
}
