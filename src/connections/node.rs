//! Everything about connections that belongs to the node as a whole.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::connection::{Connection, NewConnection};
use super::end::End;
use super::flusher::Shard;
use super::metrics::Metrics;
use super::outbox::Bounds;
use super::parking::Parking;
use super::pipe::Pipe;
use super::sink::{Outlet, Source};

/// The open connections of this node, their flushers and their common bounds.
pub struct Connections {
    started: Instant,
    bounds: Bounds,
    config: Config,
    shards: Box<[Arc<Shard>]>,
    parking: Parking,
    metrics: Metrics,
    serial: AtomicU64,
    /// [`Connections::now_ms`] as of the monitor's last tick.
    coarse_ms: AtomicU64,
    /// By serial modulo; see [`Connections::all`].
    open: Mutex<std::collections::HashMap<u64, Arc<Connection>>>,
}

impl Connections {
    /// `shards` flushers share the writing; one per worker thread is right.
    pub fn new(config: &Config, shards: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            bounds: Bounds {
                bytes_max: config.outbox_bytes_max,
                messages_max: config.outbox_messages_max,
                total_bytes_max: config.outbox_bytes_total_max,
                total_bytes: AtomicUsize::new(0),
            },
            config: config.clone(),
            shards: (0..shards.max(1)).map(|_| Arc::default()).collect(),
            parking: Parking::new(config.parked_max, config.parked_per_caller_max),
            metrics,
            serial: AtomicU64::new(0),
            coarse_ms: AtomicU64::new(1),
            open: Mutex::default(),
        })
    }

    /// Starts the flushers and the monitor; they end with `stop`.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        for shard in &self.shards {
            tasks.spawn(shard.clone().run(stop.clone()));
        }
        tasks.spawn(super::monitor::run(self.clone(), stop.clone()));
    }

    /// A new connection and the end of it that its session holds.
    pub fn open(
        self: &Arc<Self>,
        new: NewConnection,
        source: Box<dyn Source>,
        outlet: Outlet,
    ) -> (Arc<Connection>, Pipe) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::create(new, self.clone(), serial));
        connection.outbox.lock().attach(outlet);
        self.open.lock().insert(serial, connection.clone());
        self.metrics.open.inc();
        (connection.clone(), Pipe::new(connection, source))
    }

    /// Every open connection, in no order.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.open.lock().values().cloned().collect()
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// The limits this node was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this room counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Bytes that wait in all outboxes.
    pub fn outbox_bytes(&self) -> usize {
        self.bounds.total_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn forget(&self, connection: &Connection) {
        if self.open.lock().remove(&connection.serial).is_some() {
            self.metrics.open.dec();
            let reason = connection.ended().map_or("unknown", End::name);
            self.metrics.ended.with_label_values(&[reason]).inc();
        }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Milliseconds since the node started, plus one, so that 0 can mean never.
    pub(super) fn now_ms(&self) -> u64 {
        let elapsed: Duration = self.started.elapsed();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }

    /// The time to a second, for what happens too often to ask the system for it.
    pub(super) fn coarse_ms(&self) -> u64 {
        self.coarse_ms.load(Ordering::Relaxed)
    }

    /// Moves the coarse clock; the monitor does once a second.
    pub(super) fn tick(&self) -> u64 {
        let now = self.now_ms();
        self.coarse_ms.store(now, Ordering::Relaxed);
        now
    }

    pub(super) fn shard_of(&self, connection: &Connection) -> usize {
        (connection.serial % self.shards.len() as u64) as usize // below the number of shards
    }

    pub(super) fn mark(&self, connection: Arc<Connection>) {
        self.shards[self.shard_of(&connection)].mark(connection);
    }

    /// An empty list per shard, to be filled during a fan-out.
    pub(super) fn dirty_lists(&self) -> Vec<Vec<Arc<Connection>>> {
        vec![Vec::new(); self.shards.len()]
    }

    pub(super) fn mark_all(&self, lists: &mut [Vec<Arc<Connection>>]) {
        for (shard, list) in self.shards.iter().zip(lists) {
            shard.mark_all(list);
        }
    }

    /// Parks a lost connection when there is a place for it.
    pub(super) fn park(&self, connection: &Connection) -> bool {
        if !self.parking.enter(&parking_key(connection)) {
            self.metrics.not_parked.inc();
            return false;
        }
        connection.clock.parked_ms.store(self.now_ms(), Ordering::Release);
        self.metrics.parked.inc();
        true
    }

    /// The connection is not parked any more, if it was.
    pub(super) fn unpark(&self, connection: &Connection) {
        if connection.clock.parked_ms.swap(0, Ordering::AcqRel) != 0 {
            self.parking.leave(&parking_key(connection));
            self.metrics.parked.dec();
        }
    }
}

/// Whose places a parked connection uses: the user's, else the peer address's.
fn parking_key(connection: &Connection) -> Arc<str> {
    match (&connection.caller().user, connection.new.peer) {
        (Some(user), _) => format!("user {user}").into(),
        (None, Some(peer)) => peer_key(peer),
        (None, None) => "unknown peer".into(),
    }
}

/// An IPv6 peer owns its /64 at least, so the rest of the address does not tell callers apart.
fn peer_key(peer: IpAddr) -> Arc<str> {
    match peer {
        IpAddr::V4(v4) => format!("peer {v4}").into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("peer {a:x}:{b:x}:{c:x}:{d:x}::/64").into()
        }
    }
}
