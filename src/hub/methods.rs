//! The methods of a hub by their names, and who may call them.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::Stream;
use smallvec::SmallVec;

use super::definition::Hub;
use super::error::{CallError, HubError};
use super::handler::Handler;
use super::running::{Erased, OneResult, Run, Streaming};
use crate::model::Caller;
use crate::protocol::{Invocation, InvocationKind, ToWire};

/// Names longer than this are lower-cased on the heap.
const INLINE_NAME: usize = 64;

/// The methods of a hub. Names are found in any letter case, as in ASP.NET Core.
pub struct Methods<H: Hub> {
    by_name: HashMap<Box<[u8]>, Method<H>>,
}

/// One method.
pub struct Method<H: Hub> {
    pub(super) name: Arc<str>,
    kind: InvocationKind,
    roles: Vec<Box<str>>,
    pub(super) uploads: usize,
    /// Whether it waits for no permit.
    is_free: bool,
    run: Box<dyn Run<H>>,
}

impl<H: Hub> Methods<H> {
    pub(super) fn of(hub: &H) -> Self {
        let mut methods = Self { by_name: HashMap::new() };
        hub.methods(&mut methods);
        methods
    }

    /// A method with one result, an `async fn(Context<Self>, …) -> Result<T, E>`; `()` is a result,
    /// too.
    ///
    /// # Panics
    /// When there is a method of that name.
    pub fn add<F, S, T, E>(&mut self, name: &str, handler: F) -> &mut Method<H>
    where
        F: Handler<H, S, Output = Result<T, E>>,
        S: 'static,
        T: ToWire + 'static,
        E: Into<HubError> + Send + 'static,
    {
        let name: Arc<str> = name.into();
        let run = Erased::<OneResult, F, S>::new(name.clone(), handler);
        self.insert(name, InvocationKind::Invoke, F::UPLOADS, Box::new(run))
    }

    /// A method with a stream, an `async fn(Context<Self>, …) -> Result<impl Stream, E>` whose
    /// items are `Result<T, _>`. The stream is dropped when its client cancels it or leaves.
    ///
    /// # Panics
    /// When there is a method of that name.
    pub fn stream<F, S, Items, T, E, ItemError>(&mut self, name: &str, handler: F) -> &mut Method<H>
    where
        F: Handler<H, S, Output = Result<Items, E>>,
        S: 'static,
        Items: Stream<Item = Result<T, ItemError>> + Send + 'static,
        T: ToWire + 'static,
        E: Into<HubError> + Send + 'static,
        ItemError: Into<HubError> + Send + 'static,
    {
        let name: Arc<str> = name.into();
        let run = Erased::<Streaming, F, S>::new(name.clone(), handler);
        self.insert(name, InvocationKind::Stream, F::UPLOADS, Box::new(run))
    }

    fn insert(
        &mut self,
        name: Arc<str>,
        kind: InvocationKind,
        uploads: usize,
        run: Box<dyn Run<H>>,
    ) -> &mut Method<H> {
        let key = lower(&name).into_boxed_slice();
        assert!(!self.by_name.contains_key(&key), "the hub has two methods '{name}'");
        let method = Method { name, kind, roles: Vec::new(), uploads, is_free: false, run };
        self.by_name.entry(key).or_insert(method)
    }

    /// A method of the gateway's own, which waits for no permit. One that the hub itself has under
    /// that name stays. True when it was added.
    pub(super) fn add_free(&mut self, name: &str, run: Box<dyn Run<H>>) -> bool {
        if self.find(name).is_some() {
            return false;
        }
        self.insert(name.into(), InvocationKind::Invoke, 0, run).is_free = true;
        true
    }

    /// The method of a name, in whatever letter case.
    pub(super) fn find(&self, target: &str) -> Option<&Method<H>> {
        self.by_name.get(&lower(target)[..])
    }
}

impl<H: Hub> Method<H> {
    /// Only callers with at least one of these roles may call it.
    pub fn roles<R: Into<Box<str>>>(&mut self, roles: impl IntoIterator<Item = R>) -> &mut Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Whether a call of the method is in order, as far as that can be said without its arguments.
    pub(super) fn admit(&self, caller: &Caller, invocation: &Invocation) -> Result<(), CallError> {
        if !self.roles.is_empty() && !self.roles.iter().any(|role| caller.has_role(role)) {
            return Err(CallError::Unauthorized);
        }
        match (self.kind, invocation.kind) {
            (InvocationKind::Stream, InvocationKind::Invoke) => return Err(CallError::IsStreaming),
            (InvocationKind::Invoke, InvocationKind::Stream) => {
                return Err(CallError::NotStreaming);
            }
            (InvocationKind::Invoke, InvocationKind::Invoke)
            | (InvocationKind::Stream, InvocationKind::Stream) => {}
        }
        let sent = invocation.stream_ids.len();
        if sent != self.uploads {
            let text =
                format!("Client sent {sent} stream(s), Hub method expects {}.", self.uploads);
            return Err(CallError::Failed(HubError::Client(text)));
        }
        Ok(())
    }

    /// Whether a plain call of it counts among those that run at a time. Uploads do not (section
    /// 5.1).
    pub(super) fn needs_permit(&self) -> bool {
        self.uploads == 0 && !self.is_free
    }

    pub(super) fn run(&self) -> &dyn Run<H> {
        &*self.run
    }
}

fn lower(name: &str) -> SmallVec<[u8; INLINE_NAME]> {
    if name.is_ascii() {
        let mut key = SmallVec::from_slice(name.as_bytes());
        key.make_ascii_lowercase();
        return key;
    }
    SmallVec::from_vec(name.to_lowercase().into_bytes())
}
