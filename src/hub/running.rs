//! From a method's function to one future that binds, calls, encodes and answers.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::task::coop::consume_budget;

use super::argument::{Inputs, Queues};
use super::call::Reply;
use super::context::Context;
use super::definition::Hub;
use super::error::{CallError, HubError};
use super::handler::Handler;
use super::seat::{Core, Flight};
use crate::connections::Frame;
use crate::protocol::{EncodeError, Invocation, ToWire, encode};

/// A call that was admitted.
pub(super) struct Running<H: Hub> {
    pub(super) context: Context<H>,
    pub(super) invocation: Invocation,
    pub(super) uploads: Queues,
    /// Dropped last: it gives back the permit, and the ids of the stream and the uploads.
    pub(super) flight: Flight<H>,
}

/// A method whose types are forgotten.
pub(super) trait Run<H: Hub>: Send + Sync {
    /// The whole call, its answer included, in one allocation.
    fn run(&self, running: Running<H>) -> BoxFuture<'static, ()>;
}

/// The [`Handler`] of a method, with `Kind` for what it yields.
pub(super) struct Erased<Kind, F, S> {
    name: Arc<str>,
    handler: F,
    types: PhantomData<fn(Kind, S)>,
}

/// The kind of methods with one result.
pub(super) struct OneResult;
/// The kind of methods with a stream.
pub(super) struct Streaming;

impl<Kind, F, S> Erased<Kind, F, S> {
    pub(super) fn new(name: Arc<str>, handler: F) -> Self {
        Self { name, handler, types: PhantomData }
    }
}

impl<H, F, S, T, E> Run<H> for Erased<OneResult, F, S>
where
    H: Hub,
    F: Handler<H, S, Output = Result<T, E>>,
    T: ToWire + 'static,
    E: Into<HubError> + Send + 'static,
{
    fn run(&self, running: Running<H>) -> BoxFuture<'static, ()> {
        let (name, handler) = (self.name.clone(), self.handler.clone());
        Box::pin(async move {
            // In place: what is moved or passed on by value is stored twice in a future.
            let (core, invocation) = (running.flight.core(), &running.invocation);
            let call = one_result(handler, running.context, core, invocation, running.uploads);
            core.carry_out(invocation, Some(&name), pin!(call)).await;
        })
    }
}

async fn one_result<H, F, S, T, E>(
    handler: F,
    context: Context<H>,
    core: &Core,
    invocation: &Invocation,
    uploads: Queues,
) -> Result<Reply, CallError>
where
    H: Hub,
    F: Handler<H, S, Output = Result<T, E>>,
    T: ToWire,
    E: Into<HubError>,
{
    let value = begin(&handler, context, invocation, uploads)?.await.map_err(Into::into)?;
    let Some(id) = &invocation.id else { return Ok(Reply::Nothing) };
    let encoded = encode::completion_value(core.protocol(), id, &value);
    Ok(Reply::Completion(encoded.map_err(not_encodable)?))
}

impl<H, F, S, Items, T, E, ItemError> Run<H> for Erased<Streaming, F, S>
where
    H: Hub,
    F: Handler<H, S, Output = Result<Items, E>>,
    Items: Stream<Item = Result<T, ItemError>> + Send + 'static,
    T: ToWire + 'static,
    E: Into<HubError> + Send + 'static,
    ItemError: Into<HubError> + Send + 'static,
{
    fn run(&self, running: Running<H>) -> BoxFuture<'static, ()> {
        let (name, handler) = (self.name.clone(), self.handler.clone());
        Box::pin(async move {
            let (core, invocation) = (running.flight.core(), &running.invocation);
            let canceled = running.context.canceled();
            // A stream invocation without an id is malformed, so there always is one.
            let id = invocation.id.clone().unwrap_or_default();
            let mut stream = pin!(async {
                let items = begin(&handler, running.context, invocation, running.uploads)?;
                let items = pin!(items.await.map_err(Into::into)?);
                send_all(core, &id, items).await
            });
            let call = pin!(async {
                match canceled.run_until_cancelled(stream.as_mut()).await {
                    Some(Err(error)) => Err(error),
                    // Cut off by the end of the connection it must not look complete.
                    None if core.connection.ended().is_some() => Ok(Reply::Nothing),
                    // Cancelled by its client, it ends without an error, too (section 5.5).
                    Some(Ok(())) | None => {
                        Ok(Reply::Completion(encode::completion_void(core.protocol(), &id)))
                    }
                }
            });
            core.carry_out(invocation, Some(&name), call).await;
        })
    }
}

/// Binds the arguments and calls the function.
fn begin<H: Hub, F: Handler<H, S>, S>(
    handler: &F,
    context: Context<H>,
    invocation: &Invocation,
    uploads: Queues,
) -> Result<F::Future, CallError> {
    let mut inputs =
        Inputs::new(&invocation.arguments, uploads, F::VALUES).map_err(CallError::BadArguments)?;
    handler.begin(context, &mut inputs).map_err(CallError::BadArguments)
}

/// Sends item after item, each when the client has room for it.
async fn send_all<T: ToWire, E: Into<HubError>>(
    core: &Core,
    id: &ByteString,
    mut items: Pin<&mut (impl Stream<Item = Result<T, E>> + Send)>,
) -> Result<(), CallError> {
    while let Some(item) = items.next().await {
        let item = item.map_err(|error| CallError::StreamFailed(error.into()))?;
        let encoded = encode::stream_item(core.protocol(), id, &item)
            .map_err(|error| CallError::StreamFailed(error.into()))?;
        if core.send(Frame::ordered(encoded)).await.is_err() {
            // Nobody is there any more.
            return Ok(());
        }
        // A stream that always has an item must not keep its session from reading the cancel.
        consume_budget().await;
    }
    Ok(())
}

fn not_encodable(error: EncodeError) -> CallError {
    CallError::Failed(error.into())
}

/// A call that was refused before it reached a method.
pub(super) fn refused<H: Hub>(
    flight: Flight<H>,
    invocation: Invocation,
    name: Option<Arc<str>>,
    error: CallError,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let refusal = pin!(std::future::ready(Err(error)));
        flight.core().carry_out(&invocation, name.as_deref(), refusal).await;
    })
}

/// Keeps a panic of `inner` from taking the whole session down. No `async fn`: that would store
/// `inner` twice.
pub(super) fn guarded<T>(
    inner: impl Future<Output = T>,
) -> impl Future<Output = Result<T, HubError>> {
    AssertUnwindSafe(inner).catch_unwind().map(|caught| caught.map_err(|panic| panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> HubError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    HubError::of_kind("Panic", text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guarded_is_stored_once() {
        let inner = async {
            let kept = [7_u8; 1_000];
            std::future::pending::<()>().await;
            kept[0]
        };
        let size = size_of_val(&inner);
        assert!(size_of_val(&guarded(inner)) <= size + 2 * size_of::<usize>());
    }
}
