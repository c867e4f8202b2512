//! A courier's connection comes, is lost, waits for a new socket.

use std::sync::Arc;

use tokio::time::Instant;

use super::courier::{Courier, Desk, Errands, Link};
use super::hub::AckMode;
use crate::connections::{Connection, End};
use crate::model::ConnectionId;
use crate::protocol::Protocol;

impl Courier {
    /// The connection of the subscriber is here; nothing is sent before [`Courier::begin`].
    pub(super) fn attach(
        &self,
        connection: Arc<Connection>,
        protocol: Protocol,
        mode: AckMode,
    ) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        let new = Link { connection, protocol, mode, begun: false, parked: false };
        // A client that comes anew and not back to its lost link has lost that.
        if desk.link.replace(new).is_some_and(|old| old.parked || old.has_failed()) {
            self.transport_failed(&mut desk);
        }
        if desk.has_work() {
            let why = "The connection was replaced.";
            self.hold_flights(&mut desk, why, true, &mut errands);
            desk.written = 0;
            desk.live = None;
            desk.forget_unread();
            // A probe that the connection before took with it.
            desk.probe = None;
            desk.breaker.unused();
            for flight in desk.flights.values_mut() {
                (flight.first, flight.last) = (0, 0);
            }
            desk.start_over();
        }
        errands
    }

    /// Groups are restored: what is owed may go out.
    pub(super) fn begin(&self, connection: &Connection) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if desk.is_linked_to(connection.id())
            && let Some(link) = &mut desk.link
        {
            link.begun = true;
            errands.load = desk.wants_load(&self.policy);
        }
        errands
    }

    /// The connection is over. Does nothing when another one has taken over.
    pub(super) fn detach(&self, connection: &Connection) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(connection.id()) {
            return errands;
        }
        if desk.link.take().is_some_and(|link| link.has_failed()) {
            self.transport_failed(&mut desk);
        }
        if desk.has_work() {
            let why = "The connection was lost before an answer.";
            self.hold_flights(&mut desk, why, true, &mut errands);
            desk.look_at = None;
            desk.forget_unread();
            desk.start_over();
            desk.breaker.unused();
            desk.probe = None;
        }
        errands
    }

    /// The socket is gone, and a new one may come: no timer runs.
    pub(super) fn park(&self, by: &ConnectionId) {
        let mut desk = self.desk.lock();
        if desk.is_linked_to(by)
            && let Some(link) = &mut desk.link
        {
            link.parked = true;
        }
    }

    /// A link broke, by itself. One failure, however much was on its way; none when nothing was, for
    /// then nothing was tried. Behind a breaker that holds only the probe is a try.
    fn transport_failed(&self, desk: &mut Desk) {
        let tried = if desk.breaker.holds() { desk.probe.is_some() } else { desk.out > 0 };
        if !tried {
            return;
        }
        self.policy.metrics.transport_failures.inc();
        if desk.breaker.failed(Instant::now(), &self.policy.breaker) {
            self.policy.metrics.breakers_opened.inc();
        }
    }

    /// Whether the courier can go: nobody to serve and nothing to remember, be it of its breaker or
    /// what an operator wants of that.
    pub(super) fn is_idle(&self) -> bool {
        let desk = self.desk.lock();
        desk.serves_nobody() && desk.breaker.is_spotless()
    }

    /// Whether nothing is under way, and nobody is here.
    pub(super) fn serves_nobody(&self) -> bool {
        self.desk.lock().serves_nobody()
    }

    /// Whether the subscriber has a connection here.
    pub(super) fn is_linked(&self) -> bool {
        self.desk.lock().link.is_some()
    }

    /// Whether an operator has its breaker in hand.
    pub(super) fn is_forced(&self) -> bool {
        self.desk.lock().breaker.is_forced()
    }
}

impl Link {
    /// Whether the connection is over because its transport broke.
    fn has_failed(&self) -> bool {
        self.connection.ended().is_some_and(End::is_transport_failure)
    }
}

impl Desk {
    fn serves_nobody(&self) -> bool {
        self.link.is_none() && self.flights.is_empty() && self.ending.is_empty()
    }
}
