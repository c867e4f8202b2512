//! All settings of a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hub::HubConfig;
use super::server::ServerConfig;
use super::session::SessionConfig;
use crate::auth::{self, Secret, ServiceKeyConfig, VirtualKeyConfig, WebhookEvent};
use crate::connections;
use crate::delivery::{self, AckMode};
use crate::model::BadSetting;
use crate::publish;
use crate::store;
use crate::transport::{self, Cors};

/// Every room's settings in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The process.
    pub server: ServerConfig,
    /// Who may come in.
    pub auth: auth::Config,
    /// Who operates the node.
    pub admin: auth::AdminConfig,
    /// Which web pages may.
    pub cors: Cors,
    /// Connections and their outboxes.
    pub connections: connections::Config,
    /// Sockets.
    pub transport: transport::Config,
    /// The back end's door.
    pub publish: publish::Config,
    /// What must not be forgotten.
    pub store: store::Config,
    /// How long clients are remembered.
    pub session: SessionConfig,
    /// How acknowledged messages are tried and timed.
    pub delivery: delivery::Config,
    /// Events that travel together.
    pub batching: delivery::BatchingConfig,
    /// Each hub there is, by its name.
    pub hubs: BTreeMap<String, HubConfig>,
}

impl Default for Config {
    fn default() -> Self {
        let bench = HubConfig { enabled: false, ..HubConfig::default() };
        let hubs = [
            ("bench", bench),
            ("enhanced-video-generation", HubConfig::default()),
            ("tasks", HubConfig::default()),
        ];
        Self {
            server: ServerConfig::default(),
            auth: auth::Config::default(),
            admin: auth::AdminConfig::default(),
            cors: Cors::default(),
            connections: connections::Config::default(),
            transport: transport::Config::default(),
            publish: publish::Config::default(),
            store: store::Config::default(),
            session: SessionConfig::default(),
            delivery: delivery::Config::default(),
            batching: delivery::BatchingConfig::default(),
            hubs: hubs.map(|(name, hub)| (name.to_owned(), hub)).into(),
        }
    }
}

impl Config {
    /// The settings of a hub that is on.
    pub fn hub(&self, name: &str) -> Option<&HubConfig> {
        self.hubs.get(name).filter(|hub| hub.enabled)
    }

    /// The store's settings, with what the sessions' section says.
    pub fn store(&self) -> store::Config {
        store::Config {
            session_ttl_seconds: self.session.ttl_seconds,
            sessions_per_caller_max: self.session.per_caller_max,
            sessions_max: self.session.total_max,
            groups_per_subscriber_max: self.connections.groups_per_connection_max,
            ..self.store.clone()
        }
    }

    /// One of everything, also of what the defaults leave empty: the shape of all keys.
    pub(super) fn example() -> Self {
        let mut example = Self::default();
        example.auth.virtual_keys.push(VirtualKeyConfig::default());
        example.auth.service_keys.push(ServiceKeyConfig {
            webhook_url: Some(String::new()),
            webhook_secret: Some(Secret::new("")),
            webhook_events: vec![WebhookEvent::Settled],
            ..ServiceKeyConfig::default()
        });
        example.admin.key_sha256 = Some(String::new());
        example.auth.development_key = Some(Secret::new(""));
        example.cors.origins.push(String::new());
        for hub in example.hubs.values_mut() {
            hub.acks.push(AckMode::default());
        }
        example
    }

    pub(super) fn check(&self) -> Vec<BadSetting> {
        let mut found = self.server.check();
        found.extend(self.auth.check());
        found.extend(self.admin.check());
        if let Err(problem) = self.cors.check() {
            found.push(named(&problem));
        }
        found.extend(self.connections.check());
        if let Err(problem) = self.transport.check() {
            found.push(named(&problem));
        }
        found.extend(self.publish.check());
        found.extend(self.store.check());
        found.extend(self.session.check());
        found.extend(self.delivery.check());
        found.extend(self.batching.check());
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
