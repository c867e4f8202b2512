//! The last words of a conversation (protocol reference, 5.6 and 5.10).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join};
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::context::{Context, ON_CONNECTED};
use super::definition::Hub;
use super::error::{HubError, HubResult};
use super::greeting::CODE_NORMAL;
use super::returning;
use super::running::guarded;
use super::seat::Seat;
use super::session::Session;
use crate::connections::End;
use crate::protocol::Close;

const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";
/// What the hub is told of its session's bug.
const PANICKED: &str = "The session panicked.";
/// The number of the call that `on_disconnected` is.
const ON_DISCONNECTED: u64 = u64::MAX;

/// How a conversation ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    /// Why, unless the connection has ended already.
    why: End,
    /// What the client is told.
    close: Option<Close>,
    /// What `on_disconnected` is told.
    error: Option<String>,
    /// Calls may finish and answer before the Close.
    patient: bool,
}

impl Farewell {
    /// The connection has ended.
    pub(super) fn after(end: &End, detailed: bool) -> Self {
        match end {
            // Seen by a long poll that is still open, never by a WebSocket.
            End::ClientLeft => Self::plain(None, true),
            End::Lost => Self::silent("The connection was lost."),
            End::NotResumed => Self::silent("The connection was lost and not resumed."),
            End::SendTimedOut => Self::silent("The client took nothing for the send timeout."),
            // `connections` has written its Close already.
            End::TooSlow => Self::silent("The client reads too slowly."),
            // What its own session decides: it has its words already.
            End::ClientClosed | End::ClientFault | End::Unwelcome => {
                Self::silent("The connection has ended.")
            }
            // Its session has not begun; `greeting` answers it.
            End::HandshakeRefused | End::HandshakeTimedOut => {
                Self::silent("The handshake was canceled.")
            }
            End::ClientTimedOut => Self::fault(
                "OperationCanceledException",
                "Client hasn't sent a message/ping within the configured ClientTimeoutInterval."
                    .to_owned(),
                detailed,
            ),
            End::Stale => Self::fault(
                "OperationCanceledException",
                "Nothing was heard of the client for too long.".to_owned(),
                detailed,
            ),
            End::Expired => Self::plain(None, true),
            End::Asked { reason, allow_reconnect } => Self::plain(reason.clone(), *allow_reconnect),
            // Seen by nobody: the session that would say it is gone.
            End::Panicked => Self::silent(PANICKED),
            End::Stopping => Self { patient: true, ..Self::plain(None, true) },
        }
    }

    /// The client broke the rules: it may come back and do better.
    pub(super) fn fault(kind: &'static str, text: String, detailed: bool) -> Self {
        let told = HubError::of_kind(kind, text.clone()).told(CLOSED_WITH_ERROR, detailed);
        let close = Close { error: Some(told), allow_reconnect: true };
        Self { why: End::ClientFault, error: Some(text), ..Self::with(Some(close)) }
    }

    /// The client said Close; its error goes to the hub only.
    pub(super) fn left(error: Option<String>) -> Self {
        Self { why: End::ClientClosed, error, ..Self::plain(None, false) }
    }

    /// The hub does not want the client, or cannot have it.
    fn unwelcome(error: &HubError, detailed: bool) -> Self {
        let told = error.told(CLOSED_WITH_ERROR, detailed);
        let close = Close { error: Some(told), allow_reconnect: false };
        Self { why: End::Unwelcome, ..Self::with(Some(close)) }
    }

    fn plain(error: Option<String>, allow_reconnect: bool) -> Self {
        Self { error: error.clone(), ..Self::with(Some(Close { error, allow_reconnect })) }
    }

    fn silent(error: &str) -> Self {
        Self { error: Some(error.to_owned()), ..Self::with(None) }
    }

    fn with(close: Option<Close>) -> Self {
        // For what follows an end; the first reason counts, so this one does not.
        let why = End::Asked { reason: None, allow_reconnect: false };
        Self { why, close, error: None, patient: false }
    }
}

