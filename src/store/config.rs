//! What the store keeps, for how long, and where (`store` in the configuration).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::END_BYTES;
use super::writer::CHANGE_BYTES_MAX;
use crate::model::BadSetting;

/// What survives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Lost connections, and nothing more: a restart forgets everything.
    Memory,
    /// Restarts and power cuts: a local file, synced before anything is answered.
    Embedded,
}

impl Mode {
    /// Its name in the configuration and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
        }
    }
}

/// The limits of the store. Counts are in pairs (message, subscriber) where not said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether anything is kept; without it acknowledged messages are refused.
    pub enabled: bool,
    /// `memory` or `embedded`.
    pub mode: Mode,
    /// The folder of the embedded store; its files lie in `store/` below it.
    pub path: PathBuf,
    /// Space held back for a full disk, so that what is owed can still settle or die; 0 to do
    /// without that promise.
    pub reserve_mib: u64,
    /// A log file is closed at this size. A file goes when nothing in it is needed any more.
    pub segment_mib: u64,
    /// Payloads up to this stay in memory, longer ones are read from the log when needed.
    pub inline_bytes_max: usize,
    /// How long a call may take. A message may still be accepted after that; see `Swept::unheard`.
    pub deadline_ms: u64,
    /// Changes that may wait for the disk.
    pub queue_max: usize,
    /// Owed pairs of one tenant.
    pub pending_per_tenant_max: u64,
    /// Owed pairs of all tenants.
    pub pending_max: u64,
    /// Dead letters of one tenant, beyond which it gets nothing new in. What it has pending may
    /// still die: the end of a pair is never refused.
    pub dead_letters_per_tenant_max: u64,
    /// Dead letters of all tenants.
    pub dead_letters_max: u64,
    /// Payload bytes of one tenant, owed or dead.
    pub mib_per_tenant_max: u64,
    /// Payload bytes of all tenants.
    pub mib_max: u64,
    /// A pair owed for longer becomes a dead letter.
    pub age_seconds_max: u64,
    /// How long a dead letter waits for an operator.
    pub dead_letter_days: u64,
    /// How long a message id is remembered.
    pub idempotency_seconds: u64,
    /// Message ids remembered. When full, those older than ten minutes go first, counted.
    pub idempotency_keys_max: usize,
    /// How long a receipt is kept after its message has settled.
    pub receipt_seconds: u64,
    /// Receipts of settled messages.
    pub receipts_max: usize,
    /// How long a subscriber may be away (`session.ttl_seconds`).
    #[serde(skip)]
    pub session_ttl_seconds: u64,
    /// Sessions of one caller. A connection beyond it works without a session.
    #[serde(skip)]
    pub sessions_per_caller_max: usize,
    /// Sessions of all callers.
    #[serde(skip)]
    pub sessions_max: usize,
    /// Groups one subscriber may be in.
    #[serde(skip)]
    pub groups_per_subscriber_max: usize,
    /// Tasks whose last snapshot is kept.
    pub snapshots_max: usize,
    /// Bytes of all snapshots.
    pub snapshot_mib_max: u64,
}

/// Younger idempotency keys are never forgotten to make room (issue 4).
pub(super) const KEY_KEPT_AT_LEAST: Duration = Duration::from_secs(600);

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            mode: Mode::Embedded,
            path: PathBuf::from("./data"),
            reserve_mib: 64,
            segment_mib: 32,
            inline_bytes_max: 128,
            deadline_ms: 10_000,
            queue_max: 65_536,
            pending_per_tenant_max: 100_000,
            pending_max: 1_000_000,
            dead_letters_per_tenant_max: 10_000,
            dead_letters_max: 100_000,
            mib_per_tenant_max: 256,
            mib_max: 1_024,
            age_seconds_max: 86_400,
            dead_letter_days: 30,
            idempotency_seconds: 86_400,
            idempotency_keys_max: 1_000_000,
            receipt_seconds: 3_600,
            receipts_max: 1_000_000,
            session_ttl_seconds: 120,
            sessions_per_caller_max: 32,
            sessions_max: 100_000,
            groups_per_subscriber_max: 1_000,
            snapshots_max: 10_000,
            snapshot_mib_max: 16,
        }
    }
}

