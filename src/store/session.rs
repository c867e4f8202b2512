//! What is said when subscribers come and go.

use std::sync::Arc;

use super::names::{MessageSeq, SessionKey, SubscriberId};
use crate::model::{ConnectionId, GroupName};

/// A connection that becomes a subscriber, or the return of one.
#[derive(Clone, Debug)]
pub struct Open {
    /// Which session it asks for.
    pub key: SessionKey,
    /// The connection itself, for `connection` audiences.
    pub connection: ConnectionId,
    /// Whose sessions are counted together (`session.per_caller_max`): the user, else the peer.
    /// Not looked at without a client id.
    pub caller: Arc<str>,
}

/// Who a connection has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// Whether it is remembered after the connection. False without a client id, and when the
    /// caller or the store has too many sessions.
    pub session: bool,
    /// Whether nothing was known of the session.
    pub is_new: bool,
    /// The connection that had the session until now. It must be closed.
    pub replaced: Option<ConnectionId>,
    /// The groups it was in and is in again. Guards are to be asked again, before the replay; what
    /// is not allowed any more goes with [`super::Store::revoke`].
    pub groups: Vec<GroupName>,
    /// How many messages it is owed, what it took over from a lost connection included.
    pub owed: u64,
    /// What it took over.
    pub adopted: Vec<Moved>,
}

/// What a lost connection was owed, and a later one of its identity is owed instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The lost one.
    pub from: SubscriberId,
    /// Its heir. They are owed to it from now on; see [`super::Store::owed`].
    pub to: SubscriberId,
    /// The messages, ascending.
    pub seqs: Vec<MessageSeq>,
}

/// What became of a wish to join a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is a member.
    Member {
        /// What it took over.
        adopted: Vec<Moved>,
    },
    /// The subscriber is gone.
    Gone,
    /// It is in as many groups as it may be.
    TooManyGroups,
}

/// What became of the subscriber of a lost connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// Connections of the same identity, opened later than the lost one, that took over what it was
    /// owed through an audience they are in. They have something to be sent.
    pub moved: Vec<Moved>,
}

impl Departed {
    /// Takes in what became of another one.
    pub(super) fn append(&mut self, mut other: Self) {
        self.moved.append(&mut other.moved);
    }
}
