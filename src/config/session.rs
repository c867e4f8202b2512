//! How long clients are remembered (`session` in the configuration).

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

/// What bounds the sessions of clients that bring a client id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// How long a client may be away and still get what it is owed.
    pub ttl_seconds: u64,
    /// Sessions of one caller. A connection beyond it works without a session.
    pub per_caller_max: usize,
    /// Sessions of all callers.
    pub total_max: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { ttl_seconds: 120, per_caller_max: 32, total_max: 100_000 }
    }
}

impl SessionConfig {
    pub(super) fn check(&self) -> Vec<BadSetting> {
        [
            BadSetting::outside("session.ttl_seconds", self.ttl_seconds, 1..=2_592_000),
            BadSetting::outside("session.per_caller_max", self.per_caller_max, 0..=1_000_000),
            BadSetting::outside("session.total_max", self.total_max, 0..=10_000_000),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
