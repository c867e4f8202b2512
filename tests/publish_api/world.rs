//! The router in front of a real delivery, with clients that have no sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::BytesMut;
use conduit_realtime::auth::{AdminKey, ServiceKeyConfig, ServiceKeys, VirtualKeys, hash_key};
use conduit_realtime::backplane::InProcess;
use conduit_realtime::connections::{
    self, Connection, Connections, Inbound, NewConnection, Outlet, Pipe, Pulled, Source,
};
use conduit_realtime::delivery::{self, Delivery};
use conduit_realtime::model::{Caller, HubName, TransportKind};
use conduit_realtime::protocol::Protocol;
use conduit_realtime::publish::{
    self, Config, Door, Observer, Publish, TaskRegister, WebhookMetrics, Webhooks,
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) const KEY: &str = "condt_of_the_back_end";
pub(crate) const NEWS: &str = r#"{"audience":{"all":true},"target":"News","arguments":[1,"two"]}"#;

/// A node with the hubs `tasks` and `bench`, and clients without sockets.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) node: Arc<Connections>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) door: Door,
    pub(crate) seen: Arc<Seen>,
    pub(crate) registry: Registry,
}

/// What the rooms above have been told.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<String>>);

impl Observer for Seen {
    fn published(&self, hub: &str, target: &str, arguments: &str) {
        self.0.lock().unwrap().push(format!("{hub} {target} {arguments}"));
    }
}

impl TaskRegister for Seen {
    fn register(&self, task: &str, virtual_key: u32) {
        self.0.lock().unwrap().push(format!("{task} of {virtual_key}"));
    }
}

struct Silent;

impl Source for Silent {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut BytesMut) -> Poll<Inbound> {
        Poll::Pending
    }
}

pub(crate) struct Client {
    pub(crate) connection: Arc<Connection>,
    _pipe: Pipe,
}

impl Client {
    pub(crate) fn id(&self) -> &str {
        self.connection.id().as_str()
    }

    /// The messages that wait, without their record separators.
    pub(crate) async fn heard(&self) -> Vec<String> {
        if self.connection.waiting().0 == 0 {
            return Vec::new();
        }
        let Pulled::Frames(frames) = self.connection.pull(usize::MAX).await else {
            return Vec::new();
        };
        let text = |payload: &[u8]| String::from_utf8_lossy(payload).trim_end().to_owned();
        frames.iter().map(|frame| text(&frame.encoded().payload())).collect()
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) json: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), true)
    }

    pub(crate) fn with(config: Config, bench: bool) -> Self {
        let registry = Registry::new();
        let metrics = connections::Metrics::new(&registry).unwrap();
        let node = Connections::new(&connections::Config::default(), 1, metrics);
        let metrics = delivery::Metrics::new(&registry).unwrap();
        let hubs = ["tasks", "bench"].map(HubName::from);
        let delivery = Delivery::new(&node, Arc::new(InProcess), hubs, metrics, TaskTracker::new());
        let sha256 = hash_key(KEY.as_bytes());
        let keys = ServiceKeys::new(&[ServiceKeyConfig {
            name: "billing".into(),
            sha256,
            ..ServiceKeyConfig::default()
        }]);
        let webhooks = Webhooks::start(
            [],
            &delivery,
            &config,
            &WebhookMetrics::new(&registry).unwrap(),
            &TaskTracker::new(),
            &CancellationToken::new(),
        );
        let (door, seen) = (Door::default(), Arc::new(Seen::default()));
        let router = publish::router(Publish {
            delivery: delivery.clone(),
            service_keys: Arc::new(keys),
            admin: Arc::new(AdminKey::new(None)),
            virtual_keys: Arc::new(VirtualKeys::new(&[])),
            webhooks,
            config,
            door: door.clone(),
            observer: Some(seen.clone()),
            tasks: Some(seen.clone()),
            bench,
            metrics: publish::Metrics::new(&registry, ["tasks", "bench"]).unwrap(),
        });
        Self { router, node, delivery, door, seen, registry }
    }

    pub(crate) async fn client(&self, id: &str, hub: &str, user: &str) -> Client {
        let new = NewConnection {
            id: id.into(),
            hub: hub.into(),
            caller: Arc::new(Caller::of_user(user)),
            peer: Some(SocketAddr::from(([127, 0, 0, 1], 1)).ip()),
            agent: None,
            transport: TransportKind::LongPolling,
            settings: Arc::default(),
            binary: true,
            pings: false,
            resumable: false,
        };
        let (connection, pipe) = self.node.open(new, Box::new(Silent), Outlet::Pulled);
        connection.begin(Protocol::Json, false);
        self.delivery.connected(&connection).await.unwrap();
        Client { connection, _pipe: pipe }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, json }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("X-API-Key", KEY);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn publish(&self, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, "/api/v1/hubs/tasks/messages", body).await
    }

    pub(crate) async fn tell(&self, audience: Value, word: &str) {
        let body = json!({"audience": audience, "target": "News", "arguments": [word]});
        let answer = self.publish(body.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.json);
    }

    pub(crate) fn counted(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metrics = family.get_metric().iter();
        let mut own =
            metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
        own.next().map_or(0.0, |metric| metric.get_counter().get_value())
    }
}

#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, status: u16, field: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.json);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["status"], status);
    assert!(answer.json["type"].is_string() && answer.json["title"].is_string());
    assert!(answer.json["detail"].is_string());
    assert_eq!(answer.json.get("field").and_then(Value::as_str), field, "{}", answer.json);
}
