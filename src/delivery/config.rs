//! How acknowledged messages will be tried and timed, and events batched. Read and checked from now
//! on; the engine that follows these settings is not built yet.

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

/// The one retry policy (`delivery` in the configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From a fully written frame to the end of patience.
    pub ack_timeout_ms: u64,
    /// Repeats after a timeout or nack.
    pub retry_attempts_max: u8,
    /// Failures before a write; never multiplies the repeats.
    pub queue_attempts_max: u8,
    /// The first repeat waits at most so long.
    pub backoff_ms_min: u64,
    /// Every repeat waits at most so long.
    pub backoff_ms_max: u64,
    /// How coarse the timers of repeats are.
    pub processing_interval_ms: u64,
    /// Repeats that are handed out at a time.
    pub processing_batch_size: usize,
    /// Failures in a row that open a breaker.
    pub breaker_failures_max: u32,
    /// How long a breaker stays open.
    pub breaker_open_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ack_timeout_ms: 30_000,
            retry_attempts_max: 3,
            queue_attempts_max: 5,
            backoff_ms_min: 2_000,
            backoff_ms_max: 32_000,
            processing_interval_ms: 100,
            processing_batch_size: 100,
            breaker_failures_max: 5,
            breaker_open_ms: 30_000,
        }
    }
}

impl Config {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        let mut within = |name: &str, value: u64, min: u64, max: u64| {
            found.extend(BadSetting::outside(format!("delivery.{name}"), value, min..=max));
        };
        within("ack_timeout_ms", self.ack_timeout_ms, 1, 3_600_000);
        within("backoff_ms_max", self.backoff_ms_max, 1, 3_600_000);
        // The first delay cannot be above every delay.
        within("backoff_ms_min", self.backoff_ms_min, 1, self.backoff_ms_max.max(1));
        within("processing_interval_ms", self.processing_interval_ms, 1, 3_600_000);
        within("processing_batch_size", self.processing_batch_size as u64, 1, 1_000_000);
        within("breaker_failures_max", self.breaker_failures_max.into(), 1, 1_000_000);
        within("breaker_open_ms", self.breaker_open_ms, 1, 3_600_000);
        found
    }
}

/// When events of one kind travel together (`batching` in the configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingConfig {
    /// From the first event of a batch to its sending.
    pub window_ms: u64,
    /// Events of one batch.
    pub messages_max: usize,
    /// Bytes of one batch.
    pub bytes_max: usize,
    /// Whether events with different names go in different batches.
    pub group_by_method: bool,
}

impl Default for BatchingConfig {
    fn default() -> Self {
        Self { window_ms: 100, messages_max: 50, bytes_max: 262_144, group_by_method: true }
    }
}

impl BatchingConfig {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        let mut within = |name: &str, value: u64, min: u64, max: u64| {
            found.extend(BadSetting::outside(format!("batching.{name}"), value, min..=max));
        };
        within("window_ms", self.window_ms, 1, 60_000);
        within("messages_max", self.messages_max as u64, 1, 10_000);
        within("bytes_max", self.bytes_max as u64, 1_024, 67_108_864);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_seeds() {
        let (delivery, batching) = (Config::default(), BatchingConfig::default());
        assert_eq!((delivery.ack_timeout_ms, delivery.retry_attempts_max), (30_000, 3));
        assert_eq!((batching.window_ms, batching.messages_max), (100, 50));
        assert_eq!((batching.bytes_max, batching.group_by_method), (262_144, true));
        assert!(delivery.check().is_empty() && batching.check().is_empty());
    }

    #[test]
    fn a_first_delay_above_the_last_cannot_work() {
        let config = Config { backoff_ms_min: 9, backoff_ms_max: 8, ..Config::default() };
        assert_eq!(config.check()[0].to_string(), "delivery.backoff_ms_min must be 1 to 8, not 9");
    }
}
