//! The settings of one hub (`hubs.<name>` in the configuration).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connections::Settings;
use crate::hub::HubOptions;
use crate::model::BadSetting;
use crate::transport::{self, Transports};

/// From a tenth of a second to a day.
const MS_RANGE: std::ops::RangeInclusive<u64> = 100..=86_400_000;

/// What can be set for one hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// Whether the hub is there at all.
    pub enabled: bool,
    /// Between two pings to a client. Stock clients expect one within 30 s.
    pub keep_alive_ms: u64,
    /// Silence after a client's first ping that ends its connection.
    pub client_timeout_ms: u64,
    /// From the opening of a connection to the client's handshake.
    pub handshake_timeout_ms: u64,
    /// The longest message of a client.
    pub message_bytes_max: usize,
    /// Invocations of one client that run at a time.
    pub parallel_invocations_max: usize,
    /// Whether clients may ask for stateful reconnect.
    pub stateful_reconnect: bool,
    /// Unacked bytes of one client after which it is sent nothing until it acks.
    pub stateful_buffer_bytes: usize,
    /// Whether clients are told the texts of all errors; for development only.
    pub detailed_errors: bool,
    /// The transports the hub speaks.
    pub transports: Transports,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_alive_ms: 15_000,
            client_timeout_ms: 60_000,
            handshake_timeout_ms: 15_000,
            message_bytes_max: 32_768,
            parallel_invocations_max: 1,
            stateful_reconnect: true,
            stateful_buffer_bytes: 100_000,
            detailed_errors: false,
            transports: Transports::default(),
        }
    }
}

impl HubConfig {
    /// The part that connections follow.
    pub fn connection_settings(&self, transport: &transport::Config) -> Settings {
        Settings {
            send_timeout: Duration::from_millis(transport.send_timeout_ms),
            keep_alive: Duration::from_millis(self.keep_alive_ms),
            client_timeout: Duration::from_millis(self.client_timeout_ms),
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms),
            stateful_buffer_bytes: self.stateful_buffer_bytes,
            ..Settings::default()
        }
    }

    /// The part that the hub's sessions follow.
    pub fn hub_options(&self, name: &str) -> HubOptions {
        HubOptions {
            message_bytes_max: self.message_bytes_max,
            parallel_invocations_max: self.parallel_invocations_max,
            detailed_errors: self.detailed_errors,
            stateful_reconnect: self.stateful_reconnect,
            ..HubOptions::named(name)
        }
    }

    pub(super) fn check(&self, name: &str) -> Vec<BadSetting> {
        let at = |key: &str| format!("hubs.{name}.{key}");
        let bytes = 1_024..=67_108_864;
        let parallel = self.parallel_invocations_max;
        let mut found: Vec<_> = [
            BadSetting::outside(at("keep_alive_ms"), self.keep_alive_ms, MS_RANGE),
            BadSetting::outside(at("client_timeout_ms"), self.client_timeout_ms, MS_RANGE),
            BadSetting::outside(at("handshake_timeout_ms"), self.handshake_timeout_ms, MS_RANGE),
            BadSetting::outside(at("message_bytes_max"), self.message_bytes_max, bytes.clone()),
            BadSetting::outside(at("parallel_invocations_max"), parallel, 1..=1_000),
            BadSetting::outside(at("stateful_buffer_bytes"), self.stateful_buffer_bytes, bytes),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.transports.is_empty() {
            found.push(BadSetting::new(at("transports"), "must have at least one transport"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_send_timeout_of_sockets_holds_for_websockets_too() {
        let transport = transport::Config { send_timeout_ms: 3_000, ..Default::default() };
        let settings = HubConfig::default().connection_settings(&transport);
        assert_eq!(settings.send_timeout, Duration::from_secs(3));
        let defaults = HubConfig::default().connection_settings(&transport::Config::default());
        assert_eq!(defaults, Settings::default());
    }
}
