//! Which token stands for which connection, and what became of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::time::Instant;

use super::inbox::{Budget, Inbox};
use super::polling::Polls;
use super::token::Token;
use crate::connections::{Connection, Inbound};
use crate::model::{ConnectionId, HubName, UserId};

/// One id from negotiate to the end of its connection.
pub(super) struct Slot {
    pub(super) token: Token,
    pub(super) id: ConnectionId,
    pub(super) hub: HubName,
    /// Who negotiated it. Nobody else may use it.
    pub(super) user: Option<UserId>,
    pub(super) origin: SlotOrigin,
    created: Instant,
    state: Mutex<State>,
}

/// How an id came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotOrigin {
    /// Negotiated.
    Negotiated,
    /// Negotiated, with stateful reconnect.
    NegotiatedStateful,
    /// Made by a WebSocket without an id.
    Unnegotiated,
}

enum State {
    /// No transport yet; perhaps bytes that were POSTed early.
    Waiting(Option<Arc<Inbox>>),
    /// A WebSocket; none while its 101 is on the way.
    WebSocket(Option<Arc<Connection>>),
    Events(Arc<Inbox>),
    Polls(Arc<Polls>),
    Gone,
}

/// What a WebSocket may do with a slot.
pub(super) enum Claim {
    /// Begin.
    New,
    /// Take over a stateful connection.
    Resume(Arc<Connection>),
    /// Nothing: a socket is there.
    Taken,
    /// Nothing: another transport is there.
    Other,
    /// Nothing: it is over.
    Gone,
}

/// What an event stream or a poll finds.
pub(super) enum Found<T> {
    /// No transport yet; the inbox is claimed for the asker.
    New(Arc<Inbox>),
    /// The transport it asked for.
    Same(T),
    /// Another transport.
    Other,
    /// No transport yet, and the node takes no new ones.
    Refused,
    /// It is over.
    Gone,
}

/// Where a POST goes.
pub(super) enum Mailbox {
    /// Here.
    Inbox(Arc<Inbox>),
    /// Nowhere: it is a WebSocket.
    WebSocket,
    /// Nowhere: it is over.
    Gone,
}

impl Slot {
    pub(super) fn new(
        token: Token,
        id: ConnectionId,
        hub: HubName,
        user: Option<UserId>,
        origin: SlotOrigin,
    ) -> Self {
        let state = Mutex::new(State::Waiting(None));
        Self { token, id, hub, user, origin, created: Instant::now(), state }
    }

    pub(super) fn is_stateful(&self) -> bool {
        self.origin == SlotOrigin::NegotiatedStateful
    }

    pub(super) fn is_unnegotiated(&self) -> bool {
        self.origin == SlotOrigin::Unnegotiated
    }

    /// A WebSocket comes. [`Claim::New`] keeps others out from now on.
    pub(super) fn claim_websocket(&self) -> Claim {
        let mut state = self.state.lock();
        match &*state {
            State::Waiting(inbox) => {
                if let Some(inbox) = inbox {
                    inbox.end(Inbound::Lost);
                }
                *state = State::WebSocket(None);
                Claim::New
            }
            State::WebSocket(None) => Claim::Taken,
            State::WebSocket(Some(connection)) if connection.ended().is_some() => Claim::Gone,
            State::WebSocket(Some(connection)) if connection.is_stateful() => {
                Claim::Resume(connection.clone())
            }
            State::WebSocket(Some(_)) => Claim::Taken,
            State::Events(_) | State::Polls(_) => Claim::Other,
            State::Gone => Claim::Gone,
        }
    }

    /// The WebSocket is there.
    pub(super) fn set_websocket(&self, connection: Arc<Connection>) {
        let mut state = self.state.lock();
        if matches!(*state, State::WebSocket(_)) {
            *state = State::WebSocket(Some(connection));
        }
    }

    /// The transport does not begin after all.
    pub(super) fn unclaim(&self) {
        *self.state.lock() = State::Waiting(None);
    }

