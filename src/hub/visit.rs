//! One connection's time at a hub, as it is counted: coming, refused, going, and how long it was.

use std::sync::Arc;

use super::seat::House;
use crate::connections::Connection;

/// What became of a visit when nobody said so: its task was dropped or panicked.
const ABORTED: &str = "aborted";

/// Counts a connection of any hub from its handshake on, however it ends.
pub(super) struct Visit {
    connection: Arc<Connection>,
    house: Arc<House>,
    reason: &'static str,
}

impl Visit {
    /// The handshake is done.
    pub(super) fn begin(connection: Arc<Connection>, house: Arc<House>) -> Self {
        house.counters.connected(connection.transport());
        Self { connection, house, reason: ABORTED }
    }

    /// Why it ends; a name from a closed list.
    pub(super) fn ends(&mut self, reason: &'static str) {
        self.reason = reason;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let (counters, connection) = (&self.house.counters, &self.connection);
        counters.disconnected(connection.transport(), self.reason, connection.age());
        let (hub, id) = (connection.hub(), connection.id());
        tracing::debug!(%hub, connection = %id, reason = self.reason, "a client has left");
    }
}
