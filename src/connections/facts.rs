//! What may be known about one connection: a copy, made without a lock of the hot path.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::Connection;
use super::node::Connections;
use crate::model::{Caller, ConnectionId, GroupName, HubName, TransportKind, UserAgent};

/// One connection at one moment. Times count back from that moment, to the second.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its public id.
    pub id: ConnectionId,
    /// Its hub.
    pub hub: HubName,
    /// Who is behind it.
    pub caller: Arc<Caller>,
    /// The peer's address.
    pub peer: Option<IpAddr>,
    /// What its program calls itself.
    pub agent: Option<UserAgent>,
    /// How its bytes travel.
    pub transport: TransportKind,
    /// The groups it is in.
    pub groups: Vec<GroupName>,
    /// Since its opening.
    pub age: Duration,
    /// Since anything was received or written.
    pub idle: Duration,
    /// Since anything was received.
    pub silent: Duration,
    /// Whether nothing was received for the threshold.
    pub stale: bool,
    /// Whether it waits for its client to come back.
    pub parked: bool,
    /// Hub messages handed to the transport, pings and the like left out.
    pub messages_sent: u64,
    /// Messages its client has acknowledged.
    pub messages_acknowledged: u64,
    /// The estimated time to the client and back; only WebSockets can tell.
    pub round_trip: Option<Duration>,
}

impl Connections {
    /// Every connection that has shaken hands, in no order.
    pub fn facts(&self) -> impl Iterator<Item = Facts> + use<> {
        let now_ms = self.now_ms();
        let greeted = |connection: &Arc<Connection>| {
            connection.protocol().is_some() && connection.ended().is_none()
        };
        let of = move |connection: Arc<Connection>| connection.facts(now_ms);
        self.all().into_iter().filter(greeted).map(of)
    }
}

impl Connection {
    fn facts(&self, now_ms: u64) -> Facts {
        let (age, silent) = (self.age(), self.silence(now_ms));
        let idle = Duration::from_millis(now_ms.saturating_sub(self.activity.last_ms()));
        Facts {
            id: self.id().clone(),
            hub: self.hub().clone(),
            caller: self.caller().clone(),
            peer: self.new.peer,
            agent: self.new.agent.clone(),
            transport: self.new.transport,
            groups: self.groups(),
            age,
            // The coarse clock may lag behind the opening.
            idle: idle.min(age),
            silent: silent.min(age),
            stale: self.is_watched() && silent >= self.node.config().stale_after(),
            parked: self.clock.parked_ms.load(Ordering::Acquire) != 0,
            messages_sent: self.activity.messages_sent(),
            messages_acknowledged: self.activity.messages_acknowledged(),
            round_trip: self.activity.round_trip(),
        }
    }
}
