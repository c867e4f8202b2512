//! The backplane of a node that is alone.

use futures_util::future::{BoxFuture, ready};
use tokio::sync::mpsc;

use super::Backplane;
use super::message::{Answer, BackplaneError, GroupCommand, Incoming, Published, Question, Reach};
use crate::model::{ConnectionId, Envelope, HubName, Subject};
use crate::protocol::Event;

/// Gives every event straight back; nobody is anywhere else.
#[derive(Clone, Copy, Debug, Default)]
pub struct InProcess;

impl Backplane for InProcess {
    fn publish<'a>(
        &'a self,
        envelope: Envelope<Event>,
    ) -> BoxFuture<'a, Result<Published, BackplaneError>> {
        Box::pin(ready(Ok(Published::DeliverHere(envelope))))
    }

    fn group<'a>(
        &'a self,
        _hub: &'a HubName,
        _command: GroupCommand,
    ) -> BoxFuture<'a, Result<Reach, BackplaneError>> {
        Box::pin(ready(Ok(Reach::Nobody)))
    }

    fn close<'a>(
        &'a self,
        _hub: &'a HubName,
        _connection: &'a ConnectionId,
        _reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reach, BackplaneError>> {
        Box::pin(ready(Ok(Reach::Nobody)))
    }

    fn ask<'a>(
        &'a self,
        _hub: &'a HubName,
        _question: Question,
    ) -> BoxFuture<'a, Result<Answer, BackplaneError>> {
        Box::pin(ready(Ok(Answer::NoSuchConnection)))
    }

    fn exists<'a>(
        &'a self,
        _hub: &'a HubName,
        _subject: &'a Subject,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>> {
        Box::pin(ready(Ok(false)))
    }

    fn interest<'a>(
        &'a self,
        _hub: &'a HubName,
        _subject: &'a Subject,
        _on: bool,
    ) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(ready(Ok(())))
    }

    fn receiver(&self) -> Option<mpsc::Receiver<Incoming>> {
        None
    }
}
