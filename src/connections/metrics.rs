//! What this room counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

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
    /// Writes of the flusher that found the socket full.
    pub blocked_writes: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let ended = IntCounterVec::new(
            Opts::new("connections_ended_total", "Ended connections by reason"),
            &["reason"],
        )?;
        registry.register(Box::new(ended.clone()))?;
        Ok(Self {
            open: gauge("connections_open", "Open connections, parked ones included")?,
            parked: gauge("connections_parked", "Connections waiting for their client's return")?,
            resumed: counter("connections_resumed_total", "Resumptions on a new socket")?,
            ended,
            dropped_volatile: counter(
                "connections_volatile_dropped_total",
                "Volatile frames dropped because an outbox was full",
            )?,
            skipped_pings: counter(
                "connections_pings_skipped_total",
                "Pings skipped because an outbox was full",
            )?,
            not_parked: counter(
                "connections_not_parked_total",
                "Lost stateful connections over a bound of parking",
            )?,
            stale: gauge("connections_stale", "Connections long silent, at the last sweep")?,
            probed: counter(
                "connections_probes_total",
                "Pings that asked a long silent connection whether anybody is there",
            )?,
            blocked_writes: counter(
                "connections_blocked_writes_total",
                "Writes that found the socket full",
            )?,
        })
    }
}
