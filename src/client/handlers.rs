//! Who listens to what the server says, and who answers what it asks.

use std::future::Future;
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use smallvec::SmallVec;

use super::events::{EventQueue, EventReceiver};
use super::message::{Message, Refusal};
use crate::protocol::{
    BindError, Encoded, FromWire, Invocation, Protocol, RawArguments, RawValue, ToWire, encode,
};

/// What the JavaScript client answers when nobody else does (section 5.7).
const NO_RESULT: &str = "Client didn't provide a result.";

/// Something the server says or asks: a target with arguments.
#[derive(Clone, Debug)]
pub struct Event {
    target: ByteString,
    arguments: RawArguments,
}

impl Event {
    pub(super) fn new(target: ByteString, arguments: RawArguments) -> Self {
        Self { target, arguments }
    }

    /// The target as the server spelt it.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The arguments as they came.
    pub fn arguments(&self) -> &RawArguments {
        &self.arguments
    }

    /// All arguments as a tuple, `(String,)` for a single one. Another number is an error.
    pub fn bind<T: FromWire>(&self) -> Result<T, BindError> {
        // The array of the arguments is itself one well-formed value.
        let array = self.arguments.bytes().clone();
        RawValue::from_checked(self.arguments.protocol(), array).bind()
    }
}

type OnEvent = dyn Fn(&Event) + Send + Sync;
/// Answers with the whole completion, so that the type of the value ends here.
type OnAsk = dyn Fn(Protocol, ByteString, Event) -> BoxFuture<'static, Encoded> + Send + Sync;

/// Says whether it has handled a message.
pub(super) type OnMessage =
    dyn Fn(Message) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync;

/// What is still to be done for an event after its handlers have heard it.
pub(super) enum Heard {
    /// Nothing.
    Done,
    /// Beside the reading: the future has the completion, when one is wanted.
    Beside(BoxFuture<'static, Option<Encoded>>),
    /// In its turn: a handler acknowledges the event, which is a message. With its invocation's id.
    InTurn(Arc<OnMessage>, Event, Option<ByteString>),
}

#[derive(Clone)]
enum Handler {
    Event(Arc<OnEvent>),
    Queue(Arc<EventQueue>),
    Ask(Arc<OnAsk>),
    Message(Arc<OnMessage>),
}

/// Who answers an event, if anybody does.
enum Answering {
    Nobody,
    Asked(Arc<OnAsk>),
    Message(Arc<OnMessage>),
}

struct Entry {
    serial: u64,
    target: Box<str>,
    handler: Handler,
}

/// All handlers of one client. A client has few, so a list is searched.
#[derive(Default)]
pub(super) struct Handlers {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    next_serial: u64,
    closed: bool,
}

impl Handlers {
    pub(super) fn on(
        self: &Arc<Self>,
        target: &str,
        handler: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Registration {
        self.add(target, Handler::Event(Arc::new(handler)))
    }

    pub(super) fn on_ask<T, F>(
        self: &Arc<Self>,
        target: &str,
        handler: impl Fn(Event) -> F + Send + Sync + 'static,
    ) -> Registration
    where
        T: ToWire + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let answer = move |protocol, id: ByteString, event| {
            let asked = handler(event);
            async move { answer(protocol, &id, asked.await) }.boxed()
        };
        self.add(target, Handler::Ask(Arc::new(answer)))
    }

    pub(super) fn on_acknowledged<F>(
        self: &Arc<Self>,
        target: &str,
        handler: impl Fn(Message) -> F + Send + Sync + 'static,
    ) -> Registration
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.add(target, Handler::Message(Arc::new(move |message| handler(message).boxed())))
    }

    pub(super) fn events(self: &Arc<Self>, target: &str, max: usize) -> EventReceiver {
        let queue = Arc::new(EventQueue::new(max));
        let registration = self.add(target, Handler::Queue(queue.clone()));
        EventReceiver::new(queue, registration)
    }

    fn add(self: &Arc<Self>, target: &str, handler: Handler) -> Registration {
        let mut state = self.state.write();
        let serial = state.next_serial;
        state.next_serial += 1;
        match &handler {
            Handler::Queue(queue) if state.closed => queue.close(),
            _ if state.closed => {} // nothing will ever call it
            _ => state.entries.push(Entry { serial, target: target.into(), handler }),
        }
        Registration { handlers: Arc::downgrade(self), serial }
    }

    /// Runs the handlers of an event, in the order they were added. Who answers or acknowledges is
    /// not run here: of several of them the newest counts.
    pub(super) fn receive(&self, protocol: Protocol, invocation: Invocation) -> Heard {
        let event = Event::new(invocation.target, invocation.arguments);
        let mut answering = Answering::Nobody;
        // Taken out of the lock, so that a handler may add and remove handlers.
        for handler in self.of(&event.target) {
            match handler {
                Handler::Event(handler) => handler(&event),
                Handler::Queue(queue) => queue.push(event.clone()),
                Handler::Ask(handler) => answering = Answering::Asked(handler),
                Handler::Message(handler) => answering = Answering::Message(handler),
            }
        }
        match (invocation.id, answering) {
            (None, Answering::Nobody) => Heard::Done,
            (None, Answering::Asked(handler)) => {
                let ran = handler(protocol, ByteString::new(), event);
                Heard::Beside(ran.map(|_| None).boxed())
            }
            (Some(id), Answering::Asked(handler)) => {
                Heard::Beside(handler(protocol, id, event).map(Some).boxed())
            }
            (Some(id), Answering::Nobody) => {
                let none = encode::completion_error(protocol, &id, NO_RESULT);
                Heard::Beside(std::future::ready(Some(none)).boxed())
            }
            (id, Answering::Message(handler)) => Heard::InTurn(handler, event, id),
        }
    }

    fn of(&self, target: &str) -> SmallVec<[Handler; 2]> {
        let state = self.state.read();
        let named = state.entries.iter().filter(|entry| entry.target.eq_ignore_ascii_case(target));
        named.map(|entry| entry.handler.clone()).collect()
    }

    /// Ends every receiver; what waits in them stays readable.
    pub(super) fn close(&self) {
        let entries = {
            let mut state = self.state.write();
            state.closed = true;
            std::mem::take(&mut state.entries)
        };
        // The handlers go too: one that holds its client would keep it alive for ever.
        for entry in entries {
            if let Handler::Queue(queue) = entry.handler {
                queue.close();
            }
        }
    }
}

fn answer<T: ToWire>(protocol: Protocol, id: &str, result: Result<T, String>) -> Encoded {
    let encoded = match result {
        Ok(value) => encode::completion_value(protocol, id, &value).map_err(|e| e.to_string()),
        Err(error) => Err(error),
    };
    encoded.unwrap_or_else(|error| encode::completion_error(protocol, id, &error))
}

/// A handler's place; dropping it removes the handler.
#[must_use = "the handler is removed when this is dropped; `keep` it otherwise"]
pub struct Registration {
    handlers: Weak<Handlers>,
    serial: u64,
}

impl Registration {
    /// Leaves the handler in place until the connection ends.
    pub fn keep(mut self) {
        self.handlers = Weak::new();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(handlers) = self.handlers.upgrade() else { return };
        let removed = {
            let mut state = handlers.state.write();
            let place = state.entries.iter().position(|entry| entry.serial == self.serial);
            place.map(|place| state.entries.remove(place))
        };
        drop(removed); // outside the lock: what the handler holds may itself be a registration
    }
}
