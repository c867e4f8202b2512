//! Who may see names in `/health/signalr…`: the keys decide.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;

use crate::auth::{ADMIN, AdminKey, Authenticator, Keys, VirtualKeys};
use crate::observability::{Access, Gate};

/// An admin has the operators' key, or a virtual key with that role.
pub(super) struct KeyGate {
    operators: Arc<AdminKey>,
    keys: Arc<VirtualKeys>,
}

impl KeyGate {
    pub(super) fn new(keys: &Keys) -> Self {
        Self { operators: keys.admin.clone(), keys: keys.virtual_keys.clone() }
    }
}

impl Gate for KeyGate {
    fn access<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Access> {
        if self.operators.opens(&request.headers) {
            return Box::pin(std::future::ready(Access::Admin));
        }
        let asked = self.keys.authenticate(request);
        let judged = asked.map(|answer| match answer {
            Err(_refusal) => Access::Nobody,
            Ok(caller) if caller.has_role(ADMIN) => Access::Admin,
            Ok(caller) => match caller.claim("virtual_key_id") {
                Some(id) => Access::Key(id.into()),
                None => Access::Nobody,
            },
        });
        Box::pin(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AdminConfig, Config, KeyNotice, VirtualKeyConfig, hash_key};

    async fn access(keys: &Keys, key: Option<&str>) -> Access {
        let mut request = http::Request::get("/health/signalr/connections/details");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        KeyGate::new(keys).access(&request.body(()).unwrap().into_parts().0).await
    }

    #[tokio::test]
    async fn a_key_opens_what_is_its_own_and_an_admin_key_everything() {
        let key = |id, name: &str, admin| VirtualKeyConfig {
            id,
            name: name.into(),
            sha256: hash_key(name.as_bytes()),
            admin,
        };
        let virtual_keys = vec![key(7, "seven", false), key(8, "eight", true)];
        let config = Config { virtual_keys, ..Config::default() };
        let operators = AdminConfig { key_sha256: Some(hash_key(b"boss")) };
        let keys = Keys::from_config(&config, &operators, true).unwrap();
        assert_eq!(access(&keys, None).await, Access::Nobody);
        assert_eq!(access(&keys, Some("nine")).await, Access::Nobody);
        assert_eq!(access(&keys, Some("seven")).await, Access::Key("7".into()));
        assert_eq!(access(&keys, Some("eight")).await, Access::Admin);
        assert_eq!(access(&keys, Some("boss")).await, Access::Admin);
    }

    #[tokio::test]
    async fn the_development_key_opens_everything_unless_operators_have_a_key() {
        let with = |admin: AdminConfig, only_loopback| {
            Keys::from_config(&Config::default(), &admin, only_loopback).unwrap()
        };
        let keys = with(AdminConfig::default(), true);
        let KeyNotice::Development(key) = &keys.notice else { panic!("no development key") };
        assert_eq!(access(&keys, Some(key.expose())).await, Access::Admin);
        assert_eq!(access(&keys, Some("wrong")).await, Access::Nobody);
        let keys = with(AdminConfig { key_sha256: Some(hash_key(b"boss")) }, true);
        let KeyNotice::Development(key) = &keys.notice else { panic!("no development key") };
        assert_eq!(access(&keys, Some(key.expose())).await, Access::Key("1".into()));
        assert_eq!(access(&keys, Some("boss")).await, Access::Admin);
        let closed = with(AdminConfig::default(), false);
        assert_eq!(access(&closed, Some("wrong")).await, Access::Nobody);
    }
}
