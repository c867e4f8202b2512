//! One invocation as filters see it, and its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::error::{CallError, HubError};
use super::filter::Next;
use super::running::guarded;
use super::seat::Core;
use crate::connections::{Connection, End, Frame};
use crate::model::HubName;
use crate::protocol::{Encoded, Invocation, InvocationKind, RawArguments, ToWire, encode};

/// One invocation on its way to its method.
pub struct Call<'a> {
    core: &'a Core,
    invocation: &'a Invocation,
    method: Option<&'a str>,
}

impl Call<'_> {
    /// The hub.
    pub fn hub(&self) -> &HubName {
        self.core.house.context.name()
    }

    /// Who calls.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.core.connection
    }

    /// The method as it was declared; none when there is no such method. Fit for metric labels.
    pub fn method(&self) -> Option<&str> {
        self.method
    }

    /// The method as the client spelt it.
    pub fn target(&self) -> &str {
        &self.invocation.target
    }

    /// Whether a stream is asked for.
    pub fn is_streaming(&self) -> bool {
        self.invocation.kind == InvocationKind::Stream
    }

    /// The client's id of the call; none when nobody waits for an answer.
    pub fn id(&self) -> Option<&str> {
        self.invocation.id.as_deref()
    }

    /// The arguments, unparsed.
    pub fn arguments(&self) -> &RawArguments {
        &self.invocation.arguments
    }

    /// An answer that a filter gives instead of the method.
    pub fn reply(&self, value: &dyn ToWire) -> Result<Reply, CallError> {
        let Some(id) = &self.invocation.id else { return Ok(Reply::Nothing) };
        let encoded = encode::completion_value(self.core.protocol(), id, value);
        encoded.map(Reply::Completion).map_err(|error| CallError::Failed(error.into()))
    }
}

/// What came of a call that did not fail.
#[derive(Debug)]
pub enum Reply {
    /// Nobody waits for an answer.
    Nothing,
    /// The Completion, ready to be sent. The items of a stream have been sent before.
    Completion(Encoded),
}

impl Core {
    /// Runs a call through the filters and answers it.
    pub(super) async fn carry_out(
        &self,
        invocation: &Invocation,
        method: Option<&str>,
        call: Pin<&mut (dyn Future<Output = Result<Reply, CallError>> + Send)>,
    ) {
        let filters = &self.house.options.filters;
        let outcome = if filters.is_empty() {
            guarded(call).await
        } else {
            let seen = Call { core: self, invocation, method };
            guarded(Next::new(filters, &seen, Box::pin(call)).run()).await
        };
        let outcome = outcome.unwrap_or_else(|panic| Err(CallError::Failed(panic)));
        self.house.counters.count(&outcome);
        self.log(method, &outcome);
        if let Some(completion) = self.completion(invocation, outcome) {
            // Whether it arrives is the connection's concern from here on.
            let _ = self.send(Frame::ordered(completion)).await;
        }
    }

    fn completion(
        &self,
        invocation: &Invocation,
        outcome: Result<Reply, CallError>,
    ) -> Option<Encoded> {
        let id = invocation.id.as_ref()?;
        // After an abort nothing but Close is said; a stopping server still answers.
        if self.connection.ended().is_some_and(|end| *end != End::Stopping) {
            return None;
        }
        match outcome {
            Ok(Reply::Nothing) => None,
            Ok(Reply::Completion(encoded)) => Some(encoded),
            Err(error) => {
                let text = error.text(&invocation.target, id, self.house.options.detailed_errors);
                Some(encode::completion_error(self.protocol(), id, &text))
            }
        }
    }

    fn log(&self, method: Option<&str>, outcome: &Result<Reply, CallError>) {
        let Err(error) = outcome else { return };
        let (hub, connection) = (self.house.context.name(), self.connection.id());
        match error {
            CallError::Failed(error @ HubError::Internal { .. })
            | CallError::StreamFailed(error @ HubError::Internal { .. }) => {
                tracing::warn!(%hub, %connection, method, %error, "a hub method failed");
            }
            _ => tracing::debug!(%hub, %connection, method, ?error, "an invocation was refused"),
        }
    }
}
