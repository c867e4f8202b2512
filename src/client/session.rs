//! The task of a client: links, one after another, and what is to be done beside them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::calls::Calls;
use super::dial::{Dialer, Socket};
use super::error::{CallError, Closed, ConnectError};
use super::handle::Client;
use super::handlers::Handlers;
use super::handling::Lane;
use super::link::{End, Link, Stateful};
use super::memory::Memory;
use super::settings::Settings;
use super::words::Words;
use crate::model::ConnectionId;
use crate::protocol::{Encoded, Protocol};

/// Between two attempts to resume.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// Answering a question, or sending the uploads of a call.
pub(super) type SideWork = BoxFuture<'static, ()>;

/// What the handles and the task have in common.
pub(super) struct Shared {
    pub(super) protocol: Protocol,
    pub(super) settings: Settings,
    pub(super) calls: Arc<Calls>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) outgoing: mpsc::Sender<Bytes>,
    pub(super) side_work: mpsc::Sender<SideWork>,
    /// Handlers of messages, in their order.
    pub(super) lane: mpsc::Sender<SideWork>,
    pub(super) memory: Memory,
    pub(super) words: Words,
    pub(super) stop: CancellationToken,
    pub(super) closed: watch::Sender<Option<Closed>>,
}

impl Shared {
    /// Queues a message of types 1 to 5.
    pub(super) async fn put(&self, encoded: Encoded) -> Result<(), CallError> {
        use mpsc::error::SendTimeoutError;
        let sent = self.outgoing.send_timeout(encoded.payload(), self.settings.send_timeout);
        match sent.await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Timeout(_)) => Err(CallError::Timeout("send_timeout")),
            Err(SendTimeoutError::Closed(_)) => Err(CallError::Closed(self.how_it_closed())),
        }
    }

    pub(super) fn how_it_closed(&self) -> Closed {
        self.closed.borrow().clone().unwrap_or_default()
    }

    /// Tells everybody that waits, once.
    fn finish(&self, closed: Closed) {
        let is_first = self.closed.send_if_modified(|present| {
            let is_first = present.is_none();
            present.get_or_insert_with(|| closed.clone());
            is_first
        });
        if is_first {
            self.calls.close(&closed);
            self.handlers.close();
        }
    }
}

/// A connection that is ready for hub messages.
pub(super) struct Opened {
    pub(super) protocol: Protocol,
    pub(super) connection_id: Option<ConnectionId>,
    pub(super) socket: Socket,
    /// What has come after the handshake's answer.
    pub(super) received: BytesMut,
    /// For stateful reconnect.
    pub(super) reopens: Option<Dialer>,
}

/// Starts the task and makes the first handle.
pub(super) fn start(
    opened: Opened,
    settings: Settings,
    handlers: Arc<Handlers>,
    memory: Memory,
    tasks: &TaskTracker,
) -> Client {
    let (outgoing_tx, outgoing) = mpsc::channel(settings.queue_messages_max.max(1));
    let (side_tx, side_work) = mpsc::channel(settings.side_work_max.max(1));
    let (lane_tx, arriving) = mpsc::channel(settings.messages_waiting_max.max(1));
    let lane = Lane::new(arriving, settings.messages_handled_at_once_max);
    let shared = Arc::new(Shared {
        protocol: opened.protocol,
        calls: Arc::new(Calls::new(settings.calls_max)),
        handlers,
        outgoing: outgoing_tx,
        side_work: side_tx,
        lane: lane_tx,
        memory,
        words: Words::new(settings.acks_waiting_max, settings.ack_delay),
        stop: CancellationToken::new(),
        closed: watch::Sender::new(None),
        settings,
    });
    let Opened { connection_id, socket, received, reopens, .. } = opened;
    let session = Session { shared: shared.clone(), reopens, side_work, lane };
    let task = tasks.spawn(session.run(socket, received, outgoing));
    Client::new(shared, connection_id, AbortOnDropHandle::new(task))
}

struct Session {
    shared: Arc<Shared>,
    reopens: Option<Dialer>,
    side_work: mpsc::Receiver<SideWork>,
    lane: Lane,
}

impl Session {
    async fn run(self, socket: Socket, received: BytesMut, outgoing: mpsc::Receiver<Bytes>) {
        let Self { shared, reopens, side_work, mut lane } = self;
        // However this future ends, by a panic in a handler too, nobody waits for it in vain.
        let ending = Ending(shared.clone());
        let side_work_max = shared.settings.side_work_max.max(1);
        tokio::select! {
            closed = links(&shared, reopens, socket, received, outgoing) => shared.finish(closed),
            () = work_beside(side_work, side_work_max) => {}
            () = lane.run() => {}
        }
        drop(ending);
        lane.finish().await;
    }
}

struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.finish(Closed::lost("The client's task has ended."));
    }
}

/// One link, and with stateful reconnect the next one after it is lost.
async fn links(
    shared: &Arc<Shared>,
    reopens: Option<Dialer>,
    socket: Socket,
    received: BytesMut,
    mut outgoing: mpsc::Receiver<Bytes>,
) -> Closed {
    let stateful = reopens.is_some().then(|| Stateful::new(shared.settings.replay_bytes_max));
    let mut link = Link::new(shared.clone(), stateful.as_ref(), socket, received);
    loop {
        let end = link.run(&mut outgoing).await;
        if shared.stop.is_cancelled() {
            if !matches!(end, End::Stopped) {
                link.close().await;
            }
            return Closed::default(); // as asked for, whoever was first
        }
        match end {
            End::Lost(closed) => {
                let Some(dialer) = &reopens else { return closed };
                tracing::debug!(?closed, "link lost, resuming");
                match reopen(shared, dialer).await {
                    Some(socket) => {
                        link =
                            Link::new(shared.clone(), stateful.as_ref(), socket, BytesMut::new());
                        link.resumes();
                    }
                    None if shared.stop.is_cancelled() => return Closed::default(),
                    None => return closed,
                }
            }
            End::Final(closed) => {
                shared.finish(closed.clone()); // before the courtesies, which take time
                link.close().await;
                return closed;
            }
            End::Stopped => return Closed::default(),
        }
    }
}

/// Opens the WebSocket again, at once and then every half second. None: the server does not know
/// the connection any more, or the time is over, or it is to stop.
async fn reopen(shared: &Shared, dialer: &Dialer) -> Option<Socket> {
    let deadline = Instant::now() + shared.settings.resume_timeout;
    let attempts = async {
        loop {
            match dialer.open().await {
                Ok(socket) => return Some(socket),
                Err(ConnectError::Status { .. }) => return None,
                Err(error) => tracing::debug!(%error, "resuming failed"),
            }
            sleep(RESUME_PAUSE).await;
        }
    };
    tokio::select! {
        socket = timeout_at(deadline, attempts) => socket.ok().flatten(),
        () = shared.stop.cancelled() => None,
    }
}

/// Runs at most `max` futures at once; never ends by itself.
async fn work_beside(mut arriving: mpsc::Receiver<SideWork>, max: usize) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(work) = arriving.recv(), if running.len() < max => running.push(work),
            Some(()) = running.next(), if !running.is_empty() => {}
            else => std::future::pending().await,
        }
    }
}
