//! A subscriber: one client id and one memory, over as many connections as it takes.

use std::collections::VecDeque;
use std::future::Future;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::builder::Builder;
use super::client_id::ClientId;
use super::error::{CallError, ConnectError};
use super::handle::Client;
use super::memory::Memory;
use crate::timing::Backoff;

/// Ended connections whose handlers may still run. One more ends the oldest, handler and all.
const FINISHING_MAX: usize = 8;

/// What stays the same over all connections, and how they follow one another.
#[derive(Clone)]
pub struct Reconnects {
    /// Who the subscriber is.
    pub client_id: ClientId,
    /// What it has handled.
    pub memory: Memory,
    /// The longest first wait. Defaults to half a second.
    pub wait_min: Duration,
    /// The longest wait. Every wait is random between nothing and its bound, so that a crowd does
    /// not come back at once. Defaults to 30 s.
    pub wait_max: Duration,
    /// Who is to know the tasks.
    pub tasks: TaskTracker,
}

impl Reconnects {
    /// Of this subscriber, with a memory of its own.
    pub fn of(client_id: ClientId) -> Self {
        Self {
            client_id,
            memory: Memory::default(),
            wait_min: Duration::from_millis(500),
            wait_max: Duration::from_secs(30),
            tasks: TaskTracker::new(),
        }
    }
}

/// Where a subscriber is.
#[derive(Clone)]
pub enum State {
    /// Not there, but on its way.
    Connecting,
    /// There, and greeted.
    Connected(Client),
    /// Over for good, and why.
    Ended(String),
}

/// Keeps a connection open until it is stopped or the server says that it may not come back.
/// Dropping it ends the connection at once, as if the process had died.
pub struct Subscriber {
    state: watch::Receiver<State>,
    stop: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Subscriber {
    /// Starts to connect. `make` describes each connection: its URL, handlers, settings; client id and
    /// memory are added here. `greet` runs on each new connection before it counts as connected, to
    /// join groups for example; when it fails the connection is given up.
    pub fn start<M, G, F>(reconnects: Reconnects, make: M, greet: G) -> Self
    where
        M: Fn() -> Builder + Send + Sync + 'static,
        G: Fn(Client) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let (tell, state) = watch::channel(State::Connecting);
        let stop = CancellationToken::new();
        let tasks = reconnects.tasks.clone();
        let keeper = Keeper { reconnects, stop: stop.clone(), tell, finishing: VecDeque::new() };
        let task = tasks.spawn(keeper.run(make, greet));
        Self { state, stop, _task: AbortOnDropHandle::new(task) }
    }

    /// The connection, when there is one.
    pub fn client(&self) -> Option<Client> {
        match &*self.state.borrow() {
            State::Connected(client) => Some(client.clone()),
            State::Connecting | State::Ended(_) => None,
        }
    }

    /// Where it is, and every change of it.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until it is connected and greeted; an error says why it never will be.
    pub async fn connected(&self) -> Result<Client, String> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Connected(client) => return Ok(client.clone()),
                State::Ended(why) => return Err(why.clone()),
                State::Connecting => {}
            }
            if state.changed().await.is_err() {
                return Err("the subscriber's task has ended".into());
            }
        }
    }

    /// Says goodbye and waits for the end, as [`Client::stop`].
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut state = self.state.clone();
        let _ = state.wait_for(|state| matches!(state, State::Ended(_))).await;
    }
}

struct Keeper {
    reconnects: Reconnects,
    stop: CancellationToken,
    tell: watch::Sender<State>,
    /// Ended connections whose handlers may still run: what has begun is not stopped half-way.
    finishing: VecDeque<Client>,
}

impl Drop for Keeper {
    /// Whoever watches must not keep the connection of a dropped subscriber.
    fn drop(&mut self) {
        self.tell.send_if_modified(|state| {
            let is_over = matches!(state, State::Ended(_));
            if !is_over {
                *state = State::Ended("the subscriber was dropped".into());
            }
            !is_over
        });
    }
}

impl Keeper {
    async fn run<M, G, F>(mut self, make: M, greet: G)
    where
        M: Fn() -> Builder,
        G: Fn(Client) -> F,
        F: Future<Output = Result<(), CallError>>,
    {
        let Reconnects { wait_min, wait_max, .. } = self.reconnects;
        let backoff = Backoff::new(wait_min, wait_max);
        let mut failures = 0;
        loop {
            match self.connect(&make, &greet).await {
                Ok(Some(client)) => {
                    let since = Instant::now();
                    if let Some(why) = self.stay(client).await {
                        self.tell.send_replace(State::Ended(why));
                        return;
                    }
                    // One that is thrown out at once must not come back at once for ever.
                    failures = if since.elapsed() > wait_max { 0 } else { failures + 1 };
                }
                Ok(None) => failures += 1,
                Err(why) => {
                    self.tell.send_replace(State::Ended(why));
                    return;
                }
            }
            let random = getrandom::u64().unwrap_or(u64::MAX / 2);
            tokio::select! {
                () = sleep(backoff.delay(failures.min(31) , random)) => {}
                () = self.stop.cancelled() => {
                    self.tell.send_replace(State::Ended("stopped".into()));
                    return;
                }
            }
        }
    }

    /// One try. None: it failed and may work later. An error: it never will, or nobody wants it.
    async fn connect<M, G, F>(&self, make: &M, greet: &G) -> Result<Option<Client>, String>
    where
        M: Fn() -> Builder,
        G: Fn(Client) -> F,
        F: Future<Output = Result<(), CallError>>,
    {
        let connecting = async {
            let builder = make()
                .client_id(self.reconnects.client_id.clone())
                .memory(&self.reconnects.memory)
                .tasks(&self.reconnects.tasks);
            let client = match builder.connect().await {
                Ok(client) => client,
                Err(error) if is_hopeless(&error) => return Err(error.to_string()),
                Err(error) => {
                    tracing::debug!(%error, "not connected");
                    return Ok(None);
                }
            };
            // The deadline is that of the calls in it.
            if let Err(error) = greet(client.clone()).await {
                tracing::debug!(%error, "not greeted");
                client.stop().await;
                return Ok(None);
            }
            Ok(Some(client))
        };
        tokio::select! {
            connected = connecting => connected,
            () = self.stop.cancelled() => Err("stopped".into()),
        }
    }

    /// Until the connection ends. Some: it is not to be followed by another.
    async fn stay(&mut self, client: Client) -> Option<String> {
        self.tell.send_replace(State::Connected(client.clone()));
        let closed = tokio::select! {
            closed = client.closed() => closed,
            () = self.stop.cancelled() => {
                client.stop().await;
                return Some("stopped".into());
            }
        };
        if self.stop.is_cancelled() || !closed.allow_reconnect {
            return Some(closed.to_string());
        }
        self.tell.send_replace(State::Connecting);
        self.finishing.retain(|client| !client.is_finished());
        self.finishing.push_back(client);
        if self.finishing.len() > FINISHING_MAX {
            self.finishing.pop_front();
        }
        None
    }
}

/// Whether another try can only fail as this one did.
fn is_hopeless(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::BadUrl { .. } | ConnectError::NoTls { .. } | ConnectError::BadHeader { .. }
    )
}
