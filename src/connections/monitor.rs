//! Once a second: who went quiet, who is stuck, who is overdue (sections 2.5 and 5.8). At every
//! sweep besides: who is stale.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::end::End;
use super::frame::Frame;
use super::node::Connections;
use super::outbox::Offered;
use super::stale::Sweep;
use crate::protocol::{Protocol, encode};

const TICK: Duration = Duration::from_secs(1);

/// Looks at every connection once a second until `stop`.
pub(super) async fn run(node: Arc<Connections>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let pings = [Protocol::Json, Protocol::MessagePack].map(|p| Frame::untracked(encode::ping(p)));
    let config = node.config();
    let sweep = Sweep { after_ms: config.stale_after_ms, every_ms: config.stale_sweep_ms };
    let mut next_sweep_ms = sweep.every_ms;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Moment { ms: node.tick(), us: node.now_us(), wall: SystemTime::now() };
        let sweeping = now.ms >= next_sweep_ms;
        let mut stale = 0;
        for (index, connection) in node.all().into_iter().enumerate() {
            look(&connection, &now, &pings);
            if sweeping && let Some(ping) = ping_for(&connection, &pings) {
                stale += i64::from(sweep.look(&connection, now.ms, now.us, ping));
            }
            if index % 1_000 == 999 {
                tokio::task::yield_now().await;
            }
        }
        if sweeping {
            next_sweep_ms = now.ms + sweep.every_ms;
            node.metrics().stale.set(stale);
        }
    }
}

struct Moment {
    ms: u64,
    us: u64,
    wall: SystemTime,
}

impl Moment {
    /// Whether `since` (0: never) is longer ago than `limit`.
    fn is_past(&self, since: u64, limit: Duration) -> bool {
        since != 0 && u128::from(self.ms.saturating_sub(since)) > limit.as_millis()
    }
}

fn look(connection: &Arc<Connection>, now: &Moment, pings: &[Arc<Frame>; 2]) {
    if connection.ended().is_some() {
        return;
    }
    match verdict(connection, now) {
        Some(end) => connection.end(end),
        None => keep_alive(connection, now, pings),
    }
}

fn verdict(connection: &Connection, now: &Moment) -> Option<End> {
    let (clock, settings) = (&connection.clock, &connection.new.settings);
    let busy = clock.busy.load(Ordering::Relaxed);
    if !clock.handshaken.load(Ordering::Acquire) {
        let opened = clock.opened_ms.load(Ordering::Relaxed);
        return now.is_past(opened, settings.handshake_timeout).then_some(End::HandshakeTimedOut);
    }
    if connection.expires_at().is_some_and(|end| end <= now.wall) {
        return Some(End::Expired);
    }
    let parked = clock.parked_ms.load(Ordering::Acquire);
    if parked != 0 {
        return now.is_past(parked, settings.disconnect_timeout).then_some(End::NotResumed);
    }
    if now.is_past(clock.unpolled_ms.load(Ordering::Relaxed), settings.disconnect_timeout) {
        return Some(End::Lost);
    }
    let stuck = connection.outbox.lock().stuck_since_ms.unwrap_or(0);
    if now.is_past(stuck, settings.send_timeout) {
        return Some(End::SendTimedOut);
    }
    let heard = clock.heard_ms.load(Ordering::Relaxed);
    if connection.new.pings && !busy && now.is_past(heard, settings.client_timeout) {
        return Some(End::ClientTimedOut);
    }
    None
}

/// Pings and acks that are due.
fn keep_alive(connection: &Arc<Connection>, now: &Moment, pings: &[Arc<Frame>; 2]) {
    let Some(protocol) = connection.protocol() else { return };
    if connection.clock.parked_ms.load(Ordering::Acquire) != 0 {
        return;
    }
    if let Some(number) = connection.take_ack() {
        let frame = encode::ack(protocol, number).frame().clone();
        let wake = connection.outbox.lock().set_ack(frame);
        connection.wake(wake);
    }
    let pinged = connection.clock.pinged_ms.load(Ordering::Relaxed);
    if !connection.new.pings || !now.is_past(pinged, connection.new.settings.keep_alive) {
        return;
    }
    connection.clock.pinged_ms.store(now.ms, Ordering::Relaxed);
    let every = connection.node.config().round_trip_ms;
    let measured = connection.activity.measured_ms();
    if every != 0 && (measured == 0 || now.ms.saturating_sub(measured) >= every) {
        connection.measure(now.ms, now.us);
    }
    let Some(ping) = ping_for(connection, pings) else { return };
    let appended = connection.outbox.lock().append(ping.clone(), connection.node.bounds());
    match appended {
        Ok(Offered::Queued(wake)) => connection.wake(wake),
        Ok(Offered::Closed | Offered::Dropped | Offered::Overflow) => {}
        Err(_full) => connection.node.metrics().skipped_pings.inc(),
    }
}

/// The ping in the connection's protocol; none before the handshake.
fn ping_for<'a>(connection: &Connection, pings: &'a [Arc<Frame>; 2]) -> Option<&'a Arc<Frame>> {
    Some(match connection.protocol()? {
        Protocol::Json => &pings[0],
        Protocol::MessagePack => &pings[1],
    })
}
