//! Backplane: an envelope leaves here and arrives on every node that wants it.
//!
//! Owns: the interface between nodes and its implementations; today one node, later Redis.
//! Never knows: connections, hubs. It hands over a receiver and never calls up.

mod in_process;
mod message;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

pub use in_process::InProcess;
pub use message::{
    Answer, BackplaneError, GroupCommand, Incoming, Member, Published, Question, Reach,
};

use crate::model::{ConnectionId, Envelope, HubName, Subject};
use crate::protocol::Event;

/// What joins nodes. Every call has a deadline of the implementation's own, and an error that says
/// whether trying again may help.
pub trait Backplane: Send + Sync + 'static {
    /// Sends an event to all nodes, this one included. `DeliverHere` gives it back to be delivered
    /// by the caller at once; `Sent` means that it comes back through the receiver.
    fn publish<'a>(
        &'a self,
        envelope: Envelope<Event>,
    ) -> BoxFuture<'a, Result<Published, BackplaneError>>;

    /// Changes a group of members that are not on this node.
    fn group<'a>(
        &'a self,
        hub: &'a HubName,
        command: GroupCommand,
    ) -> BoxFuture<'a, Result<Reach, BackplaneError>>;

    /// Ends a connection that is not on this node.
    fn close<'a>(
        &'a self,
        hub: &'a HubName,
        connection: &'a ConnectionId,
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reach, BackplaneError>>;

    /// Asks a client that is not on this node, and waits for its answer.
    fn ask<'a>(
        &'a self,
        hub: &'a HubName,
        question: Question,
    ) -> BoxFuture<'a, Result<Answer, BackplaneError>>;

    /// Whether another node has the subject.
    fn exists<'a>(
        &'a self,
        hub: &'a HubName,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>>;

    /// Begins or ends to receive what is for a subject. Completes when that is so.
    fn interest<'a>(
        &'a self,
        hub: &'a HubName,
        subject: &'a Subject,
        on: bool,
    ) -> BoxFuture<'a, Result<(), BackplaneError>>;

    /// What other nodes send here. None when nothing ever does, or it was taken before.
    fn receiver(&self) -> Option<mpsc::Receiver<Incoming>>;
}
