//! What nodes say to one another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{ConnectionId, Envelope, GroupName, HubName, Subject, UserId};
use crate::protocol::{Arguments, Event, Outcome};

/// What became of a published event.
#[derive(Debug)]
pub enum Published {
    /// There is no other way: deliver it here, now.
    DeliverHere(Envelope<Event>),
    /// It is on its way, also to this node.
    Sent,
}

/// Whether anybody was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A node did it.
    Done,
    /// No node has the one who was meant.
    Nobody,
}

/// Whom a group command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// One connection.
    Connection(ConnectionId),
    /// All present connections of a user.
    User(UserId),
}

/// Add a member to a group, or remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommand {
    /// The group.
    pub group: GroupName,
    /// Who.
    pub member: Member,
    /// Add, or else remove.
    pub add: bool,
}

/// A question to one client (client result, section 5.7).
#[derive(Clone)]
pub struct Question {
    /// Who is asked.
    pub connection: ConnectionId,
    /// The client's handler.
    pub target: Arc<str>,
    /// What it is asked with.
    pub arguments: Arc<dyn Arguments>,
    /// How long to wait.
    pub deadline: Duration,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The client completed it.
    Completed(Outcome),
    /// Nobody has such a connection.
    NoSuchConnection,
    /// The client left before it answered.
    Disconnected,
    /// It did not answer in time.
    TimedOut,
    /// Too many questions are open.
    Full,
}

/// What arrives from other nodes.
pub enum Incoming {
    /// An event for somebody who may be here.
    Event(Envelope<Event>),
    /// A change of a group; answered when a member was here and it is done.
    Group {
        /// The hub of the group.
        hub: HubName,
        /// What to do.
        command: GroupCommand,
        /// Takes whether a member was here.
        done: oneshot::Sender<Reach>,
    },
    /// The end of a connection.
    Close {
        /// The hub of the connection.
        hub: HubName,
        /// Which to end.
        connection: ConnectionId,
        /// What its client is told.
        reason: Option<String>,
    },
    /// A question to a client here.
    Question {
        /// The hub of the connection.
        hub: HubName,
        /// What is asked.
        question: Question,
        /// Takes what came of it.
        answer: oneshot::Sender<Answer>,
    },
    /// Whether the subject is here.
    Exists {
        /// The hub of the subject.
        hub: HubName,
        /// What is looked for.
        subject: Subject,
        /// Takes whether it is here.
        answer: oneshot::Sender<bool>,
    },
}

/// Why nodes cannot talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackplaneError {
    /// It may work later.
    #[error("the backplane is not reachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the backplane did not answer in time")]
    TimedOut,
}
