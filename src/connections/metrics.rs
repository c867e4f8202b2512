//! What this room counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use crate::model::Counting;

/// Handles resolved once; counting is one atomic addition.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Connections that are open, parked ones included.
    pub open: IntGauge,
    /// Connections parked until their client comes back.
    pub parked: IntGauge,
    /// Connections that were resumed on a new socket.
    pub resumed: IntCounter,
    /// Ended connections by [`super::End::name`].
    pub ended: IntCounterVec,
    /// Volatile frames dropped because an outbox was full.
    pub dropped_volatile: IntCounter,
    /// Pings skipped because an outbox was full.
    pub skipped_pings: IntCounter,
    /// Connections that were not parked because of a bound.
    pub not_parked: IntCounter,
    /// Connections of which nothing was received for the threshold, at the last sweep.
    pub stale: IntGauge,
    /// Probes of such connections.
    pub probed: IntCounter,
    /// Joins refused because a connection was in as many groups as it may be.
    pub groups_full: IntCounter,
    /// Writes of the flusher that found the socket full.
    pub blocked_writes: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        Ok(Self {
            open: counting.gauge("connections_open", "Open connections, parked ones included")?,
            parked: counting
                .gauge("connections_parked", "Connections waiting for their client's return")?,
            resumed: counting
                .counter("connections_resumed_total", "Resumptions on a new socket")?,
            ended: counting.counters(
                "connections_ended_total",
                "Ended connections by reason",
                &["reason"],
            )?,
            dropped_volatile: counting.counter(
                "connections_volatile_dropped_total",
                "Volatile frames dropped because an outbox was full",
            )?,
            skipped_pings: counting.counter(
                "connections_pings_skipped_total",
                "Pings skipped because an outbox was full",
            )?,
            not_parked: counting.counter(
                "connections_not_parked_total",
                "Lost stateful connections over a bound of parking",
            )?,
            groups_full: counting.counter(
                "connections_groups_full_total",
                "Joins over the bound of groups of one connection",
            )?,
            stale: counting
                .gauge("connections_stale", "Connections long silent, at the last sweep")?,
            probed: counting.counter(
                "connections_probes_total",
                "Pings that asked a long silent connection whether anybody is there",
            )?,
            blocked_writes: counting
                .counter("connections_blocked_writes_total", "Writes that found the socket full")?,
        })
    }
}
