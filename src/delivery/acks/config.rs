//! How acknowledged messages are tried, timed and bounded (`delivery` in the configuration).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::breaker::BreakerLimits;
use crate::delivery::pair::Limits;
use crate::model::BadSetting;
use crate::timing::Backoff;

/// The one retry policy, and what bounds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From a fully written frame to the end of patience
    /// (`Acknowledgment.MessageTimeoutSeconds`).
    pub ack_timeout_ms: u64,
    /// Repeats after a timeout or nack (`Acknowledgment.MaxRetryAttempts`).
    pub retry_attempts_max: u8,
    /// Failures before a write (`MessageQueue.MaxRetryAttempts`); never multiplies the repeats.
    pub queue_attempts_max: u8,
    /// The first repeat waits at most so long (`MessageQueue.InitialRetryDelaySeconds`).
    pub backoff_ms_min: u64,
    /// Every repeat waits at most so long (`MessageQueue.MaxRetryDelaySeconds`).
    pub backoff_ms_max: u64,
    /// The longest delay a client may ask for with a nack.
    pub nack_delay_ms_max: u64,
    /// How coarse the timers of repeats are (`MessageQueue.ProcessingIntervalMs`).
    pub processing_interval_ms: u64,
    /// Repeats that are handed out at a time (`MessageQueue.ProcessingBatchSize`).
    pub processing_batch_size: usize,
    /// Messages of one subscriber that may be unanswered; the others wait in the store.
    pub unanswered_per_subscriber_max: usize,
    /// Messages that are read from the store at a time for one subscriber.
    pub page_messages: usize,
    /// Subscribers that are read for at a time.
    pub catching_up_max: usize,
    /// Failures in a row that open a breaker (`MessageQueue.CircuitBreakerFailureThreshold`).
    pub breaker_failures_max: u32,
    /// Share of failures in the window that opens a breaker, in percent.
    pub breaker_failure_percent_max: u8,
    /// Outcomes in the window below which the share says nothing.
    pub breaker_outcomes_min: u32,
    /// What the window covers.
    pub breaker_window_ms: u64,
    /// How long a breaker stays open (`MessageQueue.CircuitBreakerDurationSeconds`).
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
            nack_delay_ms_max: 3_600_000,
            processing_interval_ms: 100,
            processing_batch_size: 100,
            unanswered_per_subscriber_max: 10_000,
            page_messages: 256,
            catching_up_max: 64,
            breaker_failures_max: 5,
            breaker_failure_percent_max: 50,
            breaker_outcomes_min: 20,
            breaker_window_ms: 60_000,
            breaker_open_ms: 30_000,
        }
    }
}

impl Config {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let hour = 1..=3_600_000;
        let times = [
            ("ack_timeout_ms", self.ack_timeout_ms),
            ("backoff_ms_max", self.backoff_ms_max),
            ("processing_interval_ms", self.processing_interval_ms),
            ("breaker_window_ms", self.breaker_window_ms),
            ("breaker_open_ms", self.breaker_open_ms),
        ];
        let counts = [
            ("processing_batch_size", self.processing_batch_size),
            ("unanswered_per_subscriber_max", self.unanswered_per_subscriber_max),
            ("page_messages", self.page_messages),
            ("catching_up_max", self.catching_up_max),
            // 0 would open a breaker that nothing has failed at.
            ("breaker_failures_max", self.breaker_failures_max as usize),
        ];
        let mut bad: Vec<BadSetting> = times
            .into_iter()
            .filter_map(|(name, value)| {
                BadSetting::outside(format!("delivery.{name}"), value, hour.clone())
            })
            .collect();
        bad.extend(counts.into_iter().filter_map(|(name, value)| {
            BadSetting::outside(format!("delivery.{name}"), value, 1..=1_000_000)
        }));
        // The first delay cannot be above every delay.
        let least = 1..=self.backoff_ms_max.max(1);
        bad.extend(BadSetting::outside("delivery.backoff_ms_min", self.backoff_ms_min, least));
        let percent = self.breaker_failure_percent_max;
        bad.extend(BadSetting::outside("delivery.breaker_failure_percent_max", percent, 0..=100));
        bad
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            ack_timeout: Duration::from_millis(self.ack_timeout_ms),
            repeats_max: self.retry_attempts_max,
            failures_max: self.queue_attempts_max,
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        let (base, cap) = (self.backoff_ms_min, self.backoff_ms_max);
        Backoff::new(Duration::from_millis(base), Duration::from_millis(cap))
    }

    pub(super) fn breaker(&self) -> BreakerLimits {
        BreakerLimits {
            failures_max: self.breaker_failures_max,
            failure_ratio_max: f64::from(self.breaker_failure_percent_max) / 100.0,
            outcomes_min: self.breaker_outcomes_min,
            window: Duration::from_millis(self.breaker_window_ms),
            open_time: Duration::from_millis(self.breaker_open_ms),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.processing_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_seeds_and_a_misspelt_key_is_refused() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!((config.ack_timeout_ms, config.retry_attempts_max), (30_000, 3));
        assert_eq!((config.queue_attempts_max, config.processing_batch_size), (5, 100));
        assert_eq!(config.check(), []);
        assert!(toml::from_str::<Config>("ack_timeout = 5").is_err());
        let config = Config { page_messages: 0, ..Config::default() };
        assert_eq!(config.check().len(), 1);
    }

    #[test]
    fn a_first_delay_above_the_last_cannot_work() {
        let config = Config { backoff_ms_min: 9, backoff_ms_max: 8, ..Config::default() };
        assert_eq!(config.check()[0].to_string(), "delivery.backoff_ms_min must be 1 to 8, not 9");
    }
}
