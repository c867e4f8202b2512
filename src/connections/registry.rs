//! Who is on one hub: all connections, by id, by group, by user.
//!
//! Leaving costs what the connection itself has joined, however large the hub is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::RwLock;

use super::connection::Connection;
use super::frame::Frame;
use super::node::Connections;
use crate::model::{Audience, ConnectionId, GroupName, Subject, UserId};
use crate::protocol::Protocol;

/// The connection is in as many groups as one may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection may be in at most {max} groups (connections.groups_per_connection_max)")]
pub struct GroupFull {
    /// The limit.
    pub max: usize,
}

/// The index of one hub's connections.
pub struct Registry {
    node: Arc<Connections>,
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<ConnectionId, Arc<Connection>>,
    all: Members,
    groups: HashMap<GroupName, Members>,
    users: HashMap<UserId, Members>,
}

/// A set of connections that is quick to walk and to leave.
#[derive(Default)]
struct Members {
    list: Vec<Arc<Connection>>,
    places: HashMap<u64, usize>,
}

impl Members {
    fn insert(&mut self, connection: &Arc<Connection>) -> bool {
        if self.places.contains_key(&connection.serial) {
            return false;
        }
        self.places.insert(connection.serial, self.list.len());
        self.list.push(connection.clone());
        true
    }

    fn remove(&mut self, serial: u64) -> bool {
        let Some(place) = self.places.remove(&serial) else { return false };
        self.list.swap_remove(place);
        if let Some(moved) = self.list.get(place) {
            self.places.insert(moved.serial, place);
        }
        true
    }
}

impl Registry {
    /// An empty registry on a node.
    pub fn new(node: Arc<Connections>) -> Self {
        Self { node, index: RwLock::default() }
    }

    /// Adds a connection after its handshake. True when it is the user's first here.
    pub fn add(&self, connection: &Arc<Connection>) -> bool {
        let mut index = self.index.write();
        index.by_id.insert(connection.id().clone(), connection.clone());
        index.all.insert(connection);
        let Some(user) = &connection.caller().user else { return false };
        let members = index.users.entry(user.clone()).or_default();
        members.insert(connection);
        members.list.len() == 1
    }

    /// Removes a connection from everything; returns the subjects nobody here is left of.
    pub fn remove(&self, connection: &Connection) -> Vec<Subject> {
        let mut index = self.index.write();
        if index.by_id.remove(connection.id()).is_none() {
            return Vec::new();
        }
        let mut empty = vec![Subject::Connection(connection.id().clone())];
        index.all.remove(connection.serial);
        if let Some(user) = &connection.caller().user
            && leave(&mut index.users, user, connection.serial)
        {
            empty.push(Subject::User(user.clone()));
        }
        for group in std::mem::take(&mut *connection.groups.lock()) {
            if leave(&mut index.groups, &group, connection.serial) {
                empty.push(Subject::Group(group));
            }
        }
        empty
    }

    /// Adds a connection that is here to a group. `Ok(None)` when it is not here, else whether it
    /// is the group's first member here. Joining twice changes nothing.
    pub fn join(&self, id: &ConnectionId, group: &GroupName) -> Result<Option<bool>, GroupFull> {
        let mut index = self.index.write();
        let Some(connection) = index.by_id.get(id).cloned() else { return Ok(None) };
        let max = self.groups_max();
        let mut own = connection.groups.lock();
        if own.contains(group) {
            return Ok(Some(false));
        }
        if own.len() >= max {
            self.node.metrics().groups_full.inc();
            return Err(GroupFull { max });
        }
        own.push(group.clone());
        let members = index.groups.entry(group.clone()).or_default();
        members.insert(&connection);
        Ok(Some(members.list.len() == 1))
    }

    /// Whether a connection that is here is in a group.
    pub fn is_member(&self, id: &ConnectionId, group: &GroupName) -> bool {
        self.get(id).is_some_and(|connection| connection.groups.lock().contains(group))
    }

    /// How many groups one connection may be in.
    pub fn groups_max(&self) -> usize {
        self.node.config().groups_per_connection_max
    }

    /// Takes a connection out of a group. None when it is not here, else whether the group is
    /// empty now.
    pub fn leave(&self, id: &ConnectionId, group: &GroupName) -> Option<bool> {
        let mut index = self.index.write();
        let connection = index.by_id.get(id).cloned()?;
        connection.groups.lock().retain(|own| own != group);
        Some(leave(&mut index.groups, group, connection.serial))
    }

