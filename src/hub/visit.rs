//! One connection's time at a hub, as it is counted: coming, refused, going, and how long it was.

use std::sync::Arc;

use super::seat::House;
use crate::connections::{Connection, End};

/// Counts a connection of any hub from its handshake on, however it ends.
pub(super) struct Visit {
    connection: Arc<Connection>,
    house: Arc<House>,
}

impl Visit {
    /// The handshake is done.
    pub(super) fn begin(connection: Arc<Connection>, house: Arc<House>) -> Self {
        house.counters.connected(connection.transport());
        Self { connection, house }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let (counters, connection) = (&self.house.counters, &self.connection);
        // The session has said why; one that was dropped has lost its client.
        let reason = connection.ended().unwrap_or(&End::Lost).name();
        counters.disconnected(connection.transport(), reason, connection.age());
        let (hub, id) = (connection.hub(), connection.id());
        tracing::debug!(%hub, connection = %id, reason, "a client has left");
    }
}
