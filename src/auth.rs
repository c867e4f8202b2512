//! Auth: a credential becomes a caller with rights.
//!
//! Owns: where credentials stand in a request; virtual keys, service keys with the webhooks of their
//! tenants, the operators' key; their comparison.
//! Never knows: hubs, transports.
//!
//! [`Keys::from_config`] makes all kinds of keys at start: [`VirtualKeys`] answer who a client of
//! a hub is, [`ServiceKeys`] which tenant publishes, [`AdminKey`] whether an operator asks. Only hashes are kept, and a look-up compares
//! all of them in constant time.

mod admin;
mod authenticator;
mod config;
mod credential;
mod keys;
mod peer;
mod secret;
mod service_keys;
mod table;
mod virtual_keys;
mod webhook;

pub use crate::model::Tenant;
pub use admin::{AdminConfig, AdminKey};
pub use authenticator::{Anonymous, Authenticator, Refusal};
pub use config::{Config, ServiceKeyConfig, VirtualKeyConfig};
pub use credential::query_value;
pub use keys::{KeyNotice, Keys, NoRandomness};
pub use peer::PeerAddr;
pub use secret::Secret;
pub use service_keys::ServiceKeys;
pub use table::hash_key;
pub use virtual_keys::{ADMIN, VirtualKeys};
pub use webhook::{WebhookEvent, WebhookTarget};
