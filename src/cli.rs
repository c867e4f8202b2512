//! The command line: words become one call of a room, and an exit code.
//!
//! Owns: the arguments, what is printed, exit codes: 0 done, 1 not done, 2 not understood (also a
//! bad configuration).
//! Never knows: how anything is done.

mod dead_letters;
mod hash_key;
mod healthcheck;
mod http;
mod listen;
mod publish;
mod say;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{BadConfig, Config, Environment, Loaded, Notes, Overrides};
use say::{complain, say};

/// The call did not succeed.
const NOT_DONE: u8 = 1;
/// The call was not understood.
const NOT_UNDERSTOOD: u8 = 2;

/// A SignalR server outside .NET.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (what happens without a command).
    Serve(Serve),
    /// Read the configuration and say what is wrong with it.
    CheckConfig(File),
    /// Print the SHA-256 of a key from standard input, as the configuration wants it.
    HashKey,
    /// Ask a server whether it is ready: 0 or 1.
    Healthcheck(healthcheck::Arguments),
    /// Publish one message.
    Publish(publish::Arguments),
    /// What could not be delivered: list, show, send again, throw away, export.
    DeadLetters(dead_letters::Arguments),
    /// Connect to a hub and print its events as JSON lines.
    Listen(listen::Arguments),
}

#[derive(Debug, Args)]
struct File {
    /// The configuration: TOML, YAML or JSON, or an appsettings.json. Else the file that CONDUIT_CONFIG names, else none.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
struct Serve {
    /// Address and port; port 0 takes a free one. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    file: File,
    /// Turn on the hub for load tests, which lets everybody send to everybody.
    #[arg(long)]
    bench_hub: bool,
}

/// Runs one command. `serve` gets a checked configuration and blocks until the server has stopped.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    serve: impl FnOnce(Config) -> ExitCode,
) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Help and version go to standard output; a closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(NOT_UNDERSTOOD));
        }
    };
    match line.command.unwrap_or(Command::Serve(line.serve)) {
        Command::Serve(Serve { listen, file, bench_hub }) => {
            let overrides = Overrides { file: file.config, listen, bench_hub };
            match Config::load_with_notes(&overrides, environment) {
                Ok(Loaded { config, notes }) => {
                    log_notes(&notes);
                    serve(config)
                }
                Err(bad) => bad_config(&bad),
            }
        }
        Command::CheckConfig(File { config }) => {
            let overrides = Overrides { file: config, ..Overrides::default() };
            match Config::load_with_notes(&overrides, environment) {
                Ok(Loaded { notes, .. }) => {
                    let Notes { told, warnings, without_effect, .. } = &notes;
                    [told, warnings, without_effect]
                        .into_iter()
                        .flatten()
                        .for_each(|note| say(note));
                    say("The configuration is good.");
                    ExitCode::SUCCESS
                }
                Err(bad) => bad_config(&bad),
            }
        }
        Command::HashKey => hash_key::run(),
        Command::Healthcheck(arguments) => block_on(healthcheck::run(arguments, environment)),
        Command::Publish(arguments) => block_on(publish::run(arguments, environment)),
        Command::DeadLetters(arguments) => block_on(dead_letters::run(arguments, environment)),
        Command::Listen(arguments) => block_on(listen::run(arguments)),
    }
}

/// One line each, before the server says anything.
fn log_notes(notes: &Notes) {
    notes.told.iter().for_each(|note| tracing::info!("{note}"));
    for note in notes.warnings.iter().chain(&notes.without_effect) {
        tracing::warn!("{note}");
    }
}

fn bad_config(bad: &BadConfig) -> ExitCode {
    for problem in &bad.problems {
        complain(problem);
    }
    ExitCode::from(NOT_UNDERSTOOD)
}

/// One thread is enough for one call.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(&format!("no runtime: {error}"));
            ExitCode::from(NOT_DONE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What `serve` would get, and the exit code.
    fn served(words: &[&str], variables: &[(&str, &str)]) -> (Option<Config>, ExitCode) {
        let words = ["conduit-realtime"].iter().chain(words).map(OsString::from);
        let environment = Environment::of(variables.iter().copied());
        let mut config = None;
        let code = run(words, &environment, |given| {
            config = Some(given);
            ExitCode::SUCCESS
        });
        (config, code)
    }

    #[test]
    fn the_grammar_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        for words in [&["--listen", "127.0.0.1:0"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let (config, _) = served(words, &[]);
            assert_eq!(config.unwrap().server.listen, "127.0.0.1:0");
        }
        assert_eq!(served(&[], &[]).0, Some(Config::default()));
        let (config, _) = served(&["serve", "--bench-hub"], &[]);
        assert!(config.unwrap().hub("bench").is_some());
    }

    #[test]
    fn what_is_not_understood_and_a_bad_configuration_exit_with_2() {
        let bad = [("CONDUIT__SERVER__LISTEN", "nowhere")];
        let two = format!("{:?}", ExitCode::from(2));
        for (words, variables) in [
            (&["sevre"][..], &[][..]),
            (&["--lisen", "x"], &[]),
            (&["publish", "News"], &[]),
            (&["publish", "--all", "--user", "u", "News"], &[]),
            (&["dead-letters"], &[]),
            (&["dead-letters", "show"], &[]),
            (&["dead-letters", "list", "--offline", "--url", "http://x"], &[]),
            (&["serve"], &bad),
            (&["check-config"], &bad),
            (&["check-config", "--config", "/nonexistent/gateway.toml"], &[]),
        ] {
            let (config, code) = served(words, variables);
            assert_eq!((config, format!("{code:?}")), (None, two.clone()), "{words:?}");
        }
    }
}
