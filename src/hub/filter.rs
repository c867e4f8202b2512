//! What surrounds every invocation: metrics, diagnostics, rate limits.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::call::{Call, Reply};
use super::error::CallError;

/// Sees every invocation, also those of unknown methods, with bad arguments or without the right.
pub trait Filter: Send + Sync + 'static {
    /// Calls `next`, or answers by itself. What `next` yields for a stream comes after its last item.
    fn invoke<'a>(
        &'a self,
        call: &'a Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Reply, CallError>>;
}

/// The rest of the way to the method.
pub struct Next<'a> {
    filters: &'a [Arc<dyn Filter>],
    call: &'a Call<'a>,
    method: BoxFuture<'a, Result<Reply, CallError>>,
}

impl<'a> Next<'a> {
    pub(super) fn new(
        filters: &'a [Arc<dyn Filter>],
        call: &'a Call<'a>,
        method: BoxFuture<'a, Result<Reply, CallError>>,
    ) -> Self {
        Self { filters, call, method }
    }

    /// Goes on: through the filters that are left, then the method.
    pub fn run(self) -> BoxFuture<'a, Result<Reply, CallError>> {
        match self.filters.split_first() {
            None => self.method,
            Some((first, rest)) => first.invoke(self.call, Next { filters: rest, ..self }),
        }
    }
}
