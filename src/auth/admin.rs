//! The key of operators (`admin` in the configuration).

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::credential;
use super::table::{KeyTable, parse_hash};
use crate::model::BadSetting;

/// Who may see and change what was published by others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// SHA-256 of the key in hex (`conduit-realtime hash-key`). Without one the admin API is shut.
    pub key_sha256: Option<String>,
}

impl AdminConfig {
    /// What cannot be used. Called once, at start.
    pub fn check(&self) -> Vec<BadSetting> {
        let wrong = self.key_sha256.as_deref().filter(|text| parse_hash(text).is_none());
        // The value is not repeated: somebody may have put the key itself here.
        let bad = |_| {
            let problem = "must be 64 hexadecimal digits (see hash-key)";
            BadSetting::new("admin.key_sha256", problem)
        };
        wrong.map(bad).into_iter().collect()
    }
}

/// The key of operators, as a hash.
pub struct AdminKey {
    keys: KeyTable<()>,
}

impl AdminKey {
    /// Takes a checked hash; none, or an impossible one, opens nothing.
    pub fn new(sha256: Option<&str>) -> Self {
        Self { keys: KeyTable::new(sha256.and_then(parse_hash).map(|hash| (hash, ()))) }
    }

    /// Whether there is a key at all.
    pub fn is_set(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether a request has the key, in `X-API-Key`, else in `Authorization: Bearer`.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        credential::of_service(headers).is_some_and(|key| self.keys.find(key).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_key;

    #[test]
    fn only_the_key_opens_and_without_one_nothing_does() {
        let hash = hash_key(b"k");
        let opens = |key: &AdminKey, presented: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-api-key", presented.parse().unwrap());
            key.opens(&headers)
        };
        let key = AdminKey::new(Some(&hash));
        assert!(key.is_set() && opens(&key, "k"));
        assert!(!opens(&key, "l") && !key.opens(&HeaderMap::new()));
        assert!(!AdminKey::new(None).is_set() && !opens(&AdminKey::new(None), "k"));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        assert_eq!(AdminConfig::default().check(), []);
        let config = AdminConfig { key_sha256: Some("condt_secret".into()) };
        let texts: Vec<_> = config.check().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["admin.key_sha256 must be 64 hexadecimal digits (see hash-key)"]);
    }
}
