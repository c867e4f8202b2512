//! What each kind of message does.

use std::task::Context as TaskContext;

use super::context::Context;
use super::definition::Hub;
use super::error::CallError;
use super::farewell::Farewell;
use super::running::{self, Running};
use super::seat::Flight;
use super::session::{Handled, Session};
use crate::delivery::Answered;
use crate::protocol::{Completion, HubMessage, Invocation, InvocationKind};

/// Refusals that may wait for room in the outbox beside the calls that may be under way. A client
/// that takes no answers is read no further then.
const REFUSALS_WAITING_MAX: usize = 16;

impl<H: Hub> Session<H> {
    pub(super) fn handle(&mut self, message: HubMessage, cx: &mut TaskContext<'_>) -> Handled {
        match message {
            HubMessage::Invocation(invocation) => self.invoke(invocation, cx),
            HubMessage::StreamItem { id, item } => {
                match self.seat.core.desk.upload(&id, item, cx) {
                    Ok(()) => Handled::Done,
                    Err(item) => Handled::Held(HubMessage::StreamItem { id, item }),
                }
            }
            HubMessage::Completion(completion) => self.complete(completion),
            HubMessage::CancelInvocation { id } => {
                self.seat.core.desk.cancel_stream(&id);
                Handled::Done
            }
            HubMessage::Close(close) => Handled::Over(Farewell::left(close.error)),
            HubMessage::Ack(number) => {
                self.pipe.connection().acked(number);
                Handled::Done
            }
            HubMessage::Sequence(number) => self.sequence(number),
            HubMessage::Ping | HubMessage::Unknown(_) => Handled::Done,
        }
    }

    /// Whether a held message has what it waited for. Uploads find out by trying.
    pub(super) fn may_go_on(&self, held: &HubMessage, cx: &mut TaskContext<'_>) -> bool {
        match held {
            HubMessage::Invocation(invocation) => {
                !self.is_crowded() && (!self.needs_permit(invocation) || self.has_permit(cx))
            }
            HubMessage::StreamItem { id, .. } => self.seat.core.desk.has_room(id, cx),
            _ => true,
        }
    }

    fn has_permit(&self, cx: &mut TaskContext<'_>) -> bool {
        let core = &self.seat.core;
        core.desk.has_permit(core.house.options.parallel_invocations_max.max(1), cx)
    }

    /// Whether even refusals pile up. The session polls its calls, so it learns when one is over.
    fn is_crowded(&self) -> bool {
        let calls_max = self.seat.core.house.options.calls_max;
        self.calls.len() >= calls_max.saturating_add(REFUSALS_WAITING_MAX)
    }

    /// Streams and uploads need none (section 5.1); unknown methods are answered at once.
    fn needs_permit(&self, invocation: &Invocation) -> bool {
        invocation.kind == InvocationKind::Invoke
            && self
                .seat
                .served
                .methods
                .find(&invocation.target)
                .is_some_and(|method| method.uploads == 0)
    }

    fn invoke(&mut self, invocation: Invocation, cx: &mut TaskContext<'_>) -> Handled {
        let seat = self.seat.clone();
        let (core, options) = (&seat.core, &seat.core.house.options);
        let method = seat.served.methods.find(&invocation.target);
        let needs_permit = invocation.kind == InvocationKind::Invoke
            && method.is_some_and(|method| method.uploads == 0);
        if self.is_crowded() || (needs_permit && !self.has_permit(cx)) {
            return Handled::Held(HubMessage::Invocation(invocation));
        }
        self.last_call += 1;
        let call = self.last_call;
        let has_room = core.desk.begin(options.calls_max);
        let mut flight = Flight::new(seat.clone(), call);
        let admitted = match method {
            _ if !has_room => Err(CallError::TooManyCalls { max: options.calls_max }),
            None => Err(CallError::NoSuchMethod),
            Some(method) => {
                method.admit(core.connection.caller(), &invocation).map(|()| method.run())
            }
        };
        let opened = admitted.and_then(|run| {
            let canceled = match (&invocation.id, invocation.kind) {
                (Some(id), InvocationKind::Stream) => {
                    let token = core.desk.open_stream(id)?;
                    flight.owns_stream(id);
                    Some(token)
                }
                _ => None,
            };
            flight.owns_uploads(&invocation.stream_ids);
            let items_max = options.upload_buffer_items_max;
            let uploads = core.desk.open_uploads(call, &invocation.stream_ids, items_max)?;
            Ok((run, canceled, uploads))
        });
        let mut future = match opened {
            Err(error) => {
                let name = method.map(|method| method.name.clone());
                running::refused(flight, invocation, name, error)
            }
            Ok((run, canceled, uploads)) => {
                if needs_permit {
                    core.desk.take_permit(call);
                }
                let context = Context::new(seat.clone(), call, canceled);
                run.run(Running { context, invocation, uploads, flight })
            }
        };
        // Most calls need not wait, and then this is all there is to them.
        if future.as_mut().poll(cx).is_pending() {
            self.calls.push(future);
        }
        Handled::Done
    }

    /// Uploads first, then questions, else it is ignored (section 5.7).
    fn complete(&mut self, completion: Completion) -> Handled {
        let core = &self.seat.core;
        let Some(completion) = core.desk.end_upload(completion) else { return Handled::Done };
        let id = completion.id.clone();
        match core.house.context.delivery().answer(&core.connection, completion) {
            Answered::Taken | Answered::Unknown => Handled::Done,
            Answered::NotAsked => {
                let own = core.connection.id();
                let text = format!("Connection ID '{own}' is not valid for invocation ID '{id}'.");
                Handled::Over(self.fault("InvalidOperationException", &text))
            }
        }
    }
}
