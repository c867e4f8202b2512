//! The names that the `SignalR` section knows, and what they are called here.

use crate::config::gathered::Config;

/// What kind of value it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// A whole number within limits, times the factor in our unit.
    Number { factor: u64, min: u64, max: u64 },
    /// True or false.
    Bool,
}

/// One setting of the section.
#[derive(Debug)]
pub(super) struct Name {
    /// Below `SignalR`, with colons.
    pub(super) path: &'static str,
    /// Our key; `hubs.*` stands for every hub. None when nothing here corresponds to it.
    pub(super) key: Option<&'static str>,
    pub(super) unit: Unit,
    /// Why a name without a key has no effect.
    pub(super) why_not: &'static str,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;

const fn number(path: &'static str, key: &'static str, factor: u64, min: u64, max: u64) -> Name {
    Name { path, key: Some(key), unit: Unit::Number { factor, min, max }, why_not: "" }
}

/// Where two names have the same key, the first wins: the seed's stand before Conduit's.
pub(super) const NAMES: &[Name] = &[
    number("MaximumReceiveMessageSize", "hubs.*.message_bytes_max", 1, 1_024, 67_108_864),
    number("Acknowledgment:MessageTimeoutSeconds", "delivery.ack_timeout_ms", SECOND, 1, 3_600),
    number("Acknowledgment:TimeoutSeconds", "delivery.ack_timeout_ms", SECOND, 1, 3_600),
    number("Acknowledgment:MaxRetryAttempts", "delivery.retry_attempts_max", 1, 0, 100),
    Name {
        path: "Acknowledgment:CleanupIntervalMinutes",
        key: None,
        unit: Unit::Number { factor: 1, min: 1, max: 1_440 },
        why_not: "nothing has to be swept up here; what is settled is forgotten by its age",
    },
    number("MessageQueue:MaxRetryAttempts", "delivery.queue_attempts_max", 1, 0, 100),
    number("MessageQueue:InitialRetryDelaySeconds", "delivery.backoff_ms_min", SECOND, 1, 3_600),
    number("MessageQueue:MaxRetryDelaySeconds", "delivery.backoff_ms_max", SECOND, 1, 3_600),
    number("MessageQueue:ProcessingBatchSize", "delivery.processing_batch_size", 1, 1, 1_000_000),
    number("MessageQueue:ProcessingIntervalMs", "delivery.processing_interval_ms", 1, 1, 3_600_000),
    number(
        "MessageQueue:CircuitBreakerFailureThreshold",
        "delivery.breaker_failures_max",
        1,
        1,
        1_000_000,
    ),
    number(
        "MessageQueue:CircuitBreakerDurationSeconds",
        "delivery.breaker_open_ms",
        SECOND,
        1,
        3_600,
    ),
    number("Connection:StaleConnectionTimeoutMinutes", STALE_AFTER, MINUTE, 1, 10_080),
    number("ConnectionMonitor:StaleThresholdMinutes", STALE_AFTER, MINUTE, 1, 10_080),
    number(
        "ConnectionMonitor:CleanupIntervalMinutes",
        "connections.stale_sweep_ms",
        MINUTE,
        1,
        1_440,
    ),
    number("Batching:WindowMs", "batching.window_ms", 1, 1, 60_000),
    number("Batching:MaxBatchSize", "batching.messages_max", 1, 1, 10_000),
    number("Batching:MaxBatchSizeBytes", "batching.bytes_max", 1, 1_024, 67_108_864),
    Name {
        path: "Batching:GroupByMethod",
        key: Some("batching.group_by_method"),
        unit: Unit::Bool,
        why_not: "",
    },
];

const STALE_AFTER: &str = "connections.stale_after_ms";
const EVERY_HUB: &str = "hubs.*.";

impl Name {
    /// The places in our tree that the key stands for.
    pub(super) fn places(&self, key: &str) -> Vec<String> {
        match key.strip_prefix(EVERY_HUB) {
            None => vec![key.to_owned()],
            Some(own) => {
                let hubs = Config::default().hubs;
                hubs.keys().map(|hub| format!("hubs.{hub}.{own}")).collect()
            }
        }
    }
}

/// Whether known names begin so.
pub(super) fn is_section(path: &str) -> bool {
    let path = path.to_lowercase();
    NAMES.iter().any(|name| name.path.to_lowercase().starts_with(&format!("{path}:")))
}

/// The known name or section that is spelt most like it; one in the same section is nearer. None
/// when half of the letters or more are others.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let (place, own) = path.rsplit_once(':').unwrap_or(("", path));
    let sections = NAMES.iter().filter_map(|name| Some(name.path.split_once(':')?.0));
    let candidates = NAMES.iter().map(|name| name.path).chain(sections);
    let distance = |known: &&str| {
        let (at, last) = known.rsplit_once(':').unwrap_or(("", known));
        let elsewhere = usize::from(!at.eq_ignore_ascii_case(place));
        2 * strsim::levenshtein(&own.to_lowercase(), &last.to_lowercase()) + elsewhere
    };
    let nearest = candidates.map(|known| (distance(&known), known)).min_by_key(|own| own.0)?;
    (nearest.0 < own.chars().count()).then_some(nearest.1)
}
