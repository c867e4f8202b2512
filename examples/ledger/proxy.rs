//! The links between subscribers and server: they can be cut and stalled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Problem;

const BUFFER_BYTES: usize = 16 << 10;

pub(crate) struct Proxy {
    pub(crate) address: String,
    target: String,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
    next: AtomicU64,
    tasks: TaskTracker,
}

/// One connection through the proxy.
pub(crate) struct Link {
    cut: CancellationToken,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(target: &str, tasks: &TaskTracker) -> Result<Arc<Self>, Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Arc::new(Self {
            address: listener.local_addr()?.to_string(),
            target: target.into(),
            links: Mutex::default(),
            next: AtomicU64::new(0),
            tasks: tasks.clone(),
        });
        tasks.spawn(proxy.clone().accept(listener));
        Ok(proxy)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(self.tasks.spawn(self.clone().carry(client))),
                // Out of descriptors, most likely: the next try may work.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn carry(self: Arc<Self>, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(&self.target).await else {
            return reset(&client); // as if it had come through to a port where nobody listens
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let link =
            Arc::new(Link { cut: CancellationToken::new(), stalled: watch::channel(false).0 });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.links.lock().insert(number, link.clone());
        {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::select! {
                () = pump(from_client, to_server, link.stalled.subscribe()) => {}
                () = pump(from_server, to_client, link.stalled.subscribe()) => {}
                () = link.cut.cancelled() => {}
            }
        }
        self.links.lock().remove(&number);
        if link.cut.is_cancelled() {
            reset(&client);
            reset(&server);
        }
    }

    /// All links there are now.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.lock().values().cloned().collect()
    }

    /// Everything flows again.
    pub(crate) fn heal(&self) {
        for link in self.links() {
            link.stall(false);
        }
    }
}

impl Link {
    /// Both sides get a reset, and what was on its way is lost.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Nothing gets through, and nobody notices.
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }
}

/// Until one end closes.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut stalled: watch::Receiver<bool>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        if stalled.wait_for(|stalled| !stalled).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}

/// The end of this socket will be a reset.
fn reset(stream: &TcpStream) {
    // On an error it is an ordinary end, which is a cut as well.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn linked(tasks: &TaskTracker) -> (Arc<Proxy>, TcpStream, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap().to_string();
        let proxy = Proxy::start(&target, tasks).await.unwrap();
        let mut client = TcpStream::connect(&proxy.address).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'a');
        (proxy, client, accepted)
    }

    #[tokio::test]
    async fn a_cut_link_ends_with_a_reset_on_both_sides() {
        let (proxy, mut client, mut server) = linked(&TaskTracker::new()).await;
        proxy.links()[0].cut();
        for side in [&mut client, &mut server] {
            let error = timeout(PATIENCE, side.read_u8()).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }

    #[tokio::test]
    async fn a_stalled_link_holds_everything_until_it_flows_again() {
        let (proxy, mut client, mut server) = linked(&TaskTracker::new()).await;
        proxy.links()[0].stall(true);
        client.write_all(b"b").await.unwrap();
        assert!(timeout(Duration::from_millis(100), server.read_u8()).await.is_err());
        proxy.heal();
        assert_eq!(timeout(PATIENCE, server.read_u8()).await.unwrap().unwrap(), b'b');
    }
}
