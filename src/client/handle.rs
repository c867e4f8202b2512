//! The handle of a client, and the streams it gives out.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::builder::Builder;
use super::calls::{InFlight, Reply};
use super::error::{CallError, Closed};
use super::events::EventReceiver;
use super::handlers::{Event, Registration};
use super::message::{Message, Refusal};
use super::session::{Shared, SideWork};
use super::uploads::Upload;
use crate::model::ConnectionId;
use crate::protocol::{Arguments, FromWire, Outcome, Protocol, RawValue, ToWire, encode};

/// A connected client. Cloning is cheap; when the last clone and the last stream of it are gone,
/// the socket is dropped without a word. [`Client::stop`] is the ordinary end.
///
/// Handlers that hold a clone keep the client connected until the connection ends.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    connection_id: Option<ConnectionId>,
    task: AbortOnDropHandle<()>,
}

impl Client {
    /// Describes a client for the hub at this URL (`http://` or `ws://`).
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(super) fn new(
        shared: Arc<Shared>,
        connection_id: Option<ConnectionId>,
        task: AbortOnDropHandle<()>,
    ) -> Self {
        Self { inner: Arc::new(Inner { shared, connection_id, task }) }
    }

    /// The public id; none without negotiation.
    pub fn connection_id(&self) -> Option<&ConnectionId> {
        self.inner.connection_id.as_ref()
    }

    /// The hub protocol.
    pub fn protocol(&self) -> Protocol {
        self.inner.shared.protocol
    }

