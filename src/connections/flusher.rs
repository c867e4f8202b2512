//! One task per shard that writes each dirty outbox once a turn (decision D5).
//!
//! Woken once, it yields once before it drains its list, so that everything that is ready in the
//! same turn of the runtime shares a write. Only a socket that is full gets a future that waits.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::sink::Sink;

/// Writes between two yields: at about 3 µs other tasks run after 3 ms at the latest. Many, because
/// the first who have a message answer it, and their answers would be read before the last have it.
const WRITES_PER_TURN: usize = 1_024;

/// Connections whose sockets are full, each with the socket that is waited for.
type Full = FuturesUnordered<BoxFuture<'static, (Arc<Connection>, Arc<dyn Sink>)>>;

/// The list of one shard.
#[derive(Default)]
pub(super) struct Shard {
    dirty: Mutex<Vec<Arc<Connection>>>,
    wake: Notify,
}

impl Shard {
    pub(super) fn mark(&self, connection: Arc<Connection>) {
        let mut dirty = self.dirty.lock();
        let first = dirty.is_empty();
        dirty.push(connection);
        drop(dirty);
        if first {
            self.wake.notify_one();
        }
    }

    pub(super) fn mark_all(&self, connections: &mut Vec<Arc<Connection>>) {
        if connections.is_empty() {
            return;
        }
        let mut dirty = self.dirty.lock();
        let first = dirty.is_empty();
        dirty.append(connections);
        drop(dirty);
        if first {
            self.wake.notify_one();
        }
    }

    /// Runs until `stop`. Drops its list then; sessions flush their own last words by themselves.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut full = Full::new();
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                Some((connection, sink)) = full.next(), if !full.is_empty() => {
                    write(connection, Some(&sink), &full);
                    continue;
                }
            }
            tokio::task::yield_now().await;
            std::mem::swap(&mut batch, &mut *self.dirty.lock());
            for (index, connection) in batch.drain(..).enumerate() {
                write(connection, None, &full);
                if (index + 1) % WRITES_PER_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// Writes one outbox; when its socket is full, waits for it beside the others.
fn write(connection: Arc<Connection>, waited_for: Option<&Arc<dyn Sink>>, full: &Full) {
    let Some(sink) = connection.flush_queued(waited_for) else { return };
    connection.node.metrics().blocked_writes.inc();
    full.push(Box::pin(async move {
        sink.writable().await;
        (connection, sink)
    }));
}
