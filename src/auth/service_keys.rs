//! Service keys: the back ends that publish.

use http::HeaderMap;

use super::config::ServiceKeyConfig;
use super::credential;
use super::table::{KeyTable, parse_hash};
use crate::model::Tenant;

/// All service keys of this node.
pub struct ServiceKeys {
    tenants: KeyTable<Tenant>,
}

impl ServiceKeys {
    /// Takes keys whose configuration was checked; one with an impossible hash opens nothing.
    pub fn new(keys: &[ServiceKeyConfig]) -> Self {
        let entry = |key: &ServiceKeyConfig| {
            Some((parse_hash(&key.sha256)?, Tenant::from(key.name.as_str())))
        };
        Self { tenants: KeyTable::new(keys.iter().filter_map(entry)) }
    }

    /// Which tenant asks: the key stands in `X-API-Key`, else in `Authorization: Bearer`.
    pub fn tenant_of(&self, headers: &HeaderMap) -> Option<&Tenant> {
        self.tenants.find(credential::of_service(headers)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_key;

    #[test]
    fn a_service_key_names_its_tenant() {
        let sha256 = hash_key(b"k");
        let keys = ServiceKeys::new(&[ServiceKeyConfig {
            name: "billing".into(),
            sha256,
            ..ServiceKeyConfig::default()
        }]);
        let tenant = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            keys.tenant_of(&headers).map(ToString::to_string)
        };
        assert_eq!(tenant("x-api-key", "k").as_deref(), Some("billing"));
        assert_eq!(tenant("authorization", "Bearer k").as_deref(), Some("billing"));
        assert_eq!(tenant("x-api-key", "l"), None);
        assert_eq!(keys.tenant_of(&HeaderMap::new()), None);
    }
}