impl<H: Hub> Session<H> {
    /// Registers the connection and lets the hub greet it. The client's messages wait meanwhile.
    pub(super) async fn welcome(&mut self) -> Result<(), Farewell> {
        let seat = self.seat.clone();
        let options = &seat.core.house.options;
        let delivery = seat.core.house.context.delivery();
        // Before it can be sent anything ordinary, for what is acknowledged must not come later. Who
        // was here before is first sent what it is owed.
        if let Some(own) = seat.core.subscription().filter(|own| !own.catches_up()) {
            // What was accepted since it came, too.
            own.replay_first().await;
        }
        if let Err(error) = delivery.connected(&seat.core.connection).await {
            return Err(Farewell::unwelcome(&error.into(), options.detailed_errors));
        }
        let context = Context::new(seat.clone(), ON_CONNECTED, None);
        let hello = async {
            returning::restore(&seat).await?;
            H::on_connected(context).await
        };
        let mut hello = Box::pin(in_time(options.callback_deadline, hello));
        seat.core.connection.set_busy(true);
        let greeted = std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(greeted) = hello.as_mut().poll(cx) {
                return std::task::Poll::Ready(Some(greeted));
            }
            self.poll_ahead(cx).map(|_ended| None)
        })
        .await;
        let greeted = match greeted {
            Some(greeted) => greeted,
            // The client has gone already. The hub may finish what it began, for a while.
            None => {
                seat.core.leave();
                in_time(options.call_grace, hello).await
            }
        };
        seat.core.connection.set_busy(false);
        seat.core.is_welcome.store(greeted.is_ok(), Ordering::Release);
        greeted.map_err(|error| {
            let (hub, connection) = (seat.core.house.context.name(), seat.core.connection.id());
            tracing::debug!(%hub, %connection, %error, "a client was not welcome");
            Farewell::unwelcome(&error, options.detailed_errors)
        })
    }

    /// What the client is owed goes out beside everything else, for it may take a while. Nearly all
    /// are owed nothing.
    pub(super) fn catch_up(&mut self) {
        let Some(own) = self.seat.core.subscription() else { return };
        let gap = own.take_gap();
        if own.catches_up() || gap.is_some() {
            let seat = self.seat.clone();
            self.calls.push(Box::pin(async move { returning::replay(&seat.core, gap).await }));
        }
    }

    /// Says the last words, lets calls finish, and tells the hub.
    pub(super) async fn depart(self, farewell: Farewell) {
        let Self { pipe, seat, mut calls, .. } = self;
        let options = &seat.core.house.options;
        seat.core.leave();
        if farewell.patient {
            settle(&mut calls, options.call_grace).await;
        }
        // The Close is queued first; what follows does not wait for the client to take it.
        let closing = pipe.finish(farewell.why, farewell.close.as_ref(), CODE_NORMAL);
        let leaving = async {
            let delivery = seat.core.house.context.delivery();
            delivery.disconnected(&seat.core.connection).await;
            settle(&mut calls, options.call_grace).await;
            drop(calls);
            say_goodbye(&seat, farewell.error).await;
        };
        join(closing, leaving).await;
    }
}

/// Tells the hub that a client has gone, once, and only if it greeted it: otherwise `on_connected`
/// failed, or was never asked.
async fn say_goodbye<H: Hub>(seat: &Arc<Seat<H>>, error: Option<String>) {
    if !seat.core.is_welcome.swap(false, Ordering::AcqRel) {
        return;
    }
    let context = Context::new(seat.clone(), ON_DISCONNECTED, None);
    let goodbye = async {
        H::on_disconnected(context, error).await;
        Ok(())
    };
    let deadline = seat.core.house.options.callback_deadline;
    if let Err(error) = in_time(deadline, goodbye).await {
        let (hub, connection) = (seat.core.house.context.name(), seat.core.connection.id());
        tracing::warn!(%hub, %connection, %error, "on_disconnected failed");
    }
}

/// The session has panicked, and with it went its pipe and its calls. What others know of the
/// connection goes, too: it must not be sent to, counted or waited for.
pub(super) async fn after_panic<H: Hub>(seat: Arc<Seat<H>>, panic: HubError) {
    let core = &seat.core;
    let (hub, connection) = (core.house.context.name(), core.connection.id());
    tracing::error!(%hub, %connection, error = %panic, "a session panicked; its client may come back");
    core.leave();
    core.house.context.delivery().disconnected(&core.connection).await;
    say_goodbye(&seat, Some(PANICKED.to_owned())).await;
}

/// Lets calls go on for a while.
async fn settle(calls: &mut FuturesUnordered<BoxFuture<'static, ()>>, grace: Duration) {
    if calls.is_empty() {
        return;
    }
    // Those that are not done by then are dropped by the caller.
    let _ = timeout(grace, async { while calls.next().await.is_some() {} }).await;
}

/// A callback of the hub, with a deadline and its panics caught.
async fn in_time<T>(
    deadline: Duration,
    callback: impl Future<Output = HubResult<T>>,
) -> HubResult<T> {
    match timeout(deadline, guarded(callback)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(panic),
        Err(_elapsed) => Err(HubError::of_kind("TimeoutException", "The operation has timed out.")),
    }
}
