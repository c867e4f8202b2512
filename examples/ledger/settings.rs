//! The configuration the server gets: short times where things go wrong, the defaults for measuring.

use std::path::Path;

use crate::flags::{Class, Flags, Rate, Store};
use crate::plan::Kind;

/// Owed pairs that fit while `full-store` is on.
const PENDING_MAX_TINY: u32 = 3_000;

/// The text of the configuration file.
pub(crate) fn configuration(flags: &Flags, port: u16, store: &Path) -> String {
    let mut lines = vec!["[server]".into(), format!("listen = \"127.0.0.1:{port}\"")];
    let breaks = !flags.kinds().is_empty();
    if flags.class == Class::Acknowledged {
        lines.extend(store_section(flags, store));
        if breaks {
            lines.extend(
                [
                    "[delivery]",
                    "ack_timeout_ms = 1000",
                    "backoff_ms_min = 100",
                    "backoff_ms_max = 1000",
                    "breaker_open_ms = 1000",
                ]
                .map(String::from),
            );
        }
    }
    lines.extend(["[hubs.bench]".into(), "enabled = true".into()]);
    // Subscribers are alike, and all come from one address.
    lines.push(format!("message_bytes_max = {}", 65_536));
    if flags.class == Class::Acknowledged {
        lines.push("acks = [\"none\", \"method\", \"result\"]".into());
    }
    if breaks {
        lines.extend(["keep_alive_ms = 1000", "client_timeout_ms = 5000"].map(String::from));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn store_section(flags: &Flags, store: &Path) -> Vec<String> {
    let kinds = flags.kinds();
    let mut lines = vec!["[store]".into(), "enabled = true".into()];
    lines.push(format!("mode = \"{}\"", flags.store.name()));
    if flags.store == Store::Embedded {
        lines.push(format!("path = {:?}", store.display().to_string()));
    }
    if !kinds.is_empty() {
        // A small reserve has room for the ends of few.
        let small = ["reserve_mib = 16", "segment_mib = 4", "pending_max = 100000"];
        lines.extend(small.map(String::from));
    }
    if kinds.contains(&Kind::FullStore) {
        lines.push(format!("pending_per_tenant_max = {PENDING_MAX_TINY}"));
    } else if flags.rate == Rate::Max {
        lines.extend(
            ["pending_per_tenant_max = 1000000", "mib_per_tenant_max = 1024"].map(String::from),
        );
    }
    lines.push("[session]".into());
    if flags.backlog.is_some() {
        // Accepting it may take longer than a session lives.
        lines.push("ttl_seconds = 900".into());
    }
    lines.push(format!("per_caller_max = {}", flags.subscribers.max(32)));
    if !kinds.is_empty() {
        lines.extend(["ttl_seconds = 10", "total_max = 10000"].map(String::from));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_run_with_faults_is_short_of_time_and_room_and_one_for_measuring_is_not() {
        let text = |words: &[&str]| {
            let flags = Flags::try_parse_from(["ledger"].iter().chain(words)).unwrap();
            configuration(&flags, 5, Path::new("/x"))
        };
        let faulty = text(&[]);
        for line in ["ack_timeout_ms = 1000", "ttl_seconds = 10", "pending_per_tenant_max = 3000"] {
            assert!(faulty.contains(line), "{faulty}");
        }
        let measuring = text(&["--faults", "none", "--rate", "max"]);
        assert!(!measuring.contains("delivery") && measuring.contains("acks = ["), "{measuring}");
        assert!(!text(&["--class", "ordinary"]).contains("store"));
    }
}