    /// The connection with an id.
    pub fn get(&self, id: &ConnectionId) -> Option<Arc<Connection>> {
        self.index.read().by_id.get(id).cloned()
    }

    /// The connections of a user.
    pub fn of_user(&self, user: &UserId) -> Vec<ConnectionId> {
        let index = self.index.read();
        let Some(members) = index.users.get(user) else { return Vec::new() };
        members.list.iter().map(|member| member.id().clone()).collect()
    }

    /// Whether somebody here is the subject or belongs to it.
    pub fn has(&self, subject: &Subject) -> bool {
        let index = self.index.read();
        match subject {
            Subject::Connection(id) => index.by_id.contains_key(id),
            Subject::Group(group) => index.groups.contains_key(group),
            Subject::User(user) => index.users.contains_key(user),
        }
    }

    /// How many connections are here.
    pub fn count(&self) -> usize {
        self.index.read().by_id.len()
    }

    /// Appends one frame to the outbox of everybody in the audience, and marks them for their
    /// flushers. `frame` is asked once per protocol; None leaves its speakers out. Returns how many
    /// connections were meant.
    pub fn fan_out(
        &self,
        audience: &Audience,
        frame: impl FnMut(Protocol) -> Option<Arc<Frame>>,
    ) -> usize {
        let mut turn = Turn {
            frame,
            made: [None, None],
            dirty: self.node.dirty_lists(),
            node: &self.node,
            count: 0,
        };
        let index = self.index.read();
        match audience {
            Audience::All { except } => turn.offer_all(&index.all, except),
            Audience::Group { group, except } => {
                turn.offer_some(index.groups.get(group), except);
            }
            Audience::Groups(groups) => {
                for group in groups {
                    turn.offer_some(index.groups.get(group), &[]);
                }
            }
            Audience::User(user) => turn.offer_some(index.users.get(user), &[]),
            Audience::Users(users) => {
                for user in users {
                    turn.offer_some(index.users.get(user), &[]);
                }
            }
            Audience::Connection(id) => turn.offer_one(index.by_id.get(id)),
            Audience::Connections(ids) => {
                for id in ids {
                    turn.offer_one(index.by_id.get(id));
                }
            }
        }
        drop(index);
        self.node.mark_all(&mut turn.dirty);
        turn.count
    }
}

/// One fan-out on its way through the members.
struct Turn<'a, F> {
    frame: F,
    made: [Option<Option<Arc<Frame>>>; 2],
    dirty: Vec<Vec<Arc<Connection>>>,
    node: &'a Connections,
    count: usize,
}

impl<F: FnMut(Protocol) -> Option<Arc<Frame>>> Turn<'_, F> {
    fn offer_some(&mut self, members: Option<&Members>, except: &[ConnectionId]) {
        if let Some(members) = members {
            self.offer_all(members, except);
        }
    }

    fn offer_all(&mut self, members: &Members, except: &[ConnectionId]) {
        for member in &members.list {
            if except.is_empty() || !except.contains(member.id()) {
                self.offer(member);
            }
        }
    }

    fn offer_one(&mut self, member: Option<&Arc<Connection>>) {
        if let Some(member) = member {
            self.offer(member);
        }
    }

    fn offer(&mut self, member: &Arc<Connection>) {
        let Some(protocol) = member.protocol() else { return };
        let slot = match protocol {
            Protocol::Json => &mut self.made[0],
            Protocol::MessagePack => &mut self.made[1],
        };
        let Some(frame) = slot.get_or_insert_with(|| (self.frame)(protocol)) else { return };
        self.count += 1;
        if member.offer(frame) {
            self.dirty[self.node.shard_of(member)].push(member.clone());
        }
    }
}

/// Takes a member out of a named set, and the set out of the map when nobody is left.
fn leave<K: Eq + Hash>(sets: &mut HashMap<K, Members>, name: &K, serial: u64) -> bool {
    let Some(members) = sets.get_mut(name) else { return false };
    if !members.remove(serial) {
        return false;
    }
    let empty = members.list.is_empty();
    if empty {
        sets.remove(name);
    }
    empty
}
