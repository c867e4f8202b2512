//! Virtual keys: the clients of Conduit's hubs.

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use http::HeaderMap;
use http::request::Parts;

use super::authenticator::{Authenticator, Refusal};
use super::config::VirtualKeyConfig;
use super::credential;
use super::table::{KeyTable, parse_hash};
use crate::model::Caller;

/// The role of callers whose key has `admin = true`.
pub const ADMIN: &str = "admin";

/// All virtual keys of this node. Its callers have the key's id as user id, the claims
/// `virtual_key_id` and `key_name`, and with an admin key the role `admin`.
pub struct VirtualKeys {
    callers: KeyTable<Caller>,
}

impl VirtualKeys {
    /// Takes keys whose configuration was checked; one with an impossible hash opens nothing.
    pub fn new(keys: &[VirtualKeyConfig]) -> Self {
        let entry = |key: &VirtualKeyConfig| Some((parse_hash(&key.sha256)?, caller(key)));
        Self { callers: KeyTable::new(keys.iter().filter_map(entry)) }
    }

    /// Whether nobody can come in.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// Who has this key.
    pub fn caller_of(&self, key: &str) -> Option<&Caller> {
        self.callers.find(key)
    }

    /// Whether a request has an admin's key, in `X-API-Key`, else in `Authorization: Bearer`.
    pub fn has_admin(&self, headers: &HeaderMap) -> bool {
        let key = credential::of_service(headers);
        key.and_then(|key| self.caller_of(key)).is_some_and(|caller| caller.has_role(ADMIN))
    }
}

impl Authenticator for VirtualKeys {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        let caller = credential::of_client(request).and_then(|key| self.caller_of(&key).cloned());
        Box::pin(ready(caller.ok_or(Refusal::Unauthenticated)))
    }
}

/// Lets an authenticator be shared by several hubs.
impl<A: Authenticator> Authenticator for Arc<A> {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        A::authenticate(self, request)
    }
}

fn caller(key: &VirtualKeyConfig) -> Caller {
    let id = key.id.to_string();
    let mut caller = Caller::of_user(&*id);
    if key.admin {
        caller.roles.push(ADMIN.into());
    }
    caller.claims.insert("virtual_key_id".into(), id.into());
    caller.claims.insert("key_name".into(), key.name.as_str().into());
    caller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hash_key;

    fn keys() -> VirtualKeys {
        let key = |id, name: &str, admin| VirtualKeyConfig {
            id,
            name: name.into(),
            sha256: hash_key(name.as_bytes()),
            admin,
        };
        VirtualKeys::new(&[key(7, "seven", false), key(8, "eight", true)])
    }

    async fn answer(uri: &str, bearer: Option<&str>) -> Result<Caller, Refusal> {
        let mut request = http::Request::get(uri);
        if let Some(key) = bearer {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        keys().authenticate(&request.body(()).unwrap().into_parts().0).await
    }

    #[tokio::test]
    async fn a_key_makes_a_caller_with_its_id_and_name() {
        let caller = answer("/hubs/tasks", Some("seven")).await.unwrap();
        assert_eq!(caller.user, Some("7".into()));
        assert_eq!(caller.claim("virtual_key_id"), Some("7"));
        assert_eq!(caller.claim("key_name"), Some("seven"));
        assert!(!caller.has_role("admin"));
    }

    #[tokio::test]
    async fn an_admin_key_brings_the_role() {
        assert!(answer("/hubs/tasks?access_token=eight", None).await.unwrap().has_role("admin"));
    }

    #[tokio::test]
    async fn no_key_and_a_wrong_one_are_refused_alike() {
        assert_eq!(answer("/hubs/tasks", None).await, Err(Refusal::Unauthenticated));
        assert_eq!(answer("/hubs/tasks", Some("nine")).await, Err(Refusal::Unauthenticated));
    }

    #[tokio::test]
    async fn a_good_key_in_the_query_does_not_save_a_wrong_one_in_the_header() {
        let uri = "/hubs/tasks?access_token=seven";
        assert_eq!(answer(uri, Some("nine")).await, Err(Refusal::Unauthenticated));
    }
}
