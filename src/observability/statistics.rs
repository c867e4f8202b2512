//! All connections of the node, summed up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::shape;
use crate::connections::{Connections, Facts};

/// Anybody may ask for the sums, so they are made at most so often, however many ask.
const FRESH: Duration = Duration::from_secs(1);

/// Conduit's `ConnectionStatistics`, and below it what Conduit does not have. Sums are over the
/// connections that are open.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Connections after their handshake.
    pub total_active_connections: usize,
    /// The same by hub.
    pub connections_by_hub: BTreeMap<String, usize>,
    /// The same by transport.
    pub connections_by_transport: BTreeMap<&'static str, usize>,
    /// Groups with at least one member, hub by hub.
    pub total_groups: usize,
    /// Connections of which nothing was received for the threshold.
    pub stale_connections: usize,
    /// Their average age.
    pub average_connection_duration_minutes: f64,
    /// The average time since they received or sent anything.
    pub average_idle_time_minutes: f64,
    /// When the oldest was opened.
    pub oldest_connection_time: Option<String>,
    /// When the newest was opened.
    pub newest_connection_time: Option<String>,
    /// Messages handed to their transports.
    pub total_messages_sent: u64,
    /// Messages their clients acknowledged.
    pub total_messages_acknowledged: u64,
    /// The share of these in percent.
    pub acknowledgment_rate: f64,
    /// Connections that wait for their client to come back.
    pub parked_connections: usize,
    /// Distinct users (virtual keys, for Conduit's hubs).
    pub total_users: usize,
    /// The median of the round trips that were measured, in milliseconds.
    pub median_round_trip_ms: Option<f64>,
}

impl Statistics {
    /// The sums of these connections at this moment.
    pub fn of(facts: impl IntoIterator<Item = Facts>, now: SystemTime) -> Self {
        let mut sums = Self::default();
        let (mut groups, mut users) = (HashSet::new(), HashSet::new());
        let (mut ages, mut idle) = (Duration::ZERO, Duration::ZERO);
        let (mut oldest, mut newest) = (None, None);
        let mut round_trips = Vec::new();
        for own in facts {
            sums.total_active_connections += 1;
            *sums.connections_by_hub.entry(own.hub.as_str().to_owned()).or_default() += 1;
            *sums.connections_by_transport.entry(own.transport.name()).or_default() += 1;
            groups.extend(own.groups.into_iter().map(|group| (own.hub.clone(), group)));
            users.extend(own.caller.user.clone());
            sums.stale_connections += usize::from(own.stale);
            sums.parked_connections += usize::from(own.parked);
            sums.total_messages_sent += own.messages_sent;
            sums.total_messages_acknowledged += own.messages_acknowledged;
            ages += own.age;
            idle += own.idle;
            oldest = oldest.max(Some(own.age));
            newest = Some(newest.map_or(own.age, |age: Duration| age.min(own.age)));
            round_trips.extend(own.round_trip);
        }
        let count = sums.total_active_connections;
        (sums.total_groups, sums.total_users) = (groups.len(), users.len());
        sums.average_connection_duration_minutes = average_minutes(ages, count);
        sums.average_idle_time_minutes = average_minutes(idle, count);
        let opened = |age: Duration| shape::before(now, age);
        sums.oldest_connection_time = oldest.map(opened);
        sums.newest_connection_time = newest.map(opened);
        sums.acknowledgment_rate =
            shape::percent(sums.total_messages_acknowledged, sums.total_messages_sent);
        round_trips.sort();
        let median = round_trips.get(round_trips.len() / 2);
        sums.median_round_trip_ms = median.copied().map(shape::millis);
        sums
    }

    /// Stale connections in percent of all.
    pub fn stale_percent(&self) -> f64 {
        shape::percent(self.stale_connections as u64, self.total_active_connections as u64)
    }
}

fn average_minutes(sum: Duration, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum.as_secs_f64() / 60.0 / count as f64 }
}

/// The latest sums.
pub(super) struct Latest {
    connections: Arc<Connections>,
    /// Held while the sums are made, so that those who come meanwhile share them.
    made: Mutex<Option<(Instant, Arc<Statistics>)>>,
}

impl Latest {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, made: Mutex::new(None) }
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Sums that are not older than a second.
    pub(super) async fn statistics(&self) -> Arc<Statistics> {
        let mut made = self.made.lock().await;
        if let Some((at, statistics)) = &*made
            && at.elapsed() < FRESH
        {
            return statistics.clone();
        }
        let connections = self.connections.clone();
        // There may be very many, and others wait for this thread.
        let summing = tokio::task::spawn_blocking(move || {
            Statistics::of(connections.facts(), SystemTime::now())
        });
        let fresh = Arc::new(summing.await.unwrap_or_default());
        *made = Some((Instant::now(), fresh.clone()));
        fresh
    }
}
