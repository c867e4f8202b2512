//! Client results: one client is asked, and somebody waits for its answer (section 5.7).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::outlet::{Delivery, DeliveryError};
use crate::backplane::{Answer, Question};
use crate::connections::{Connection, Frame};
use crate::model::{ConnectionId, HubName};
use crate::protocol::{Arguments, Completion, Outcome, RawValue, encode};

/// Questions that may be open on one node.
const OPEN_MAX: usize = 100_000;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody has that connection.
    #[error("Connection '{0}' does not exist.")]
    NoSuchConnection(ConnectionId),
    /// It left before it answered.
    #[error("Connection '{0}' disconnected.")]
    Disconnected(ConnectionId),
    /// The client answered with an error; this is its text.
    #[error("{0}")]
    Refused(String),
    /// The deadline passed.
    #[error("Invocation canceled by the server.")]
    TimedOut,
    /// The bound of open questions is reached.
    #[error("too many questions to clients are open on this node (at most {OPEN_MAX})")]
    Full,
    /// The arguments cannot be said in the client's protocol.
    #[error("{0}")]
    NotEncodable(String),
    /// The backplane failed.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

/// What became of a client's Completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Somebody was waiting for it.
    Taken,
    /// Nobody waits for it; to be ignored (B11).
    Unknown,
    /// Another connection was asked; whoever sent this is to be disconnected (B13).
    NotAsked,
}

/// The open questions of this node.
pub(super) struct Questions {
    open: Mutex<Open>,
    next: AtomicU64,
    gauge: IntGauge,
    refused: IntCounter,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<Box<str>, Pending>,
    by_connection: HashMap<ConnectionId, HashSet<Box<str>>>,
}

struct Pending {
    connection: ConnectionId,
    answer: oneshot::Sender<Answer>,
}

impl Questions {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            open: Mutex::default(),
            next: AtomicU64::new(1),
            gauge: metrics.questions_open.clone(),
            refused: metrics.questions_refused.clone(),
        }
    }

    fn begin(&self, connection: &ConnectionId) -> Option<(Box<str>, oneshot::Receiver<Answer>)> {
        // `s…` cannot collide with ids of a client's own streams, which are numbers.
        let id: Box<str> = format!("s{}", self.next.fetch_add(1, Ordering::Relaxed)).into();
        let (sender, receiver) = oneshot::channel();
        let mut open = self.open.lock();
        if open.by_id.len() >= OPEN_MAX {
            self.refused.inc();
            return None;
        }
        let pending = Pending { connection: connection.clone(), answer: sender };
        open.by_id.insert(id.clone(), pending);
        open.by_connection.entry(connection.clone()).or_default().insert(id.clone());
        self.gauge.inc();
        Some((id, receiver))
    }

    fn take(&self, id: &str) -> Option<Pending> {
        let mut open = self.open.lock();
        let pending = open.by_id.remove(id)?;
        if let Some(ids) = open.by_connection.get_mut(&pending.connection) {
            ids.remove(id);
            if ids.is_empty() {
                open.by_connection.remove(&pending.connection);
            }
        }
        self.gauge.dec();
        Some(pending)
    }

    fn is_asked(&self, id: &str, connection: &ConnectionId) -> Option<bool> {
        Some(self.open.lock().by_id.get(id)?.connection == *connection)
    }

    pub(super) fn connection_left(&self, connection: &ConnectionId) {
        let mut open = self.open.lock();
        let ids = open.by_connection.remove(connection).unwrap_or_default();
        let left: Vec<_> = ids.iter().filter_map(|id| open.by_id.remove(id)).collect();
        drop(open);
        self.gauge.sub(left.len() as i64);
        for pending in left {
            // Whoever asked may have given up.
            let _ = pending.answer.send(Answer::Disconnected);
        }
    }
}

/// Forgets a question when whoever asked stops waiting.
struct Forget<'a>(&'a Questions, Box<str>);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.take(&self.1);
    }
}

