//! Who may see names, asked of somebody who knows keys.

use futures_util::future::BoxFuture;
use http::request::Parts;

/// What a request may see besides numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: no credential, or one that is not good.
    Nobody,
    /// What belongs to the virtual key with this id.
    Key(Box<str>),
    /// Everything.
    Admin,
}

/// Judges requests; the server knows the keys, this room does not.
pub trait Gate: Send + Sync + 'static {
    /// Must not wait long: a request is held meanwhile.
    fn access<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Access>;
}
