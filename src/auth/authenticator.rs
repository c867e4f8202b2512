//! The question every request of a hub is asked: who are you?

use futures_util::future::{BoxFuture, ready};
use http::request::Parts;

use crate::model::Caller;

/// Why a request is turned away before anything else is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No credential, or one that is not good: 401.
    Unauthenticated,
    /// A good credential without the right: 403.
    Forbidden,
}

/// Turns a request into a caller. Asked at negotiate and at every transport request.
pub trait Authenticator: Send + Sync + 'static {
    /// Must not wait long: a request is held meanwhile.
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>>;
}

/// Lets everybody in as nobody in particular.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    fn authenticate<'a>(&'a self, _request: &'a Parts) -> BoxFuture<'a, Result<Caller, Refusal>> {
        Box::pin(ready(Ok(Caller::default())))
    }
}
