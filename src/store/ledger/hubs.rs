//! Who is in which audience of a hub.

use std::collections::{BTreeSet, HashMap};

use super::members::MembersBy;
use super::subscriber::Subscriber;
use crate::model::{Audience, ConnectionId, GroupName, UserId};
use crate::store::names::SubscriberId;

/// The subscribers of one hub.
#[derive(Default)]
pub(super) struct Hub {
    /// Those that can be addressed: present, or away within their session's life.
    all: BTreeSet<SubscriberId>,
    groups: MembersBy<GroupName>,
    users: MembersBy<UserId>,
    /// Lost connections without a session that are owed something: it goes to the next one of their
    /// user. A user may have very many others, so these are not looked for among them.
    lost: MembersBy<UserId>,
    connections: HashMap<ConnectionId, SubscriberId>,
}

impl Hub {
    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.lost.is_empty()
    }

    pub(super) fn add(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        self.all.insert(id);
        for group in subscriber.groups() {
            self.join(id, group);
        }
        if let Some(user) = subscriber.identity.user() {
            self.users.insert(user, id);
        }
        if let Some(connection) = &subscriber.connection {
            self.connections.insert(connection.clone(), id);
        }
    }

    /// It cannot be addressed, and leaves something to others of its user.
    pub(super) fn add_lost(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        if let Some(user) = subscriber.identity.user() {
            self.lost.insert(user, id);
        }
    }

    pub(super) fn remove(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        self.all.remove(&id);
        for group in subscriber.groups() {
            self.leave(id, group);
        }
        if let Some(connection) = &subscriber.connection {
            self.disconnect(id, connection);
        }
        if let Some(user) = subscriber.identity.user() {
            self.users.remove(user, id);
            self.lost.remove(user, id);
        }
    }

    pub(super) fn connect(&mut self, id: SubscriberId, connection: ConnectionId) {
        self.connections.insert(connection, id);
    }

    pub(super) fn disconnect(&mut self, id: SubscriberId, connection: &ConnectionId) {
        if self.connections.get(connection) == Some(&id) {
            self.connections.remove(connection);
        }
    }

    pub(super) fn join(&mut self, id: SubscriberId, group: &GroupName) {
        self.groups.insert(group, id);
    }

    pub(super) fn leave(&mut self, id: SubscriberId, group: &GroupName) {
        self.groups.remove(group, id);
    }

    pub(super) fn of_user(&self, user: &UserId) -> impl Iterator<Item = SubscriberId> {
        self.users.of(user)
    }

    pub(super) fn lost_of(&self, user: &UserId) -> impl Iterator<Item = SubscriberId> {
        self.lost.of(user)
    }

    fn excepted(&self, except: &[ConnectionId]) -> BTreeSet<SubscriberId> {
        except.iter().filter_map(|connection| self.connections.get(connection).copied()).collect()
    }

    /// Everybody in the audience, once and ascending.
    pub(super) fn resolve(&self, audience: &Audience) -> Vec<SubscriberId> {
        let but = |found: &mut dyn Iterator<Item = SubscriberId>, except: &[ConnectionId]| {
            let except = self.excepted(except);
            found.filter(|id| !except.contains(id)).collect()
        };
        let mut found: Vec<SubscriberId> = match audience {
            Audience::All { except } => but(&mut self.all.iter().copied(), except),
            Audience::Group { group, except } => but(&mut self.groups.of(group), except),
            Audience::Groups(groups) => {
                groups.iter().flat_map(|group| self.groups.of(group)).collect()
            }
            Audience::User(user) => self.of_user(user).collect(),
            Audience::Users(users) => users.iter().flat_map(|user| self.of_user(user)).collect(),
            Audience::Connection(connection) => {
                self.connections.get(connection).copied().into_iter().collect()
            }
            Audience::Connections(connections) => {
                connections.iter().filter_map(|id| self.connections.get(id).copied()).collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether a subscriber is in the audience now. Connections are nobody's successors.
pub(super) fn is_in(audience: &Audience, subscriber: &Subscriber) -> bool {
    let excepted = |except: &[ConnectionId]| {
        subscriber.connection.as_ref().is_some_and(|own| except.contains(own))
    };
    match audience {
        Audience::All { except } => !excepted(except),
        Audience::Group { group, except } => {
            subscriber.groups().contains(group) && !excepted(except)
        }
        Audience::Groups(groups) => groups.iter().any(|group| subscriber.groups().contains(group)),
        Audience::User(user) => subscriber.identity.user() == Some(user),
        Audience::Users(users) => subscriber.identity.user().is_some_and(|own| users.contains(own)),
        Audience::Connection(_) | Audience::Connections(_) => false,
    }
}
