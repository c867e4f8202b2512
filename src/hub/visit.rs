//! One connection's time at a hub, as it is counted: coming, refused, going, and how long it was.

use std::sync::Arc;

use super::definition::Hub;
use super::seat::Seat;
use crate::connections::End;

/// Counts a connection of any hub from its handshake on, however it ends.
pub(super) struct Visit<H: Hub>(Arc<Seat<H>>);

impl<H: Hub> Visit<H> {
    /// The handshake is done.
    pub(super) fn begin(seat: Arc<Seat<H>>) -> Self {
        seat.core.house.counters.connected(seat.core.connection.transport());
        Self(seat)
    }
}

impl<H: Hub> Drop for Visit<H> {
    fn drop(&mut self) {
        let core = &self.0.core;
        let (counters, connection) = (&core.house.counters, &core.connection);
        // The session has said why; one that was dropped has lost its client.
        let reason = connection.ended().unwrap_or(&End::Lost).name();
        counters.disconnected(connection.transport(), reason, connection.age());
        let (hub, id) = (connection.hub(), connection.id());
        tracing::debug!(%hub, connection = %id, reason, "a client has left");
    }
}
