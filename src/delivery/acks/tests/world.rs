//! A node with its store, and clients whose sockets are vectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backplane::InProcess;
use crate::connections::tests_support::{Silent, Socket};
use crate::connections::{self, Connection, Connections, NewConnection, Outlet, Pipe, Settings};
use crate::delivery::acks::{self, AcceptedReceipt, AckMode, Acknowledged, Acks, HubAcks};
use crate::delivery::acks::{NotAccepted, Publisher, Subscription};
use crate::delivery::{Delivery, DeliveryError, Keeping, event_from_json};
use crate::model::{Audience, Caller, Envelope, MessageId, TransportKind};
use crate::protocol::Protocol;
use crate::store::{
    self, ClientKey, Counts, DeadFilter, DeadLetter, Identity, LocalStore, SessionKey,
    SimulatedDisk,
};

/// What a test wants to be different.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) config: acks::Config,
    pub(super) connections: connections::Config,
    pub(super) store: store::Config,
    pub(super) hub: HubAcks,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            // No jitter in tests would be a lie; short waits are none.
            config: acks::Config::default(),
            connections: connections::Config::default(),
            store: store::Config { mode: store::Mode::Memory, ..store::Config::default() },
            hub: HubAcks::default(),
        }
    }
}

/// The files of a store.
pub(super) struct Folder(pub(super) std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) struct World {
    pub(super) delivery: Arc<Delivery>,
    pub(super) node: Arc<Connections>,
    pub(super) metrics: acks::Metrics,
    plan: Plan,
    store: Arc<LocalStore>,
    stop: CancellationToken,
    next: AtomicUsize,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub(super) async fn with(plan: Plan) -> Self {
        let metrics = store::Metrics::new(&prometheus::Registry::new()).unwrap();
        let store = Arc::new(LocalStore::in_memory(plan.store.clone(), metrics));
        Self::on(plan, store).await
    }

    /// A node whose store is in files, which go with the folder's guard.
    pub(super) async fn with_files(plan: Plan) -> (Self, Folder) {
        let (world, folder) = Self::on_files(plan);
        world.delivery.ready().await.unwrap();
        (world, folder)
    }

    /// As [`World::with_files`], with a store that nobody has told yet that clients may come.
    pub(super) fn on_files(mut plan: Plan) -> (Self, Folder) {
        let folder = std::env::temp_dir().join(format!("conduit-acks-{}", uuid::Uuid::new_v4()));
        plan.store.mode = store::Mode::Embedded;
        (plan.store.path, plan.store.reserve_mib) = (folder.clone(), 0);
        let metrics = store::Metrics::new(&prometheus::Registry::new()).unwrap();
        let now = store::Moment::default();
        let store = LocalStore::open(plan.store.clone(), metrics, now).unwrap();
        (Self::begin(plan, Arc::new(store)), Folder(folder))
    }

    /// A node whose store is on a disk that does what the test wants.
    pub(super) async fn on_disk(mut plan: Plan, disk: &SimulatedDisk) -> Self {
        (plan.store.mode, plan.store.reserve_mib) = (store::Mode::Embedded, 0);
        let store = disk.store(&plan.store, store::Moment::default());
        Self::on(plan, Arc::new(store)).await
    }

    /// The gateway stops where it stands, and begins again with what its store knows.
    pub(super) async fn restart(self) -> Self {
        self.stop.cancel();
        turn().await;
        Self::on(self.plan.clone(), self.store.clone()).await
    }

    async fn on(plan: Plan, store: Arc<LocalStore>) -> Self {
        let world = Self::begin(plan, store);
        world.delivery.ready().await.unwrap();
        world
    }

