//! A node with the hub `tasks`, and its routes of health.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::BytesMut;
use conduit_realtime::backplane::InProcess;
use conduit_realtime::connections::{
    self, Config, Connection, Connections, Inbound, NewConnection, Outlet, Pipe, Settings, Source,
};
use conduit_realtime::delivery::{self, AckMetrics, Delivery, HubAcks, Keeping};
use conduit_realtime::model::{Caller, TransportKind, UserAgent};
use conduit_realtime::observability::{Access, Engine, Gate, Observed, QueueProbe, router};
use conduit_realtime::protocol::Protocol;
use conduit_realtime::store::{LocalStore, Moment};
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

const HUB: &str = "tasks";
/// What may be owed, as these nodes are told.
pub(crate) const PENDING_MAX: u64 = 10;

fn metrics() -> delivery::Metrics {
    delivery::Metrics::new(&Registry::new()).unwrap()
}

fn observe(node: &Arc<Connections>, queue: Arc<dyn QueueProbe>, ready: &Arc<AtomicBool>) -> Router {
    let ready = ready.clone();
    router(Observed {
        connections: node.clone(),
        queue,
        last_ended: Arc::new(|| Some(Moment(1_795_521_600_000))),
        ready: Arc::new(move || ready.load(Ordering::Relaxed)),
        gate: Arc::new(Doorkeeper),
    })
}

pub(crate) struct World {
    node: Arc<Connections>,
    router: Router,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) ready: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The header `X-Test` says who asks.
struct Doorkeeper;

impl Gate for Doorkeeper {
    fn access<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Access> {
        let said = request.headers.get("x-test").and_then(|value| value.to_str().ok());
        let access = match said {
            None => Access::Nobody,
            Some("admin") => Access::Admin,
            Some(key) => Access::Key(key.into()),
        };
        Box::pin(std::future::ready(access))
    }
}

impl World {
    /// A node that keeps nothing.
    pub(crate) fn new() -> Self {
        Self::build(|node, tasks| {
            Delivery::new(node, Arc::new(InProcess), [HUB.into()], metrics(), tasks)
        })
    }

    /// A node with a store.
    pub(crate) fn keeping(store: &Arc<LocalStore>) -> Self {
        Self::build(|node, tasks| {
            let keeping = Keeping {
                store: store.clone(),
                config: delivery::Config::default(),
                metrics: AckMetrics::new(&Registry::new()).unwrap(),
            };
            let hubs = HashMap::from([(HUB.into(), HubAcks::default())]);
            Delivery::keeping(node, Arc::new(InProcess), hubs, metrics(), tasks, keeping)
        })
    }

    fn build(delivery: impl FnOnce(&Arc<Connections>, TaskTracker) -> Arc<Delivery>) -> Self {
        let metrics = connections::Metrics::new(&Registry::new()).unwrap();
        let node = Connections::new(&Config::default(), 1, metrics);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        node.start(&tasks, &stop);
        let delivery = delivery(&node, tasks.clone());
        tasks.spawn(delivery.clone().run(stop.clone()));
        let ready = Arc::new(AtomicBool::new(true));
        let router = observe(&node, Arc::new(Engine::new(delivery.clone(), PENDING_MAX)), &ready);
        Self { node, router, delivery, ready, stop }
    }

    /// The same node, whose queue is asked another way.
    pub(crate) fn asking(mut self, queue: Arc<dyn QueueProbe>) -> Self {
        self.router = observe(&self.node, queue, &self.ready);
        self
    }

    pub(crate) fn client(&self, id: &str, key: &str, transport: TransportKind) -> Client {
        let mut caller = Caller::of_user(key);
        caller.claims.insert("virtual_key_id".into(), key.into());
        let new = NewConnection {
            id: id.into(),
            hub: HUB.into(),
            caller: Arc::new(caller),
            peer: None,
            agent: UserAgent::of(b"story/1"),
            transport,
            settings: Arc::new(Settings {
                disconnect_timeout: Duration::from_secs(86_400),
                ..Settings::default()
            }),
            binary: true,
            pings: false,
            resumable: false,
        };
        let (connection, pipe) = self.node.open(new, Box::new(Silent), Outlet::Pulled);
        connection.begin(Protocol::Json, false);
        Client { connection, _pipe: pipe }
    }

    pub(crate) async fn get(&self, path: &str, who: Option<&str>) -> (StatusCode, Value) {
        self.ask(Method::GET, path, who).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        who: Option<&str>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(who) = who {
            request = request.header("x-test", who);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
    }
}

pub(crate) struct Client {
    pub(crate) connection: Arc<Connection>,
    _pipe: Pipe,
}

struct Silent;

impl Source for Silent {
    fn poll_read(
        &mut self,
        _cx: &mut std::task::Context<'_>,
        _out: &mut BytesMut,
    ) -> std::task::Poll<Inbound> {
        std::task::Poll::Pending
    }
}
