//! When events would travel together. Read and checked from now on; nothing batches yet.

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

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
        let batching = BatchingConfig::default();
        assert_eq!((batching.window_ms, batching.messages_max), (100, 50));
        assert_eq!((batching.bytes_max, batching.group_by_method), (262_144, true));
        assert_eq!(batching.check(), []);
    }

    #[test]
    fn a_batch_of_nothing_is_refused_by_name() {
        let config = BatchingConfig { messages_max: 0, ..BatchingConfig::default() };
        assert_eq!(
            config.check()[0].to_string(),
            "batching.messages_max must be 1 to 10000, not 0"
        );
    }
}
