//! The binary: the command line, with the product behind `serve`.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use conduit_realtime::cli;
use conduit_realtime::config::Environment;
use conduit_realtime::server::product;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        // It would say on stderr that stderr cannot be written, on a full disk for instance, and panic:
        // in the store's thread, too.
        .log_internal_errors(false)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .from_env_lossy(),
        )
        .init();
    cli::run(std::env::args_os(), &Environment::of_process(), product::run)
}
