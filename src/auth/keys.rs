//! The keys a node starts with: configured ones, or a development key on loopback.

use std::sync::Arc;

use super::admin::{AdminConfig, AdminKey};
use super::config::{Config, KEY_LENGTH, KEY_PREFIX, ServiceKeyConfig, VirtualKeyConfig};
use super::secret::Secret;
use super::service_keys::ServiceKeys;
use super::table::hash_key;
use super::virtual_keys::VirtualKeys;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes for a development key: {0}")]
pub struct NoRandomness(String);

/// What the operator has to be told about the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyNotice {
    /// Configured keys are in use.
    Configured,
    /// No keys are configured, and only this machine can connect: this key opens everything.
    Development(Secret),
    /// No keys are configured, and others could connect: nobody gets in.
    NobodyGetsIn,
}

/// All kinds of keys, and what to say about them.
pub struct Keys {
    /// For the clients of hubs.
    pub virtual_keys: Arc<VirtualKeys>,
    /// For back ends.
    pub service_keys: Arc<ServiceKeys>,
    /// For operators.
    pub admin: Arc<AdminKey>,
    /// For the operator.
    pub notice: KeyNotice,
}

impl Keys {
    /// Takes a checked configuration. A node that only listens on loopback and has no keys makes
    /// one, or takes the configured development key: virtual key 1, a service key and, when none is
    /// configured, the operators' key in one. Elsewhere a development key is ignored, because a key that was printed is no secret.
    pub fn from_config(
        config: &Config,
        admin: &AdminConfig,
        only_loopback: bool,
    ) -> Result<Self, NoRandomness> {
        let admin = admin.key_sha256.as_deref();
        if config.has_keys() {
            let (clients, services) = (&config.virtual_keys, &config.service_keys);
            return Ok(Self::new(clients, services, admin, KeyNotice::Configured));
        }
        if !only_loopback {
            return Ok(Self::new(&[], &[], admin, KeyNotice::NobodyGetsIn));
        }
        let key = match &config.development_key {
            Some(key) => key.clone(),
            None => random_key()?,
        };
        let (name, sha256) = (String::from("development"), hash_key(key.expose().as_bytes()));
        let service = ServiceKeyConfig {
            name: name.clone(),
            sha256: sha256.clone(),
            ..ServiceKeyConfig::default()
        };
        let client = VirtualKeyConfig { id: 1, name, sha256: sha256.clone(), admin: false };
        let admin = admin.or(Some(&sha256));
        Ok(Self::new(&[client], &[service], admin, KeyNotice::Development(key)))
    }

    fn new(
        clients: &[VirtualKeyConfig],
        services: &[ServiceKeyConfig],
        admin: Option<&str>,
        notice: KeyNotice,
    ) -> Self {
        Self {
            admin: Arc::new(AdminKey::new(admin)),
            virtual_keys: Arc::new(VirtualKeys::new(clients)),
            service_keys: Arc::new(ServiceKeys::new(services)),
            notice,
        }
    }
}

/// `condt_` and 32 alphanumerics. Bytes from 248 up are thrown away: 248 is the largest multiple of
/// 62 in a byte, so every character is equally likely.
fn random_key() -> Result<Secret, NoRandomness> {
    let mut key = String::from(KEY_PREFIX);
    let mut bytes = [0_u8; 64];
    while key.len() < KEY_PREFIX.len() + KEY_LENGTH {
        getrandom::fill(&mut bytes).map_err(|error| NoRandomness(error.to_string()))?;
        let room = KEY_PREFIX.len() + KEY_LENGTH - key.len();
        let fair = bytes.iter().filter(|byte| **byte < 248).take(room);
        key.extend(fair.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn development_key(keys: &Keys) -> &str {
        match &keys.notice {
            KeyNotice::Development(key) => key.expose(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_on_loopback_without_keys_makes_one_that_opens_everything() {
        let keys = Keys::from_config(&Config::default(), &AdminConfig::default(), true).unwrap();
        let key = development_key(&keys);
        let made = Config { development_key: Some(Secret::new(key)), ..Config::default() };
        assert_eq!(made.check(), [], "a made key has the shape that a configured one must have");
        assert_eq!(keys.virtual_keys.caller_of(key).unwrap().user, Some("1".into()));
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", key.parse().unwrap());
        assert_eq!(keys.service_keys.tenant_of(&headers).unwrap().as_str(), "development");
        assert!(keys.admin.opens(&headers));
        let admin = AdminConfig { key_sha256: Some(hash_key(b"boss")) };
        let config = Config { development_key: Some(Secret::new(key)), ..Config::default() };
        let keys = Keys::from_config(&config, &admin, true).unwrap();
        assert!(!keys.admin.opens(&headers), "a configured key is the only one");
    }

    #[test]
    fn a_made_key_is_never_made_again() {
        let (a, b) = (random_key().unwrap(), random_key().unwrap());
        assert_ne!(a.expose(), b.expose());
    }

    #[test]
    fn a_configured_development_key_is_taken_as_it_is() {
        let own = format!("condt_{}", "a".repeat(32));
        let config = Config { development_key: Some(Secret::new(&*own)), ..Config::default() };
        assert_eq!(
            development_key(&Keys::from_config(&config, &AdminConfig::default(), true).unwrap()),
            own
        );
    }

    #[test]
    fn nobody_gets_in_where_others_could_connect_and_no_key_is_configured() {
        let own = Some(Secret::new(format!("condt_{}", "a".repeat(32))));
        let config = Config { development_key: own.clone(), ..Config::default() };
        let keys = Keys::from_config(&config, &AdminConfig::default(), false).unwrap();
        assert_eq!(keys.notice, KeyNotice::NobodyGetsIn);
        assert!(keys.virtual_keys.caller_of(own.as_ref().map_or("", Secret::expose)).is_none());
    }

    #[test]
    fn with_configured_keys_there_is_no_development_key() {
        let own = format!("condt_{}", "a".repeat(32));
        let sha256 = hash_key(b"k");
        let config = Config {
            service_keys: vec![ServiceKeyConfig {
                name: "billing".into(),
                sha256,
                ..ServiceKeyConfig::default()
            }],
            development_key: Some(Secret::new(&*own)),
            ..Config::default()
        };
        let keys = Keys::from_config(&config, &AdminConfig::default(), true).unwrap();
        assert_eq!(keys.notice, KeyNotice::Configured);
        assert!(keys.virtual_keys.is_empty());
        assert!(keys.virtual_keys.caller_of(&own).is_none());
    }
}