    /// Calls a method and waits for its result. A method without one gives `()`.
    pub async fn invoke<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments,
    ) -> Result<T, CallError> {
        self.invoke_with_uploads(target, arguments, Vec::new()).await
    }

    /// As [`Client::invoke`], with stream arguments in the order of the method's parameters.
    pub async fn invoke_with_uploads<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments,
        uploads: Vec<Upload>,
    ) -> Result<T, CallError> {
        let (reply, result) = oneshot::channel();
        let waiting = async {
            // Its drop forgets the call, also when this future is dropped.
            let _in_flight = self.call(target, &arguments, Reply::Result(reply), uploads).await?;
            result.await.unwrap_or_else(|_| Err(CallError::Closed(self.shared().how_it_closed())))
        };
        let outcome = timeout(self.shared().settings.invoke_timeout, waiting).await;
        match outcome.unwrap_or(Err(CallError::Timeout("invoke_timeout")))? {
            Outcome::Value(value) => Ok(value.bind()?),
            Outcome::Void => Ok(null(self.protocol()).bind()?),
            Outcome::Error(error) => Err(CallError::Server(error)),
        }
    }

    /// Calls a method without waiting for anything; an error of the method is not heard of.
    pub async fn send(&self, target: &str, arguments: impl Arguments) -> Result<(), CallError> {
        self.send_with_uploads(target, arguments, Vec::new()).await
    }

    /// As [`Client::send`], with stream arguments.
    pub async fn send_with_uploads(
        &self,
        target: &str,
        arguments: impl Arguments,
        uploads: Vec<Upload>,
    ) -> Result<(), CallError> {
        self.transmit(None, false, target, &arguments, uploads, None).await
    }

    /// Calls a streaming method. Dropping the stream cancels it.
    pub async fn stream<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments,
    ) -> Result<ResultStream<T>, CallError> {
        self.stream_with_uploads(target, arguments, Vec::new()).await
    }

    /// As [`Client::stream`], with stream arguments.
    pub async fn stream_with_uploads<T: FromWire>(
        &self,
        target: &str,
        arguments: impl Arguments,
        uploads: Vec<Upload>,
    ) -> Result<ResultStream<T>, CallError> {
        let (items_tx, items) = mpsc::channel(self.shared().settings.stream_items_max.max(1));
        let (end_tx, end) = oneshot::channel();
        let reply = Reply::Stream { items: items_tx, end: end_tx };
        let in_flight = self.call(target, &arguments, reply, uploads).await?;
        let client = self.clone();
        Ok(ResultStream { items, end: Some(end), _in_flight: in_flight, client, of: PhantomData })
    }

    /// Runs a handler for every event of this name, in any letter case, until the registration is
    /// dropped. It runs in the client's task: it must be quick and must not block.
    pub fn on(
        &self,
        target: &str,
        handler: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Registration {
        self.shared().handlers.on(target, handler)
    }

    /// Queues every event of this name for one reader; what happens when the queue is full stands
    /// at [`EventReceiver`].
    pub fn events(&self, target: &str) -> EventReceiver {
        self.shared().handlers.events(target, self.shared().settings.events_max)
    }

    /// Answers the server's questions of this name, with a value or an error text (section 5.7).
    /// Of several handlers the newest answers. Without one, the answer is the error
    /// `Client didn't provide a result.`
    pub fn on_ask<T, F>(
        &self,
        target: &str,
        handler: impl Fn(Event) -> F + Send + Sync + 'static,
    ) -> Registration
    where
        T: ToWire + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        self.shared().handlers.on_ask(target, handler)
    }

    /// Handles the messages of an event: `Ok` acknowledges one, a [`Refusal`] says what is to become of
    /// it. One after another, in the order they came; a repeat of a message that was handled is
    /// acknowledged without a run, of one that is being handled nothing is done. A handler that has
    /// begun is not stopped when the connection ends. An event that is no message, because the hub
    /// or this connection does not acknowledge, is handled too.
    pub fn on_acknowledged<F>(
        &self,
        target: &str,
        handler: impl Fn(Message) -> F + Send + Sync + 'static,
    ) -> Registration
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.shared().handlers.on_acknowledged(target, handler)
    }

    /// Whether the connection is over and no handler runs any more.
    pub fn is_finished(&self) -> bool {
        self.inner.task.is_finished()
    }

    /// Waits for the end of the connection, whoever causes it.
    pub async fn closed(&self) -> Closed {
        let mut closed = self.shared().closed.subscribe();
        match closed.wait_for(Option::is_some).await {
            Ok(closed) => closed.clone().unwrap_or_default(),
            Err(_) => Closed::default(), // never: the sender is in `shared`
        }
    }

    /// Sends what is queued and Close, closes the WebSocket and waits for its end, for
    /// [`super::Settings::close_timeout`] at most. Says how the connection ended, which may be
    /// earlier and otherwise.
    pub async fn stop(&self) -> Closed {
        self.shared().stop.cancel();
        self.closed().await
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Sends a call that waits for an answer.
    async fn call(
        &self,
        target: &str,
        arguments: &dyn Arguments,
        reply: Reply,
        uploads: Vec<Upload>,
    ) -> Result<InFlight, CallError> {
        let streaming = matches!(reply, Reply::Stream { .. });
        let over = (!uploads.is_empty()).then(CancellationToken::new);
        let in_flight = self.shared().calls.open(reply, over.clone())?;
        self.transmit(Some(in_flight.id()), streaming, target, arguments, uploads, over).await?;
        Ok(in_flight)
    }

    /// Queues an invocation and starts its uploads behind it.
    async fn transmit(
        &self,
        id: Option<u64>,
        streaming: bool,
        target: &str,
        arguments: &dyn Arguments,
        uploads: Vec<Upload>,
        over: Option<CancellationToken>,
    ) -> Result<(), CallError> {
        let shared = self.shared();
        let id = id.map(|id| id.to_string());
        let names: Vec<String> =
            uploads.iter().map(|_| shared.calls.next_id().to_string()).collect();
        let names_ref: Vec<&str> = names.iter().map(String::as_str).collect();
        let invocation = encode::client_invocation(
            shared.protocol,
            streaming,
            id.as_deref(),
            target,
            arguments,
            &names_ref,
        )?;
        if uploads.is_empty() {
            return shared.put(invocation).await;
        }
        // The place first: an invocation whose uploads never start would hang on the server.
        let place = timeout(shared.settings.send_timeout, shared.side_work.reserve()).await;
        let place = place
            .map_err(|_| CallError::Timeout("send_timeout"))?
            .map_err(|_| CallError::Closed(shared.how_it_closed()))?;
        let uploads = uploads.into_iter().zip(names);
        let sending: Vec<SideWork> =
            uploads.map(|(upload, name)| self.upload(upload, name, over.clone())).collect();
        shared.put(invocation).await?;
        place.send(join_all(sending).map(drop).boxed());
        Ok(())
    }

    /// Sends an upload until it ends, its call ends, or the connection does.
    fn upload(&self, upload: Upload, id: String, over: Option<CancellationToken>) -> SideWork {
        // Not the handle: an endless upload must not keep the client alive.
        let shared = Arc::downgrade(self.shared());
        let protocol = self.protocol();
        let mut frames = upload.start(protocol, id.clone());
        async move {
            let over = over.unwrap_or_default();
            loop {
                let (frame, is_over) = tokio::select! {
                    () = over.cancelled() => {
                        (Some(encode::completion_error(protocol, &id, "The call is over.")), true)
                    }
                    frame = frames.next() => (frame, false),
                };
                let (Some(frame), Some(shared)) = (frame, shared.upgrade()) else { return };
                if shared.put(frame).await.is_err() || is_over {
                    return;
                }
            }
        }
        .boxed()
    }
}

/// What a method without a result gives.
fn null(protocol: Protocol) -> RawValue {
    let bytes: &'static [u8] = match protocol {
        Protocol::Json => b"null",
        Protocol::MessagePack => &[0xc0],
    };
    RawValue::from_checked(protocol, Bytes::from_static(bytes))
}

/// The items of a streaming method; its error, if any, comes last. Dropping it cancels the method.
///
/// At most [`super::Settings::stream_items_max`] items wait for the reader; then the connection
/// receives nothing more until there is room, and after [`super::Settings::consumer_timeout`] the
/// stream is cancelled and ends with [`CallError::NotConsumed`].
pub struct ResultStream<T> {
    items: mpsc::Receiver<RawValue>,
    /// None when it has been read.
    end: Option<oneshot::Receiver<Result<(), CallError>>>,
    _in_flight: InFlight,
    client: Client,
    of: PhantomData<fn() -> T>,
}

impl<T: FromWire> Stream for ResultStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = ready!(self.items.poll_recv(cx)) {
            return Poll::Ready(Some(item.bind().map_err(CallError::from)));
        }
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let ended = ready!(end.poll_unpin(cx));
        self.end = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            Err(_) => Some(Err(CallError::Closed(self.client.shared().how_it_closed()))),
        })
    }
}
