//! The end of a node, in an order that loses as little as possible.
//!
//! ```text
//! ready says 503 ─▶ nobody new ─▶ Close with allowReconnect, in batches ─▶ calls and outboxes end
//!   stop_notice                     1000 every 100 ms                       at most 5 s
//!                                                          tasks end ─▶ the store writes the rest
//! ```
//!
//! Batches, so that the clients' reconnects do not reach the other nodes as one wave.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::builder::Server;
use crate::connections::End;

const BATCH: usize = 1_000;
const BETWEEN_BATCHES: Duration = Duration::from_millis(100);
/// For running calls and for what waits in outboxes, after the last Close was queued.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// For everything, the notice included.
const TOTAL: Duration = Duration::from_secs(30);
/// For what the store has still to write.
const FLUSH: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// How the stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had to be cut off.
    pub cut_off: usize,
}

/// Stops the server; takes at most 30 seconds.
pub(super) async fn stop(server: Server, closing: impl FnOnce()) -> Stopped {
    let deadline = Instant::now() + TOTAL;
    server.health.begin_stop();
    tracing::info!(connections = server.connections.count(), "stopping");
    let notice_ends = deadline.min(Instant::now() + server.options.stop_notice);
    tokio::time::sleep_until(notice_ends).await;
    server.transport.stop_accepting();
    closing();
    let closed = timeout_at(deadline, close_all(&server)).await.is_ok();
    if closed {
        let limit = deadline.min(Instant::now() + LAST_WORDS);
        // Whoever is left after that is counted below.
        let _ = timeout_at(limit, nobody_left(&server)).await;
    }
    let cut_off = server.connections.count();
    server.stop.cancel();
    server.tasks.close();
    // Tasks that hang on are dropped with the runtime.
    let rest = deadline.min(Instant::now() + Duration::from_secs(1));
    let _ = timeout_at(rest, server.tasks.wait()).await;
    // The store is last: what was said until here is written.
    let flushed = timeout_at(deadline.min(Instant::now() + FLUSH), server.delivery.flush()).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!(?flushed, "the store took too long; what it had not written comes again");
    }
    tracing::info!(cut_off, "stopped");
    Stopped { cut_off }
}

async fn close_all(server: &Server) {
    let connections = server.connections.all();
    for (index, batch) in connections.chunks(BATCH).enumerate() {
        if index > 0 {
            tokio::time::sleep(BETWEEN_BATCHES).await;
        }
        for connection in batch {
            connection.end(End::Stopping);
        }
    }
}

async fn nobody_left(server: &Server) {
    while server.connections.count() > 0 {
        // Somebody may have come in between the snapshot and the closing of the door.
        for connection in server.connections.all() {
            connection.end(End::Stopping);
        }
        tokio::time::sleep(LOOK).await;
    }
}
