//! Who is in which audience of a hub.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::subscribers::Subscriber;
use crate::model::{Audience, ConnectionId, GroupName, UserId};
use crate::store::names::SubscriberId;

type Members = BTreeSet<SubscriberId>;

/// The subscribers of one hub that can be addressed: present, or away within their session's life.
#[derive(Default)]
pub(super) struct Hub {
    all: Members,
    groups: HashMap<GroupName, Members>,
    users: HashMap<UserId, Members>,
    connections: HashMap<ConnectionId, SubscriberId>,
}

impl Hub {
    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn add(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        self.all.insert(id);
        for group in &subscriber.groups {
            self.join(id, group);
        }
        if let Some(user) = &subscriber.user {
            self.users.entry(user.clone()).or_default().insert(id);
        }
        if let Some(connection) = &subscriber.connection {
            self.connections.insert(connection.clone(), id);
        }
    }

    pub(super) fn remove(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        self.all.remove(&id);
        for group in &subscriber.groups {
            self.leave(id, group);
        }
        if let Some(user) = &subscriber.user {
            remove_from(&mut self.users, user, id);
        }
        if let Some(connection) = &subscriber.connection
            && self.connections.get(connection) == Some(&id)
        {
            self.connections.remove(connection);
        }
    }

    pub(super) fn join(&mut self, id: SubscriberId, group: &GroupName) {
        self.groups.entry(group.clone()).or_default().insert(id);
    }

    pub(super) fn leave(&mut self, id: SubscriberId, group: &GroupName) {
        remove_from(&mut self.groups, group, id);
    }

    fn members(&self, group: &GroupName) -> impl Iterator<Item = SubscriberId> {
        self.groups.get(group).into_iter().flatten().copied()
    }

    fn of_user(&self, user: &UserId) -> impl Iterator<Item = SubscriberId> {
        self.users.get(user).into_iter().flatten().copied()
    }

    fn excepted(&self, except: &[ConnectionId]) -> Members {
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
            Audience::Group { group, except } => but(&mut self.members(group), except),
            Audience::Groups(groups) => {
                groups.iter().flat_map(|group| self.members(group)).collect()
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
        Audience::Group { group, except } => subscriber.groups.contains(group) && !excepted(except),
        Audience::Groups(groups) => groups.iter().any(|group| subscriber.groups.contains(group)),
        Audience::User(user) => subscriber.user.as_ref() == Some(user),
        Audience::Users(users) => subscriber.user.as_ref().is_some_and(|own| users.contains(own)),
        Audience::Connection(_) | Audience::Connections(_) => false,
    }
}

fn remove_from<K: Eq + Hash>(map: &mut HashMap<K, Members>, key: &K, id: SubscriberId) {
    if let Some(members) = map.get_mut(key) {
        members.remove(&id);
        if members.is_empty() {
            map.remove(key);
        }
    }
}
