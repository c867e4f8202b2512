//! Once a second: who went quiet, who is stuck, who is overdue (sections 2.5 and 5.8).

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
use crate::protocol::{Protocol, encode};

const TICK: Duration = Duration::from_secs(1);

/// Looks at every connection once a second until `stop`.
pub(super) async fn run(node: Arc<Connections>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let pings = [Protocol::Json, Protocol::MessagePack].map(|p| Frame::untracked(encode::ping(p)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Moment { ms: node.now_ms(), wall: SystemTime::now() };
        for (index, connection) in node.all().into_iter().enumerate() {
            look(&connection, &now, &pings);
            if index % 1_000 == 999 {
                tokio::task::yield_now().await;
            }
        }
    }
}

struct Moment {
    ms: u64,
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
    let ping = match protocol {
        Protocol::Json => &pings[0],
        Protocol::MessagePack => &pings[1],
    };
    let appended = connection.outbox.lock().append(ping.clone(), connection.node.bounds());
    match appended {
        Ok(Offered::Queued(wake)) => connection.wake(wake),
        Ok(Offered::Closed | Offered::Dropped | Offered::Overflow) => {}
        Err(_full) => connection.node.metrics().skipped_pings.inc(),
    }
}