    /// An event stream comes.
    pub(super) fn claim_events(&self) -> Found<()> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Waiting(inbox) => {
                let inbox = inbox.take().unwrap_or_default();
                *state = State::Events(inbox.clone());
                Found::New(inbox)
            }
            State::Events(_) => Found::Same(()),
            State::WebSocket(_) | State::Polls(_) => Found::Other,
            State::Gone => Found::Gone,
        }
    }

    /// A poll comes. `open` makes the connection of the first one, unless the node takes no new ones.
    pub(super) fn claim_polls(
        &self,
        open: impl FnOnce(&Arc<Inbox>) -> Option<Arc<Polls>>,
    ) -> Found<Arc<Polls>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Waiting(inbox) => {
                let inbox = inbox.take().unwrap_or_default();
                match open(&inbox) {
                    Some(polls) => *state = State::Polls(polls),
                    None => return Found::Refused,
                }
                Found::New(inbox)
            }
            State::Polls(polls) => Found::Same(polls.clone()),
            State::WebSocket(_) | State::Events(_) => Found::Other,
            State::Gone => Found::Gone,
        }
    }

    /// Bytes come.
    pub(super) fn mailbox(&self, budget: &Arc<Budget>) -> Mailbox {
        match &mut *self.state.lock() {
            State::Waiting(inbox) => {
                let make = || Arc::new(Inbox::unattached(budget.clone()));
                Mailbox::Inbox(inbox.get_or_insert_with(make).clone())
            }
            State::Events(inbox) => Mailbox::Inbox(inbox.clone()),
            State::Polls(polls) => Mailbox::Inbox(polls.inbox().clone()),
            State::WebSocket(_) => Mailbox::WebSocket,
            State::Gone => Mailbox::Gone,
        }
    }

    /// DELETE: true when the polls end with it. What was POSTed before is still read.
    pub(super) fn leave(&self) -> Found<()> {
        let mut state = self.state.lock();
        match &*state {
            State::Polls(polls) => {
                polls.inbox().end(Inbound::Closed);
                *state = State::Gone;
                Found::Same(())
            }
            State::Gone => Found::Gone,
            State::Waiting(_) | State::WebSocket(_) | State::Events(_) => Found::Other,
        }
    }

    /// Over, when no transport has come.
    fn expire(&self) -> bool {
        let mut state = self.state.lock();
        let State::Waiting(inbox) = &*state else { return false };
        if let Some(inbox) = inbox {
            inbox.end(Inbound::Lost);
        }
        *state = State::Gone;
        true
    }

    fn end(&self) {
        *self.state.lock() = State::Gone;
    }
}

/// All slots by their token. Lock order: the table, then a slot.
pub(super) struct Table {
    maps: Mutex<Maps>,
    waiting_max: usize,
    waiting: IntGauge,
}

#[derive(Default)]
struct Maps {
    /// Without a transport: bounded, and looked through every second.
    waiting: HashMap<Token, Arc<Slot>>,
    /// With one: bounded by the connections.
    attached: HashMap<Token, Arc<Slot>>,
}

impl Table {
    pub(super) fn new(waiting_max: usize, waiting: IntGauge) -> Self {
        Self { maps: Mutex::default(), waiting_max, waiting }
    }

    /// Adds a slot unless too many wait for their transport.
    pub(super) fn insert(&self, slot: Arc<Slot>) -> bool {
        let mut maps = self.maps.lock();
        if maps.waiting.len() >= self.waiting_max {
            return false;
        }
        maps.waiting.insert(slot.token, slot);
        self.waiting.set(maps.waiting.len() as i64);
        true
    }

    pub(super) fn get(&self, token: &Token) -> Option<Arc<Slot>> {
        let maps = self.maps.lock();
        maps.attached.get(token).or_else(|| maps.waiting.get(token)).cloned()
    }

    /// A transport has claimed the slot.
    pub(super) fn attach(&self, slot: &Arc<Slot>) {
        let mut maps = self.maps.lock();
        maps.waiting.remove(&slot.token);
        maps.attached.insert(slot.token, slot.clone());
        self.waiting.set(maps.waiting.len() as i64);
    }

    /// The slot is over.
    pub(super) fn remove(&self, slot: &Slot) {
        slot.end();
        let mut maps = self.maps.lock();
        maps.attached.remove(&slot.token);
        maps.waiting.remove(&slot.token);
        self.waiting.set(maps.waiting.len() as i64);
    }

    /// Forgets slots that have waited for longer than `limit`; says how many.
    pub(super) fn expire(&self, limit: Duration) -> usize {
        let now = Instant::now();
        let mut maps = self.maps.lock();
        let before = maps.waiting.len();
        maps.waiting.retain(|_, slot| now.duration_since(slot.created) <= limit || !slot.expire());
        self.waiting.set(maps.waiting.len() as i64);
        before - maps.waiting.len()
    }
}
