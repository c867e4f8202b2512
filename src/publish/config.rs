//! The limits of the publish API (`publish` in the configuration).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

/// A body is held in memory as a whole while it is checked.
const BODY_BYTES_RANGE: std::ops::RangeInclusive<usize> = 1_024..=67_108_864;

/// What one node accepts from back ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest body of a request.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout_ms: u64,
    /// How long delivery may take to accept a message, or to change a group on another node.
    pub delivery_timeout_ms: u64,
    /// Requests per second and service key, with a burst of as many; 0 for no limit.
    pub requests_per_second_max: u32,
    /// Messages of one batch.
    pub batch_messages_max: usize,
    /// For one call of a webhook, from the connection to the end of the answer.
    pub webhook_timeout_ms: u64,
    /// Events that wait for one tenant's webhook.
    pub webhook_backlog_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: 1_048_576,
            body_timeout_ms: 30_000,
            delivery_timeout_ms: 5_000,
            requests_per_second_max: 0,
            batch_messages_max: 100,
            webhook_timeout_ms: 10_000,
            webhook_backlog_max: 10_000,
        }
    }
}

impl Config {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let minutes = 100..=600_000;
        [
            BadSetting::outside("publish.body_bytes_max", self.body_bytes_max, BODY_BYTES_RANGE),
            BadSetting::outside("publish.body_timeout_ms", self.body_timeout_ms, minutes.clone()),
            BadSetting::outside(
                "publish.delivery_timeout_ms",
                self.delivery_timeout_ms,
                minutes.clone(),
            ),
            BadSetting::outside("publish.webhook_timeout_ms", self.webhook_timeout_ms, minutes),
            BadSetting::outside("publish.batch_messages_max", self.batch_messages_max, 1..=10_000),
            BadSetting::outside(
                "publish.webhook_backlog_max",
                self.webhook_backlog_max,
                1..=1_000_000,
            ),
            BadSetting::outside(
                "publish.requests_per_second_max",
                self.requests_per_second_max,
                0..=1_000_000,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(super) fn webhook_timeout(&self) -> Duration {
        Duration::from_millis(self.webhook_timeout_ms)
    }

    pub(super) fn delivery_timeout(&self) -> Duration {
        Duration::from_millis(self.delivery_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_the_limits() {
        assert_eq!(Config::default().check(), []);
    }

    #[test]
    fn each_limit_is_named() {
        let config = Config {
            body_bytes_max: 1,
            body_timeout_ms: 0,
            delivery_timeout_ms: 0,
            requests_per_second_max: 1_000_001,
            batch_messages_max: 0,
            webhook_timeout_ms: 99,
            webhook_backlog_max: 0,
        };
        let texts: Vec<_> = config.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "publish.body_bytes_max must be 1024 to 67108864, not 1",
                "publish.body_timeout_ms must be 100 to 600000, not 0",
                "publish.delivery_timeout_ms must be 100 to 600000, not 0",
                "publish.webhook_timeout_ms must be 100 to 600000, not 99",
                "publish.batch_messages_max must be 1 to 10000, not 0",
                "publish.webhook_backlog_max must be 1 to 1000000, not 0",
                "publish.requests_per_second_max must be 0 to 1000000, not 1000001",
            ]
        );
    }
}