impl Delivery {
    /// Asks one client and waits for its answer, at most `deadline`.
    pub async fn ask(
        &self,
        hub: &HubName,
        connection: &ConnectionId,
        target: &str,
        arguments: Arc<dyn Arguments>,
        deadline: Duration,
    ) -> Result<RawValue, AskError> {
        let here = self.registry(hub)?.get(connection);
        let question =
            Question { connection: connection.clone(), target: target.into(), arguments, deadline };
        let answer = match here {
            Some(asked) => self.ask_connection(&asked, &question).await?,
            None => self.backplane.ask(hub, question).await.map_err(DeliveryError::Backplane)?,
        };
        match answer {
            Answer::Completed(Outcome::Value(value)) => Ok(value),
            Answer::Completed(Outcome::Error(text)) => Err(AskError::Refused(text.to_string())),
            Answer::Completed(Outcome::Void) => Err(AskError::Refused(String::new())),
            Answer::NoSuchConnection => Err(AskError::NoSuchConnection(connection.clone())),
            Answer::Disconnected => Err(AskError::Disconnected(connection.clone())),
            Answer::TimedOut => Err(AskError::TimedOut),
            Answer::Full => Err(AskError::Full),
        }
    }

    /// A client completed something that is none of its uploads.
    pub fn answer(&self, from: &Connection, completion: Completion) -> Answered {
        match self.questions.is_asked(&completion.id, from.id()) {
            None => Answered::Unknown,
            Some(false) => Answered::NotAsked,
            Some(true) => {
                if let Some(pending) = self.questions.take(&completion.id) {
                    let _ = pending.answer.send(Answer::Completed(completion.outcome));
                }
                Answered::Taken
            }
        }
    }

    async fn ask_connection(
        &self,
        asked: &Arc<Connection>,
        question: &Question,
    ) -> Result<Answer, AskError> {
        let Some(protocol) = asked.protocol() else { return Ok(Answer::NoSuchConnection) };
        let Some((id, answer)) = self.questions.begin(asked.id()) else {
            return Ok(Answer::Full);
        };
        let _forget = Forget(&self.questions, id.clone());
        let encoded =
            encode::invocation(protocol, Some(&id), &question.target, &*question.arguments)
                .map_err(|error| AskError::NotEncodable(error.to_string()))?;
        let asking = async {
            if asked.send(Frame::ordered(encoded)).await.is_err() {
                return Answer::Disconnected;
            }
            answer.await.unwrap_or(Answer::Disconnected)
        };
        let answered = tokio::time::timeout(question.deadline, asking).await;
        Ok(answered.unwrap_or(Answer::TimedOut))
    }

    /// Another node asks a client that is here.
    pub(super) fn ask_here(
        self: &Arc<Self>,
        hub: &HubName,
        question: Question,
        answer: oneshot::Sender<Answer>,
    ) {
        let asked = self.registry(hub).ok().and_then(|registry| registry.get(&question.connection));
        let Some(asked) = asked else {
            let _ = answer.send(Answer::NoSuchConnection);
            return;
        };
        let delivery = self.clone();
        self.tasks.spawn(async move {
            let answered = delivery.ask_connection(&asked, &question).await;
            let _ = answer.send(answered.unwrap_or(Answer::Disconnected));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_more_than_may_be_open_is_refused_and_the_asked_one_may_leave_at_once() {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let questions = Questions::new(&metrics);
        let (one, another) = (ConnectionId::from("one"), ConnectionId::from("another"));
        let open: Vec<_> = (0..OPEN_MAX).map(|_| questions.begin(&one).unwrap()).collect();
        assert!(questions.begin(&another).is_none());
        assert_eq!(metrics.questions_refused.get(), 1);
        questions.take(&open[0].0);
        assert!(questions.begin(&another).is_some());
        assert_eq!(metrics.questions_open.get(), OPEN_MAX as i64);
        // Quickly, though everybody has asked the same one: with a search per question this would
        // take minutes.
        questions.connection_left(&one);
        assert_eq!(metrics.questions_open.get(), 1);
        assert_eq!(open[1..].iter().filter(|(id, _)| questions.take(id).is_some()).count(), 0);
    }
}