    fn begin(plan: Plan, store: Arc<LocalStore>) -> Self {
        let registry = prometheus::Registry::new();
        let metrics = connections::Metrics::new(&registry).unwrap();
        let node = Connections::new(&plan.connections, 1, metrics);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        node.start(&tasks, &stop);
        let metrics = acks::Metrics::new(&registry).unwrap();
        let delivery = Delivery::keeping(
            &node,
            Arc::new(InProcess),
            [("hub".into(), plan.hub)].into(),
            crate::delivery::Metrics::new(&registry).unwrap(),
            tasks.clone(),
            Keeping { store: store.clone(), config: plan.config.clone(), metrics: metrics.clone() },
        );
        tasks.spawn(delivery.clone().run(stop.clone()));
        Self { delivery, node, metrics, plan, store, stop, next: AtomicUsize::new(0) }
    }

    /// A client with a session, in group `g`, that acks by method.
    pub(super) async fn client(&self, name: &str) -> Client {
        self.join(name, AckMode::Method, false).await
    }

    pub(super) async fn join(&self, name: &str, mode: AckMode, stateful: bool) -> Client {
        let client = self.connect(name, mode, stateful).await;
        self.greet(&client).await;
        client
    }

    async fn greet(&self, client: &Client) {
        client.catch_up().await;
        self.delivery.connected(&client.connection).await.unwrap();
        self.join_group(client, "g").await;
    }

    /// A client whose replay has not begun.
    pub(super) async fn connect(&self, name: &str, mode: AckMode, stateful: bool) -> Client {
        let (opening, opened) = self.open(name, stateful).await;
        self.arrive(opening, mode, opened).await
    }

    /// As [`World::join`], for a client that speaks MessagePack.
    pub(super) async fn packed(&self, name: &str, mode: AckMode) -> Client {
        let client_id = Some("tab");
        let (opening, opened) = self.open_as(name, client_id, Protocol::MessagePack, false).await;
        let client = self.arrive(opening, mode, opened).await;
        self.greet(&client).await;
        client
    }

    /// A client that only the store knows.
    pub(super) async fn open(&self, name: &str, stateful: bool) -> (Opening, store::Opened) {
        self.open_as(name, Some("tab"), Protocol::Json, stateful).await
    }

    /// A stock client: no client id, and by result. It has not joined the group yet.
    pub(super) async fn stock(&self, name: &str) -> Client {
        let (opening, opened) = self.open_as(name, None, Protocol::Json, false).await;
        let client = self.arrive(opening, AckMode::Result, opened).await;
        client.catch_up().await;
        self.delivery.connected(&client.connection).await.unwrap();
        client
    }

    pub(super) async fn join_group(&self, client: &Client, group: &str) {
        let id = client.connection.id();
        self.delivery.join(&"hub".into(), id, &group.into()).await.unwrap();
    }

