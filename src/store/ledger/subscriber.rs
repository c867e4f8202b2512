//! What the ledger knows of one subscriber. Every idle connection has one, so it is small: what
//! only some have stands apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{ConnectionId, GroupName, HubName};
use crate::store::names::{ClientKey, Identity, MessageSeq, Moment, SessionKey};

pub(super) struct Subscriber {
    pub(super) hub: HubName,
    pub(super) identity: Identity,
    /// The connection it has, or had last.
    pub(super) connection: Option<ConnectionId>,
    /// None when it would say nothing: for a connection without a session that is here, in no group
    /// and owed nothing.
    rest: Option<Box<Rest>>,
    standing: Standing,
    /// Receipts that name it, those of messages that are not over included.
    pub(super) receipts: u32,
    /// Whether the log says who it is. A connection without a session is only written when it is
    /// owed something: connecting costs no sync.
    pub(super) written: bool,
    /// Whether anybody ever said who it is; a log that lost records may not.
    pub(super) known: bool,
}

/// What sessions, members of groups, those who are owed something and those who are away have.
#[derive(Default)]
struct Rest {
    client: Option<ClientKey>,
    /// Whose sessions are counted together; nobody's without a session.
    caller: Arc<str>,
    groups: BTreeSet<GroupName>,
    owed: BTreeSet<MessageSeq>,
    /// Until when it may come back, while it is away.
    end: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Here,
    Away,
    Unknown,
}

/// Where a subscriber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    /// Until when it may come back.
    Away(Moment),
    /// It was here or away when the store was closed.
    Unknown,
}

impl Subscriber {
    /// One of whom only the number is known.
    pub(super) fn stub() -> Self {
        Self {
            hub: HubName::from(""),
            identity: Identity::Anonymous,
            connection: None,
            rest: None,
            standing: Standing::Unknown,
            receipts: 0,
            written: false,
            known: false,
        }
    }

    /// Says who it is; what it is owed stays.
    pub(super) fn introduce(&mut self, key: SessionKey, caller: Arc<str>, groups: Vec<GroupName>) {
        (self.hub, self.identity) = (key.hub, key.identity);
        self.known = true;
        if self.rest.is_some() || key.client.is_some() || !groups.is_empty() {
            let rest = self.rest.get_or_insert_default();
            (rest.client, rest.groups) = (key.client, groups.into_iter().collect());
            rest.caller = if key.client.is_some() { caller } else { Arc::default() };
        }
    }

    pub(super) fn is_session(&self) -> bool {
        self.client().is_some()
    }

    fn client(&self) -> Option<ClientKey> {
        self.rest.as_ref()?.client
    }

    pub(super) fn caller(&self) -> Arc<str> {
        self.rest.as_ref().map(|rest| rest.caller.clone()).unwrap_or_default()
    }

    pub(super) fn key(&self) -> SessionKey {
        let (hub, identity) = (self.hub.clone(), self.identity.clone());
        SessionKey { hub, identity, client: self.client() }
    }

    pub(super) fn presence(&self) -> Presence {
        match self.standing {
            Standing::Here => Presence::Here,
            Standing::Away => {
                Presence::Away(self.rest.as_ref().map(|rest| rest.end).unwrap_or_default())
            }
            Standing::Unknown => Presence::Unknown,
        }
    }

    pub(super) fn set_presence(&mut self, presence: Presence) {
        self.standing = match presence {
            Presence::Here => Standing::Here,
            Presence::Away(end) => {
                self.rest.get_or_insert_default().end = end;
                Standing::Away
            }
            Presence::Unknown => Standing::Unknown,
        };
        self.tidy();
    }

    pub(super) fn groups(&self) -> &BTreeSet<GroupName> {
        static NONE: BTreeSet<GroupName> = BTreeSet::new();
        self.rest.as_ref().map_or(&NONE, |rest| &rest.groups)
    }

    pub(super) fn join(&mut self, group: GroupName) {
        self.rest.get_or_insert_default().groups.insert(group);
    }

    pub(super) fn leave(&mut self, group: &GroupName) {
        if let Some(rest) = &mut self.rest {
            rest.groups.remove(group);
            self.tidy();
        }
    }

    /// What it owes an answer to, in order of acceptance.
    pub(super) fn owed(&self) -> &BTreeSet<MessageSeq> {
        static NONE: BTreeSet<MessageSeq> = BTreeSet::new();
        self.rest.as_ref().map_or(&NONE, |rest| &rest.owed)
    }

    pub(super) fn owe(&mut self, seq: MessageSeq) {
        self.rest.get_or_insert_default().owed.insert(seq);
    }

    pub(super) fn owe_no_more(&mut self, seq: MessageSeq) {
        if let Some(rest) = &mut self.rest {
            rest.owed.remove(&seq);
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        let says_nothing =
            |rest: &Rest| rest.client.is_none() && rest.groups.is_empty() && rest.owed.is_empty();
        if self.standing != Standing::Away && self.rest.as_deref().is_some_and(says_nothing) {
            self.rest = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_every_idle_connection_is_small() {
        // In a box of its own: 80 bytes of the allocator.
        assert!(size_of::<Subscriber>() <= 72, "{}", size_of::<Subscriber>());
    }

    #[test]
    fn what_some_have_takes_memory_while_they_have_it() {
        let mut own = Subscriber::stub();
        let key = SessionKey { client: None, ..own.key() };
        own.introduce(key, "caller".into(), Vec::new());
        own.set_presence(Presence::Here);
        own.leave(&"g".into());
        own.owe_no_more(MessageSeq(1));
        assert!(own.rest.is_none());
        own.join("g".into());
        own.owe(MessageSeq(1));
        own.set_presence(Presence::Away(Moment(7)));
        own.leave(&"g".into());
        own.owe_no_more(MessageSeq(1));
        assert_eq!(own.presence(), Presence::Away(Moment(7)));
        own.set_presence(Presence::Here);
        assert!(own.rest.is_none());
        assert!(own.groups().is_empty() && own.owed().is_empty());
    }
}
