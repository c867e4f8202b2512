//! Where the server listens and how it stops (`server` in the configuration).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::BadSetting;

/// The whole stop may take 30 s; the notice must leave some of them to the clients.
const STOP_NOTICE_MS_MAX: u64 = 25_000;

/// The settings of the process as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// Between the end of readiness and the end of service, so that load balancers notice.
    pub stop_notice_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".into(), stop_notice_ms: 0 }
    }
}

impl ServerConfig {
    /// The address to listen on. None when `listen` was not checked.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// Whether only this machine can connect.
    pub fn only_loopback(&self) -> bool {
        self.address().is_some_and(|address| address.ip().is_loopback())
    }

    pub(super) fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        if self.address().is_none() {
            let problem =
                format!("must be an address with a port (127.0.0.1:8080), not {:?}", self.listen);
            found.push(BadSetting::new("server.listen", problem));
        }
        let notice = 0..=STOP_NOTICE_MS_MAX;
        found.extend(BadSetting::outside("server.stop_notice_ms", self.stop_notice_ms, notice));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_rest() {
        let at = |listen: &str| ServerConfig { listen: listen.into(), ..ServerConfig::default() };
        for loopback in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8080"] {
            assert!(at(loopback).only_loopback(), "{loopback}");
        }
        for open in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "nowhere"] {
            assert!(!at(open).only_loopback(), "{open}");
        }
    }
}
