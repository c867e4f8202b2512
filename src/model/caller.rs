//! Who is behind a request, once a credential has been checked.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::UserId;

/// The outcome of authentication: an identity with its rights. The default is nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user id that audiences address; none for anonymous callers.
    pub user: Option<UserId>,
    /// Roles that open methods.
    pub roles: Vec<Box<str>>,
    /// When the credential ends.
    pub expires_at: Option<SystemTime>,
    /// Further facts by name (`virtual_key_id`), for group templates and guards. Never a secret.
    pub claims: BTreeMap<Box<str>, Box<str>>,
}

impl Caller {
    /// A caller that is only known by a user id.
    pub fn of_user(user: impl Into<UserId>) -> Self {
        Self { user: Some(user.into()), ..Self::default() }
    }

    /// Whether the caller has the role, compared exactly.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| &**own == role)
    }

    /// A fact by its name.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name).map(|value| &**value)
    }
}
