//! The keys that are known, as hashes (`auth` in the configuration).

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::table::parse_hash;
use super::webhook::{self, WebhookEvent};
use crate::model::BadSetting;

/// How a development key begins; Conduit's own keys begin the same.
pub(super) const KEY_PREFIX: &str = "condt_";
/// Characters after the prefix. 62 to the power of 32 is about 2^190.
pub(super) const KEY_LENGTH: usize = 32;
/// A look-up compares with every key, about 20 ns each.
const KEYS_MAX: usize = 10_000;
const NAME_CHARS_MAX: usize = 100;

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Keys of clients.
    pub virtual_keys: Vec<VirtualKeyConfig>,
    /// Keys of back ends.
    pub service_keys: Vec<ServiceKeyConfig>,
    /// The key of a node without configured keys; random when absent.
    pub development_key: Option<Secret>,
}

/// One key of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualKeyConfig {
    /// The key's number. Two keys may share one, so that a key can be replaced without a gap.
    pub id: u32,
    /// Its name, for people.
    pub name: String,
    /// SHA-256 of the key in hex (`conduit-realtime hash-key`).
    pub sha256: String,
    /// Whether its callers have the role `admin`.
    pub admin: bool,
}

/// One key of a back end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceKeyConfig {
    /// The tenant's name. Two keys may share one.
    pub name: String,
    /// SHA-256 of the key in hex (`conduit-realtime hash-key`).
    pub sha256: String,
    /// Where the tenant is told what became of its acknowledged messages.
    pub webhook_url: Option<String>,
    /// What these calls are signed with.
    pub webhook_secret: Option<Secret>,
    /// What it is told besides expiry and death.
    pub webhook_events: Vec<WebhookEvent>,
}

impl Config {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let mut found = Vec::new();
        let lists = [("virtual", self.virtual_keys.len()), ("service", self.service_keys.len())];
        for (kind, count) in lists {
            let field = format!("auth.{kind}_keys");
            if count > KEYS_MAX {
                found
                    .push(BadSetting::new(field, format!("may have {KEYS_MAX} keys, not {count}")));
            }
        }
        let mut seen = HashSet::new();
        for (index, key) in self.virtual_keys.iter().enumerate() {
            let at = format!("auth.virtual_keys[{index}]");
            let ids = 1..=i32::MAX.unsigned_abs(); // Conduit numbers its keys with a signed int
            found.extend(BadSetting::outside(format!("{at}.id"), key.id, ids));
            check_key(&at, &key.name, &key.sha256, &mut seen, &mut found);
        }
        let mut seen = HashSet::new();
        for (index, key) in self.service_keys.iter().enumerate() {
            let at = format!("auth.service_keys[{index}]");
            check_key(&at, &key.name, &key.sha256, &mut seen, &mut found);
        }
        webhook::check_all(&self.service_keys, &mut found);
        if self.development_key.as_ref().is_some_and(|key| !is_development_key(key.expose())) {
            let shape = format!("must be {KEY_PREFIX} and {KEY_LENGTH} characters of A-Z a-z 0-9");
            found.push(BadSetting::new("auth.development_key", shape));
        }
        found
    }

    /// Whether any key is configured, of either kind.
    pub fn has_keys(&self) -> bool {
        !self.virtual_keys.is_empty() || !self.service_keys.is_empty()
    }
}

fn is_development_key(key: &str) -> bool {
    key.strip_prefix(KEY_PREFIX).is_some_and(|rest| {
        rest.len() == KEY_LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn check_key(
    at: &str,
    name: &str,
    sha256: &str,
    seen: &mut HashSet<[u8; 32]>,
    found: &mut Vec<BadSetting>,
) {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_CHARS_MAX {
        let problem = format!("must have 1 to {NAME_CHARS_MAX} characters, not {length}");
        found.push(BadSetting::new(format!("{at}.name"), problem));
    }
    let field = format!("{at}.sha256");
    match parse_hash(sha256) {
        // The value is not repeated: somebody may have put the key itself here.
        None => found.push(BadSetting::new(field, "must be 64 hexadecimal digits (see hash-key)")),
        Some(hash) if !seen.insert(hash) => {
            found.push(BadSetting::new(field, "is the hash of an earlier key"));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_key;

    fn complaints(config: &Config) -> Vec<String> {
        config.check().iter().map(ToString::to_string).collect()
    }

    fn virtual_key(id: u32, name: &str, key: &str) -> VirtualKeyConfig {
        let sha256 = hash_key(key.as_bytes());
        VirtualKeyConfig { id, name: name.into(), sha256, admin: false }
    }

    #[test]
    fn no_keys_at_all_is_a_good_configuration() {
        assert_eq!(Config::default().check(), []);
    }

    #[test]
    fn each_wrong_field_of_a_key_is_named_with_its_limit() {
        let mut wrong = virtual_key(0, "", "a");
        wrong.sha256 = "condt_in_the_clear".into();
        let config = Config { virtual_keys: vec![wrong], ..Config::default() };
        assert_eq!(
            complaints(&config),
            [
                "auth.virtual_keys[0].id must be 1 to 2147483647, not 0",
                "auth.virtual_keys[0].name must have 1 to 100 characters, not 0",
                "auth.virtual_keys[0].sha256 must be 64 hexadecimal digits (see hash-key)",
            ]
        );
    }

    #[test]
    fn one_hash_twice_would_leave_the_owner_to_chance() {
        let keys = vec![virtual_key(1, "a", "k"), virtual_key(2, "b", "k")];
        let config = Config { virtual_keys: keys, ..Config::default() };
        assert_eq!(
            complaints(&config),
            ["auth.virtual_keys[1].sha256 is the hash of an earlier key"]
        );
    }

    #[test]
    fn a_development_key_has_its_shape_and_is_not_repeated_in_the_error() {
        let development_key = Some(Secret::new("secret"));
        let config = Config { development_key, ..Config::default() };
        let texts = complaints(&config);
        assert_eq!(texts, ["auth.development_key must be condt_ and 32 characters of A-Z a-z 0-9"]);
    }
}
