//! All settings of a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hub::HubConfig;
use super::server::ServerConfig;
use crate::auth::{self, Secret, ServiceKeyConfig, VirtualKeyConfig};
use crate::connections;
use crate::delivery;
use crate::model::BadSetting;
use crate::publish;
use crate::transport::{self, Cors};

/// Every room's settings in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The process.
    pub server: ServerConfig,
    /// Who may come in.
    pub auth: auth::Config,
    /// Which web pages may.
    pub cors: Cors,
    /// Connections and their outboxes.
    pub connections: connections::Config,
    /// Acknowledged messages.
    pub delivery: delivery::Config,
    /// Events that travel together.
    pub batching: delivery::BatchingConfig,
    /// Sockets.
    pub transport: transport::Config,
    /// The back end's door.
    pub publish: publish::Config,
    /// Each hub there is, by its name.
    pub hubs: BTreeMap<String, HubConfig>,
}

impl Default for Config {
    fn default() -> Self {
        let bench = HubConfig { enabled: false, ..HubConfig::default() };
        let hubs = [("bench", bench), ("tasks", HubConfig::default())];
        Self {
            server: ServerConfig::default(),
            auth: auth::Config::default(),
            cors: Cors::default(),
            connections: connections::Config::default(),
            delivery: delivery::Config::default(),
            batching: delivery::BatchingConfig::default(),
            transport: transport::Config::default(),
            publish: publish::Config::default(),
            hubs: hubs.map(|(name, hub)| (name.to_owned(), hub)).into(),
        }
    }
}

impl Config {
    /// The settings of a hub that is on.
    pub fn hub(&self, name: &str) -> Option<&HubConfig> {
        self.hubs.get(name).filter(|hub| hub.enabled)
    }

    /// One of everything, also of what the defaults leave empty: the shape of all keys.
    pub(super) fn example() -> Self {
        let mut example = Self::default();
        example.auth.virtual_keys.push(VirtualKeyConfig::default());
        example.auth.service_keys.push(ServiceKeyConfig::default());
        example.auth.development_key = Some(Secret::new(""));
        example.cors.origins.push(String::new());
        example
    }

    pub(super) fn check(&self) -> Vec<BadSetting> {
        let mut found = self.server.check();
        found.extend(self.auth.check());
        if let Err(problem) = self.cors.check() {
            found.push(named(&problem));
        }
        found.extend(self.connections.check());
        found.extend(self.delivery.check());
        found.extend(self.batching.check());
        if let Err(problem) = self.transport.check() {
            found.push(named(&problem));
        }
        found.extend(self.publish.check());
        for (name, hub) in &self.hubs {
            found.extend(hub.check(name));
        }
        found
    }
}

/// A sentence that begins with the name of its setting.
fn named(sentence: &str) -> BadSetting {
    let (field, problem) = sentence.split_once(' ').unwrap_or((sentence, "cannot be used"));
    BadSetting::new(field.trim_end_matches(':'), problem)
}