impl Config {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let Self { age_seconds_max, session_ttl_seconds, .. } = *self;
        let counts = [
            ("pending_per_tenant_max", self.pending_per_tenant_max),
            ("pending_max", self.pending_max),
            ("dead_letters_per_tenant_max", self.dead_letters_per_tenant_max),
            ("dead_letters_max", self.dead_letters_max),
            ("mib_per_tenant_max", self.mib_per_tenant_max),
            ("mib_max", self.mib_max),
            ("idempotency_keys_max", self.idempotency_keys_max as u64),
            ("receipts_max", self.receipts_max as u64),
            ("queue_max", self.queue_max as u64),
        ];
        let month = 1..=2_592_000;
        let mut bad: Vec<BadSetting> = counts
            .into_iter()
            .filter_map(|(name, value)| {
                BadSetting::outside(format!("store.{name}"), value, 1..=100_000_000)
            })
            .collect();
        bad.extend(BadSetting::outside("store.segment_mib", self.segment_mib, 1..=1_024));
        bad.extend(BadSetting::outside("store.reserve_mib", self.reserve_mib, 0..=65_536));
        let ends = self.pending_max.saturating_add(self.sessions_max as u64);
        let needed = ends.saturating_mul(END_BYTES).saturating_add(CHANGE_BYTES_MAX);
        let needed = needed.div_ceil(bytes_of_mib(1));
        if self.mode == Mode::Embedded && (1..needed).contains(&self.reserve_mib) {
            let problem = format!(
                "must be at least {needed}, the room for the ends of store.pending_max messages and \
                 session.total_max sessions, or 0 to do without; it is {}",
                self.reserve_mib
            );
            bad.push(BadSetting::new("store.reserve_mib", problem));
        }
        bad.extend(BadSetting::outside("store.deadline_ms", self.deadline_ms, 10..=600_000));
        bad.extend(BadSetting::outside("store.age_seconds_max", age_seconds_max, month.clone()));
        // Elsewhere in the configuration, so they have other names there.
        bad.extend(BadSetting::outside("session.ttl_seconds", session_ttl_seconds, month));
        bad
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(super) fn age_max(&self) -> Duration {
        Duration::from_secs(self.age_seconds_max)
    }

    pub(super) fn dead_letter_life(&self) -> Duration {
        Duration::from_secs(self.dead_letter_days.saturating_mul(86_400))
    }

    pub(super) fn idempotency_window(&self) -> Duration {
        Duration::from_secs(self.idempotency_seconds)
    }

    pub(super) fn receipt_life(&self) -> Duration {
        Duration::from_secs(self.receipt_seconds)
    }

    pub(super) fn session_ttl(&self) -> Duration {
        Duration::from_secs(self.session_ttl_seconds)
    }
}

/// Settings in MiB, in bytes.
pub(super) fn bytes_of_mib(mib: u64) -> u64 {
    mib.saturating_mul(1_048_576)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_a_good_configuration() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.check(), []);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Config>("pending_mx = 5").is_err());
    }

    #[test]
    fn a_reserve_without_room_for_all_that_may_end_is_refused() {
        let text = |config: Config| config.check().first().map(ToString::to_string);
        assert_eq!(text(Config { reserve_mib: 60, ..Config::default() }), None);
        assert_eq!(text(Config { reserve_mib: 0, ..Config::default() }), None);
        let refused = text(Config { reserve_mib: 59, ..Config::default() });
        assert_eq!(
            refused.unwrap(),
            "store.reserve_mib must be at least 60, the room for the ends of store.pending_max \
             messages and session.total_max sessions, or 0 to do without; it is 59"
        );
    }

    #[test]
    fn a_limit_of_nothing_is_refused_by_name() {
        let config = Config { pending_max: 0, segment_mib: 0, ..Config::default() };
        let texts: Vec<_> = config.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "store.pending_max must be 1 to 100000000, not 0",
                "store.segment_mib must be 1 to 1024, not 0",
            ]
        );
    }
}
