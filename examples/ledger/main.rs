//! The ledger: proves or refutes, against the real server, that no critical message is lost.
//!
//! ```text
//! cargo build --release && cargo run --release --example ledger -- --seconds 60 --seed 7
//! ```
//!
//! Publishers (HTTP) ──▶ server ──▶ proxy that cuts and stalls ──▶ subscribers (our client), while the
//! saboteur follows a plan that the seed fixes. What was accepted, handled and acked stands in the
//! ledger's own records; the verdict compares them with the server's receipts and counts.
//!
//! Reading order: `flags`, `plan`, `run`; then who acts (`server`, `disk`, `proxy`, `subscribers`,
//! `bare`, `publishers`, `faults`); then what is known (`records`, `judge`, `report`).

mod flags;
mod plan;
mod run;

mod backlog;
mod bare;
mod bare_loop;
mod disk;
mod faults;
mod proxy;
mod publishers;
mod server;
mod settings;
mod subscribers;

mod histogram;
mod http;
mod journal;
mod judge;
mod random;
mod records;
mod report;
#[cfg(test)]
mod simulation;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use flags::Flags;
use report::Report;

pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The promise does not hold.
const REFUTED: u8 = 1;
/// Nobody knows: it could not be tried.
const NOT_TRIED: u8 = 2;

fn main() -> ExitCode {
    let flags = Flags::parse();
    match tried(&flags) {
        Ok(report) if report.proves() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(REFUTED),
        Err(problem) => {
            say(&format!("ledger: {problem}"));
            ExitCode::from(NOT_TRIED)
        }
    }
}

fn tried(flags: &Flags) -> Result<Report, Problem> {
    flags.check()?;
    let seed = match flags.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| error.to_string())?,
    };
    say(&format!("seed: {seed}"));
    let directory = directory(flags, seed)?;
    if flags.cores {
        pin_to(1)?;
    }
    let threads = if flags.cores { 1 } else { 2 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let result = runtime.block_on(run::run(flags, seed, &directory));
    runtime.shutdown_background();
    let report = match result {
        Ok(report) => report,
        Err(problem) => {
            say(&format!("what there is lies in {}", directory.display()));
            return Err(problem);
        }
    };
    say(&serde_json::to_string(&report)?);
    if report.proves() {
        if flags.directory.is_none() {
            std::fs::remove_dir_all(&directory)?;
        }
    } else {
        say(&format!("REFUTED: logs, configuration and store lie in {}", directory.display()));
    }
    Ok(report)
}

/// A folder of this run's own, so that the store is fresh.
fn directory(flags: &Flags, seed: u64) -> Result<PathBuf, Problem> {
    let parent = flags.directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = parent.join(format!("ledger-{seed}-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(std::fs::canonicalize(Path::new(&directory))?)
}

/// All threads that will be started inherit it.
fn pin_to(core: u32) -> Result<(), Problem> {
    let pid = std::process::id().to_string();
    let core = core.to_string();
    let pinned = Command::new("taskset").args(["-a", "-c", "-p", &core, &pid]).output()?;
    if pinned.status.success() {
        return Ok(());
    }
    Err(format!("taskset: {}", String::from_utf8_lossy(&pinned.stderr)).into())
}

/// What the ledger has to say. A closed pipe is no reason to fail.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