    async fn open_as(
        &self,
        name: &str,
        client_id: Option<&str>,
        protocol: Protocol,
        stateful: bool,
    ) -> (Opening, store::Opened) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let new = NewConnection {
            id: format!("{name}-{number}").as_str().into(),
            hub: "hub".into(),
            caller: Arc::new(Caller::of_user(name)),
            peer: None,
            agent: None,
            transport: TransportKind::WebSockets,
            settings: Arc::new(Settings::default()),
            binary: true,
            pings: false,
            resumable: true,
        };
        let socket = Arc::new(Socket::default());
        let (connection, pipe) =
            self.node.open(new, Box::new(Silent), Outlet::Direct(socket.clone()));
        connection.begin(protocol, stateful);
        let identity = Identity::Named(name.into());
        let client = client_id.map(|id| ClientKey::of(&identity, id).unwrap());
        let open = store::Open {
            key: SessionKey { hub: "hub".into(), identity, client },
            connection: connection.id().clone(),
            caller: name.into(),
        };
        let opened = self.acks().store.open(open, self.acks().now()).await.unwrap();
        (Opening { connection, socket, pipe }, opened)
    }

    pub(super) async fn arrive(
        &self,
        opening: Opening,
        mode: AckMode,
        opened: store::Opened,
    ) -> Client {
        let Opening { connection, socket, pipe } = opening;
        let protocol = connection.protocol().unwrap();
        let subscription = self.acks().present(&connection, protocol, mode, opened).await;
        Client { connection, subscription, socket, pipe }
    }

    pub(super) fn acks(&self) -> Arc<Acks> {
        self.delivery.acks.clone().expect("a store is configured")
    }

    pub(super) fn message(&self, id: &str, text: &str) -> Acknowledged {
        let event = event_from_json("News", Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let mut envelope = Envelope::ordinary("hub".into(), Audience::group("g"), Arc::new(event));
        envelope.id = MessageId::from(id);
        Acknowledged {
            envelope,
            publisher: publisher(),
            critical: false,
            require_audience: false,
            body_hash: [0; 16],
            on_first: None,
        }
    }

    pub(super) async fn send(&self, message: Acknowledged) -> Result<AcceptedReceipt, NotAccepted> {
        self.delivery.publish_acknowledged(message).await
    }

    /// Publishes an empty object to group `g`.
    pub(super) async fn publish(&self, id: &str) -> AcceptedReceipt {
        self.send(self.message(id, "[{}]")).await.unwrap()
    }

    pub(super) async fn ordinary(&self, text: &str) {
        self.try_ordinary(text).await.unwrap();
    }

    pub(super) async fn try_ordinary(&self, text: &str) -> Result<(), DeliveryError> {
        let event = event_from_json(text, Bytes::from_static(b"[]")).unwrap();
        let envelope = Envelope::ordinary("hub".into(), Audience::group("g"), Arc::new(event));
        self.delivery.publish_in_order(&publisher(), envelope).await
    }

    /// The pairs of everything, when what is under way has been settled.
    pub(super) async fn pairs(&self) -> Counts {
        turn().await;
        self.delivery.delivery_stats().await.unwrap().pairs
    }

    pub(super) async fn dead(&self) -> Vec<DeadLetter> {
        turn().await;
        self.delivery.dead_letters(DeadFilter::default(), None, 100).await.unwrap().letters
    }
}

pub(super) fn publisher() -> Publisher {
    Publisher { tenant: "backend".into(), ordering_key: None }
}

/// Long enough for flushers and tasks, too short for any timer.
pub(super) async fn turn() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(super) async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// A client on its way.
pub(super) struct Opening {
    connection: Arc<Connection>,
    socket: Arc<Socket>,
    pipe: Pipe,
}

pub(super) struct Client {
    pub(super) connection: Arc<Connection>,
    pub(super) subscription: Arc<Subscription>,
    pub(super) socket: Arc<Socket>,
    pub(super) pipe: Pipe,
}

impl Client {
    /// The ids of what it was sent, in order, repeats included; names of ordinary events.
    pub(super) async fn got(&self) -> Vec<String> {
        turn().await;
        let messages = self.socket.messages();
        let invocations = messages.iter().filter(|message| message["type"] == 1);
        let name = |message: &Value| {
            let id = &message["arguments"][0]["messageId"];
            let id = if id.is_null() { &message["invocationId"] } else { id };
            let id = if id.is_null() { &message["target"] } else { id };
            id.as_str().unwrap_or_default().to_owned()
        };
        invocations.map(name).collect()
    }

    /// What the hub room does when the groups are settled.
    pub(super) async fn catch_up(&self) {
        self.subscription.replay().await;
        self.subscription.let_in().await.unwrap();
    }

    pub(super) async fn ack(&self, id: &str) -> bool {
        self.subscription.ack(id).await.unwrap()
    }

    /// It wants `m1` again in a second; `m2` comes meanwhile.
    pub(super) async fn refuses_until_another_has_come(&self, world: &World) {
        world.publish("m1").await;
        turn().await;
        self.subscription.nack("m1", None, Some(Duration::from_secs(1)));
        world.publish("m2").await;
        seconds(2).await;
    }

    /// Whether memory is taken for what is under way to it.
    pub(super) fn has_work(&self) -> bool {
        self.subscription.courier.desk.lock().has_work()
    }

    /// The link is cut, and the hub room notices.
    pub(super) async fn leave(self, world: &World) {
        world.delivery.disconnected(&self.connection).await;
        drop(self.pipe);
    }
}
