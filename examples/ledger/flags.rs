//! What the ledger is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::plan::Kind;

/// Runs the real server, publishes, subscribes, breaks things, and proves or refutes that no
/// acknowledged message is lost. Exit codes: 0 proved, 1 refuted, 2 it could not be tried.
#[derive(Clone, Debug, Parser)]
#[command(name = "ledger")]
pub(crate) struct Flags {
    /// The server binary.
    #[arg(long, default_value = "target/release/conduit-realtime")]
    pub(crate) server: PathBuf,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Embedded)]
    pub(crate) store: Store,
    /// How long is published.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Fixes the plan of faults and what is published. Random, and printed, unless given.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Subscribers; half of them keep their dedupe memory, half have none.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) subscribers: u32,
    /// What goes wrong, between commas; `none` for nothing.
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "cut,stall,kill-client,kill-server,full-store,full-disk,dup-ack"
    )]
    pub(crate) faults: Vec<Kind>,
    /// How long after the last fault until nothing may be pending any more.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub(crate) settle_seconds: u64,
    /// Messages a second, each published when it is due; or `max`, as fast as they are settled.
    #[arg(long, default_value = "200")]
    pub(crate) rate: Rate,
    /// To whom messages go.
    #[arg(long, value_enum, default_value_t = Shape::Mixed)]
    pub(crate) shape: Shape,
    /// Messages in one publish request. [default: 1 to 8 by chance; single: 100; group: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: Option<u32>,
    /// Connections that publish.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) publishers: u32,
    /// Another kind of run: this many messages are accepted while everybody is away, the server is
    /// killed, and everybody comes back. Goes with --rate max.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(crate) backlog: Option<u32>,
    /// Bytes of an event's argument, about.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) bytes: u32,
    /// How long an ack may wait for others, in milliseconds. [default: 0; with --rate max 20]
    #[arg(long)]
    pub(crate) ack_delay_ms: Option<u64>,
    /// Who subscribes. `bare` is for measuring the server: it goes with --faults none.
    #[arg(long, value_enum, default_value_t = Kit::Whole)]
    pub(crate) client: Kit,
    /// Server on core 0, ledger on core 1 (taskset).
    #[arg(long)]
    pub(crate) cores: bool,
    /// Where store, logs and configuration go; its file system is what is measured. A fresh folder
    /// below the system's temporary one unless given.
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// `ordinary` proves that the ledger can refute.
    #[arg(long, value_enum, default_value_t = Class::Acknowledged, hide = true)]
    pub(crate) class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// Forgotten with the process.
    Memory,
    /// A local file.
    Embedded,
}

/// What a subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kit {
    /// Our client with everything: memory, handlers, reconnects.
    Whole,
    /// A WebSocket and what the protocol asks for.
    Bare,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Half to groups of up to twenty, half to one subscriber.
    Mixed,
    /// Each message to one group of all.
    Group,
    /// Each message to one subscriber.
    Single,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Class {
    Acknowledged,
    Ordinary,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Ordinary => "ordinary",
        }
    }
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
        }
    }
}

/// How fast is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    Max,
    PerSecond(f64),
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(Self::PerSecond(rate)),
            _ => Err("must be max or messages a second".into()),
        }
    }
}

impl Flags {
    /// The kinds of faults, without `none` and without doubles.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> =
            self.faults.iter().copied().filter(|kind| *kind != Kind::None).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// How long an ack waits for others.
    pub(crate) fn ack_delay(&self) -> Duration {
        let usual = if self.rate == Rate::Max { 20 } else { 0 };
        Duration::from_millis(self.ack_delay_ms.unwrap_or(usual))
    }

    /// Whether a subscriber keeps its dedupe memory: even ones do, odd and bare ones have none.
    pub(crate) fn remembers(&self, subscriber: u32) -> bool {
        self.client == Kit::Whole && subscriber.is_multiple_of(2)
    }

    /// What cannot be meant.
    pub(crate) fn check(&self) -> Result<(), String> {
        let kinds = self.kinds();
        if self.store == Store::Memory && kinds.contains(&Kind::KillServer) {
            return Err("a store in memory promises nothing across kill-server".into());
        }
        if self.rate == Rate::Max && !kinds.is_empty() {
            return Err("--rate max is for measuring: it goes with --faults none".into());
        }
        if self.backlog.is_some() && (self.rate != Rate::Max || self.store == Store::Memory) {
            return Err("--backlog is for measuring: it goes with --rate max, embedded".into());
        }
        let is_plain = kinds.is_empty() && self.backlog.is_none();
        if self.client == Kit::Bare && !(is_plain && self.class == Class::Acknowledged) {
            return Err("--client bare is for measuring: it goes with --faults none".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Flags {
        Flags::try_parse_from(["ledger"].iter().chain(words)).unwrap()
    }

    #[test]
    fn all_faults_are_on_unless_named_and_none_is_none() {
        assert_eq!(flags(&[]).kinds().len(), 7);
        assert_eq!(flags(&["--faults", "none"]).kinds(), []);
        assert_eq!(flags(&["--faults", "stall,cut,cut"]).kinds(), [Kind::Cut, Kind::Stall]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(flags(&["--store", "memory"]).check().is_err());
        assert!(flags(&["--rate", "max"]).check().is_err());
        assert!(flags(&["--rate", "max", "--faults", "none"]).check().is_ok());
        assert!(flags(&["--backlog", "5"]).check().is_err());
        assert!(flags(&["--client", "bare"]).check().is_err());
        assert!(flags(&["--client", "bare", "--faults", "none"]).check().is_ok());
        assert!(Flags::try_parse_from(["ledger", "--rate", "fast"]).is_err());
    }
}
