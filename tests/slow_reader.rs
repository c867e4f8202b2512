//! Slow readers hurt only themselves: the promise of decision D6, held against the real binary.
//!
//! 20 000 events of 2 KiB, 500 a second, to 200 readers and one that stops reading. The others get all,
//! in order; the server's memory grows by no more than the outbox bound and some slack; the slow one is
//! ended within 15 s, or keeps only the newest when the events are volatile.
//!
//! It takes a minute and a release build, so plain `cargo test` leaves it out:
//! `cargo test --release --test slow_reader`.
//!
//! The client is raw sockets: a WebSocket library would need the core that the server needs.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test program: it prints its report, and its tasks end with it"
)]

mod slow_reader {
    pub(crate) mod reader;
    pub(crate) mod server;
    pub(crate) mod stories;
}

use slow_reader::stories;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stories: [(&str, fn() -> stories::Telling); 3] = [
        ("one that stops reading is ended, and the others get all", stories::one_stops),
        ("one that reads on in time is told why it was ended", stories::one_reads_on),
        ("one that stops keeps the newest of volatile events", stories::one_keeps_the_newest),
    ];
    let (mut passed, mut failed) = (0, 0);
    for (promise, tell) in stories {
        match runtime.block_on(tell()) {
            Ok(figures) => {
                passed += 1;
                println!("ok    slow reader: {promise}: {figures}");
            }
            Err(problem) => {
                failed += 1;
                println!("FAIL  slow reader: {promise}: {problem}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, 0 skipped");
    std::process::exit(i32::from(failed > 0));
}
