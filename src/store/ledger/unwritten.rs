//! Connections without a session come and go without a word to the log: nothing of them has to
//! outlive the process while they are owed nothing. So it needs no turn behind the disk. Nor does
//! the loss of a session's connection.
//!
//! Each of these does what its namesake does, or hands the question back when the log has to know.

use super::Ledger;
use super::subscriber::Presence;
use crate::model::{ConnectionId, GroupName, HubName};
use crate::store::names::{Identity, Moment, SubscriberId};
use crate::store::record::Record;
use crate::store::session::{Departed, Joined, Open, Opened};

impl Ledger {
    pub(in crate::store) fn open_unwritten(
        &mut self,
        open: Open,
        now: Moment,
    ) -> Result<Opened, Open> {
        let key = &open.key;
        if key.client.is_some() || self.has_heritage(&key.hub, &key.identity) {
            return Err(open);
        }
        Ok(self.open(open, now))
    }

    pub(in crate::store) fn join_unwritten(
        &mut self,
        id: SubscriberId,
        group: GroupName,
        now: Moment,
    ) -> Result<Joined, GroupName> {
        let own = self.subscribers.get(&id);
        if own.is_none_or(|own| own.is_session() || self.has_heritage(&own.hub, &own.identity)) {
            return Err(group);
        }
        Ok(self.join(id, group, now))
    }

    pub(in crate::store) fn away_unwritten(
        &mut self,
        id: SubscriberId,
        connection: ConnectionId,
        now: Moment,
    ) -> Result<Departed, ConnectionId> {
        let Some(own) = self.subscribers.get(&id) else { return Err(connection) };
        // That a session is away stands in no log: nobody is here when the store is read back.
        if own.is_session() {
            return Ok(self.away(id, &connection, now));
        }
        if own.written || !own.owed().is_empty() {
            return Err(connection);
        }
        if own.presence() == Presence::Here && own.connection.as_ref() == Some(&connection) {
            self.apply(Record::Gone { subscriber: id, at: now }, None);
        }
        Ok(Departed::default())
    }

    /// Whether a lost connection of this identity may leave something to the next one.
    fn has_heritage(&self, hub: &HubName, identity: &Identity) -> bool {
        let (Some(user), Some(hub)) = (identity.user(), self.hubs.get(hub)) else { return false };
        hub.lost_of(user).next().is_some()
    }
}
