//! Whom an event is for (protocol reference, section 5.11).

use super::{ConnectionId, GroupName, UserId};

/// Everybody who gets an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every connection of the hub but the listed ones.
    All {
        /// Who gets nothing.
        except: Vec<ConnectionId>,
    },
    /// The members of a group but the listed ones.
    Group {
        /// Whose members are meant.
        group: GroupName,
        /// Who gets nothing.
        except: Vec<ConnectionId>,
    },
    /// The members of each group; a member of two gets the event twice, as in ASP.NET Core.
    Groups(Vec<GroupName>),
    /// All connections of a user.
    User(UserId),
    /// All connections of each user.
    Users(Vec<UserId>),
    /// One connection.
    Connection(ConnectionId),
    /// Each listed connection.
    Connections(Vec<ConnectionId>),
}

impl Audience {
    /// Every connection of the hub.
    pub fn all() -> Self {
        Self::All { except: Vec::new() }
    }

    /// Every member of the group.
    pub fn group(group: impl Into<GroupName>) -> Self {
        Self::Group { group: group.into(), except: Vec::new() }
    }
}

/// Something of a hub that may or may not be there, and that a node may be interested in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One connection.
    Connection(ConnectionId),
    /// A group with at least one member.
    Group(GroupName),
    /// A user with at least one connection.
    User(UserId),
}
