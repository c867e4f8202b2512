//! The accept loop: sockets become HTTP connections, bounded in number and in patience.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::config::Config;
use super::io::Io;
use super::metrics::Metrics;
use crate::auth::PeerAddr;

/// Without file descriptors accept fails at once, again and again: after each failure in a row the
/// pause is twice as long. The first is short, because most often a socket closes soon; the longest
/// is what a client waits at most once sockets can be opened again.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Answers that are on their way may end within this after `stop`.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// Bytes of a request head and of one piece of a body; hyper's least is 8 KiB.
const READ_BUFFER_MAX: usize = 65_536;

/// A socket's place among the open ones, given back when it is dropped.
pub(super) struct Permit {
    _place: OwnedSemaphorePermit,
    open: IntGauge,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Accepts sockets until `stop` and runs `app` on each. Open requests go on after `stop`, without
/// keep-alive; `tasks` knows when the last one has ended. Every request carries a [`PeerAddr`].
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: Config,
    metrics: Metrics,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout())
        .max_buf_size(READ_BUFFER_MAX);
    let mut pauses = pauses();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_client(&error) => continue,
            Err(error) => {
                metrics.refuse("accept_error");
                let pause = pauses.next().unwrap_or(PAUSE_MAX);
                tracing::warn!(%error, ?pause, "no socket can be accepted");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => continue,
                }
            }
        };
        pauses = self::pauses();
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics.refuse("connections_max");
            continue;
        };
        metrics.sockets.inc();
        let permit = Permit { _place: place, open: metrics.sockets.clone() };
        if let Err(error) = prepare(&stream, &config) {
            tracing::debug!(%error, %peer, "the socket's options could not be set");
        }
        let io = Io::new(stream, permit, config.send_timeout());
        tasks.spawn(converse(http.clone(), io, peer, app.clone(), stop.clone()));
    }
}

fn prepare(stream: &TcpStream, config: &Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(config.send_buffer_bytes)?;
    // A host that is gone says nothing: the pings to it wait in the kernel, not in the outbox, where
    // the send timeout would see them.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.unacked_timeout())?;
    Ok(())
}

/// A client that gave up is nobody's problem; anything else is most likely a limit of the system.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The pauses after failures in a row, without end.
fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE_MIN).with_max_delay(PAUSE_MAX);
    pauses.with_factor(2.0).without_max_times().build()
}

/// Speaks HTTP on one socket until it ends or is upgraded; nothing of it stays after that.
async fn converse(
    http: http1::Builder,
    io: Io,
    peer: SocketAddr,
    app: Router,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer));
        app.clone().call(request)
    });
    let connection = http.serve_connection(TokioIo::new(io), service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_ANSWERS, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, %peer, "an HTTP connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_failures_double_up_to_a_second_and_do_not_end() {
        // Doubled in floating point, so a pause may be a nanosecond short.
        let ms: Vec<_> = pauses().take(12).map(|pause| pause.as_secs_f64() * 1_000.0).collect();
        let expected = [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000, 1_000];
        for (ms, expected) in ms.iter().zip(expected) {
            assert!((ms - f64::from(expected)).abs() < 1.0, "{ms} is not {expected}");
        }
        assert_eq!(ms.len(), expected.len());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_accepted_socket_does_not_wait_for_a_vanished_host_as_long_as_the_kernel_would() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (ms, patience) in [(60_000, Some(Duration::from_secs(60))), (0, None)] {
            let _client = TcpStream::connect(address).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let config = Config { unacked_timeout_ms: ms, ..Config::default() };
            prepare(&stream, &config).unwrap();
            let set = SockRef::from(&stream).tcp_user_timeout().unwrap();
            assert_eq!(set, patience);
        }
    }

    #[test]
    fn a_client_that_gave_up_costs_the_others_no_pause() {
        assert!(is_of_client(&io::ErrorKind::ConnectionAborted.into()));
        let too_many_files = io::Error::from_raw_os_error(24);
        assert!(!is_of_client(&too_many_files));
    }
}
