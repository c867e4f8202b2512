//! A world for this room's tests: a node in memory, a hub that does what tests need, clients with
//! verbs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HubHost, HubOptions, Metrics};
use crate::connections::tests_support::Socket;
use crate::connections::{
    Config, Connection, Connections, Endpoint, Inbound, NewConnection, Opening, Outlet, Settings,
    Source,
};
use crate::delivery::{
    AckMode, Acknowledged, Counts, DeadFilter, Delivery, Publisher, event_from_json,
};
use crate::hub::tests::hub::TestHub;
use crate::model::{Audience, Caller, Envelope, TransportKind};

pub(super) struct World {
    pub(super) host: Arc<HubHost<TestHub>>,
    pub(super) node: Arc<Connections>,
    pub(super) tasks: TaskTracker,
    pub(super) metrics: Metrics,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut HubOptions)) -> Self {
        Self::build(false, change)
    }

    /// A world with a store, whose hub allows all ways to acknowledge.
    pub(super) fn keeping(change: impl FnOnce(&mut HubOptions)) -> Self {
        Self::build(true, |options| {
            options.acks = vec![AckMode::None, AckMode::Method, AckMode::Result];
            change(options);
        })
    }

    fn build(keeping: bool, change: impl FnOnce(&mut HubOptions)) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = crate::connections::Metrics::new(&registry).unwrap();
        let config = Config { outbox_messages_max: 64, ..Config::default() };
        let node = Connections::new(&config, 1, metrics);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        node.start(&tasks, &stop);
        let mut options = HubOptions { stateful_reconnect: true, ..HubOptions::named("hub") };
        change(&mut options);
        let delivery = if keeping {
            let hub = ("hub".into(), options.hub_acks());
            Delivery::alone_keeping(&node, hub, tasks.clone(), &stop)
        } else {
            Delivery::alone(&node, ["hub".into()], tasks.clone())
        };
        let metrics = Metrics::new(&registry).unwrap();
        let host = HubHost::new(TestHub::default(), options, delivery, &metrics);
        Self { host, node, tasks, metrics, stop }
    }

    /// The way to every audience, from outside.
    pub(super) fn delivery(&self) -> Arc<Delivery> {
        self.host.context().delivery().clone()
    }

    /// Publishes an acknowledged message with an empty object to a group.
    pub(super) async fn publish(&self, id: &str, group: &str) -> u64 {
        let event = event_from_json("News", Bytes::from_static(b"[{}]")).unwrap();
        let mut envelope = Envelope::ordinary("hub".into(), Audience::group(group), event.into());
        envelope.id = id.into();
        let message = Acknowledged {
            envelope,
            publisher: Publisher { tenant: "backend".into(), ordering_key: None },
            critical: false,
            require_audience: false,
            body_hash: [0; 16],
            on_first: None,
        };
        self.delivery().publish_acknowledged(message).await.unwrap().targeted
    }

    /// Publishes an ordinary event without arguments to a group.
    pub(super) async fn ordinary(&self, target: &str, group: &str) {
        let context = self.host.context();
        context.clients().group(group).send(target, ()).await.unwrap();
    }

    /// What became of all pairs.
    pub(super) async fn pairs(&self) -> Counts {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.delivery().delivery_stats().await.unwrap().pairs
    }

    /// Why messages died, in order.
    pub(super) async fn deaths(&self) -> Vec<&'static str> {
        let page = self.delivery().dead_letters(DeadFilter::default(), None, 100).await.unwrap();
        page.letters.iter().map(|letter| letter.reason.name()).collect()
    }

    /// What the hub's callbacks and methods wrote down.
    pub(super) fn log(&self) -> Vec<String> {
        self.host.hub().log.lock().clone()
    }

    /// A client before its handshake.
    pub(super) fn open(&self, id: &str, caller: Caller, query: &str) -> Client {
        let new = NewConnection {
            id: id.into(),
            hub: "hub".into(),
            caller: Arc::new(caller),
            peer: None,
            agent: None,
            transport: TransportKind::WebSockets,
            settings: Arc::new(Settings::default()),
            binary: query != "text-only",
            pings: true,
            resumable: true,
        };
        let (wire, socket) = (Wire::default(), Arc::new(Socket::default()));
        let outlet = Outlet::Direct(socket.clone());
        let (connection, pipe) = self.node.open(new, Box::new(wire.clone()), outlet);
        let opening = Opening { query: query.into(), peer: None };
        self.tasks.spawn(self.host.converse(pipe, opening));
        Client { connection, wire, socket, seen: 0 }
    }

    /// A client of a user, with a query, after its handshake.
    pub(super) async fn connect_as(&self, id: &str, user: &str, query: &str) -> Client {
        let mut client = self.open(id, Caller::of_user(user), query);
        client.send(r#"{"protocol":"json","version":1}"#);
        client.skip_handshake().await;
        client
    }

    /// A client after a JSON handshake of version 1.
    pub(super) async fn connect(&self, id: &str) -> Client {
        let mut client = self.open(id, Caller::default(), "");
        client.send(r#"{"protocol":"json","version":1}"#);
        client.expect(&["{}"]).await;
        client
    }

    /// A client with stateful reconnect.
    pub(super) async fn connect_stateful(&self, id: &str) -> Client {
        let mut client = self.open(id, Caller::default(), "");
        client.send(r#"{"protocol":"json","version":2}"#);
        client.expect(&["{}"]).await;
        client
    }
}

/// One client, seen from its side.
pub(super) struct Client {
    pub(super) connection: Arc<Connection>,
    wire: Wire,
    pub(super) socket: Arc<Socket>,
    seen: usize,
}

impl Client {
    /// The handshake is answered well; what follows it at once is still to be received.
    pub(super) async fn skip_handshake(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(self.socket.messages()[0], serde_json::json!({}));
        self.seen = 1;
    }

    /// The names of events that have come; ids of acknowledged messages instead where they show.
    pub(super) async fn events(&mut self) -> Vec<String> {
        let received = self.received().await;
        let name = |message: &Value| {
            let ids = [&message["arguments"][0]["messageId"], &message["invocationId"]];
            let id = ids.into_iter().find_map(Value::as_str);
            id.or(message["target"].as_str()).unwrap_or_default().to_owned()
        };
        received.iter().filter(|message| message["type"] == 1).map(name).collect()
    }

    /// Sends messages, each without its separator.
    pub(super) fn send(&self, message: &str) {
        self.send_all(&[message]);
    }

    /// Sends messages in one piece.
    pub(super) fn send_all(&self, messages: &[&str]) {
        let text: String = messages.iter().flat_map(|message| [*message, "\u{1e}"]).collect();
        self.send_bytes(text.as_bytes());
    }

    pub(super) fn send_bytes(&self, bytes: &[u8]) {
        self.wire.say(Said::Bytes(Bytes::copy_from_slice(bytes)));
    }

    pub(super) fn lose(&self) {
        self.wire.say(Said::End(Inbound::Lost));
    }

    /// Its session meets a bug at the next read.
    pub(super) fn meet_a_bug(&self) {
        self.wire.say(Said::Bug);
    }

    pub(super) fn close(&self) {
        self.wire.say(Said::End(Inbound::Closed));
    }

    /// Comes back on a new socket.
    pub(super) fn resume(&mut self) {
        (self.wire, self.socket, self.seen) = (Wire::default(), Arc::default(), 0);
        let outlet = Outlet::Direct(self.socket.clone());
        self.connection.resume(Box::new(self.wire.clone()), outlet).unwrap();
    }

    /// Calls a method and waits for the answer.
    pub(super) async fn call(&mut self, target: &str, arguments: &str) -> Value {
        self.send(&format!(
            r#"{{"type":1,"invocationId":"c","target":"{target}","arguments":{arguments}}}"#
        ));
        let mut answers = self.received().await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// What has come since the last look, pings left out.
    pub(super) async fn received(&mut self) -> Vec<Value> {
        // Long enough for a few turns, too short for any timer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let all = self.socket.messages();
        let new = all[self.seen..].iter().filter(|message| message["type"] != 6).cloned().collect();
        self.seen = all.len();
        new
    }

    #[track_caller]
    pub(super) fn expect(&mut self, messages: &[&str]) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let expected: Vec<Value> =
            messages.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        async move {
            let received = self.received().await;
            assert_eq!(received, expected, "at {place}");
        }
    }

    /// The server has said a Close and its transport's close frame, and nothing behind them.
    pub(super) async fn expect_close(&mut self, close: &str) {
        self.expect(&[close]).await;
        assert!(self.socket.is_closed(), "no close frame");
    }
}

enum Said {
    Bytes(Bytes),
    End(Inbound),
    Bug,
}

/// What a client has sent.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<(VecDeque<Said>, Option<Waker>)>>);

impl Wire {
    fn say(&self, said: Said) {
        let mut wire = self.0.lock();
        wire.0.push_back(said);
        if let Some(waker) = wire.1.take() {
            waker.wake();
        }
    }
}

impl Source for Wire {
    fn poll_read(&mut self, cx: &mut std::task::Context<'_>, out: &mut BytesMut) -> Poll<Inbound> {
        let mut wire = self.0.lock();
        match wire.0.front() {
            None => {
                wire.1 = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Said::End(end)) => Poll::Ready(*end),
            Some(Said::Bug) => panic!("a bug in the session of a test"),
            Some(Said::Bytes(bytes)) => {
                out.extend_from_slice(bytes);
                wire.0.pop_front();
                Poll::Ready(Inbound::Data)
            }
        }
    }
}
