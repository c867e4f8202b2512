//! What the routes of health show, and to whom.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use conduit_realtime::connections::{
    self, Config, Connection, Connections, Inbound, NewConnection, Outlet, Pipe, Settings, Source,
};
use conduit_realtime::model::{Caller, TransportKind};
use conduit_realtime::observability::{
    Access, Breakers, CircuitState, Gate, Observed, QueueProbe, QueueReport, router,
};
use conduit_realtime::protocol::Protocol;

struct World {
    node: Arc<Connections>,
    router: Router,
    ready: Arc<AtomicBool>,
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
    fn new() -> Self {
        Self::with(None)
    }

    fn with(queue: Option<Arc<dyn QueueProbe>>) -> Self {
        let metrics = connections::Metrics::new(&prometheus::Registry::new()).unwrap();
        let node = Connections::new(&Config::default(), 1, metrics);
        let stop = CancellationToken::new();
        node.start(&TaskTracker::new(), &stop);
        let ready = Arc::new(AtomicBool::new(true));
        let asked = ready.clone();
        let router = router(Observed {
            connections: node.clone(),
            queue,
            ready: Arc::new(move || asked.load(Ordering::Relaxed)),
            gate: Arc::new(Doorkeeper),
        });
        Self { node, router, ready, stop }
    }

    fn client(&self, id: &str, key: &str, transport: TransportKind) -> Client {
        let mut caller = Caller::of_user(key);
        caller.claims.insert("virtual_key_id".into(), key.into());
        let new = NewConnection {
            id: id.into(),
            hub: "tasks".into(),
            caller: Arc::new(caller),
            peer: None,
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

    async fn get(&self, path: &str, who: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::get(path);
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

struct Client {
    connection: Arc<Connection>,
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

#[tokio::test(start_paused = true)]
async fn a_node_without_a_queue_says_null_and_invents_nothing() {
    let world = World::new();
    let (status, mut body) = world.get("/health/signalr", None).await;
    assert!(body["timestamp"].take().as_str().unwrap().ends_with('Z'));
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "status": "Healthy",
        "timestamp": null,
        "connections": { "active": 0, "stale": 0, "acknowledgmentRate": "0.00%" },
        "queue": {
            "pending": null, "deadLetter": null, "circuitBreaker": null, "processed": null,
            "failed": null,
        },
        "reasons": [],
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_by_hub_and_transport_and_no_name_is_told_to_strangers() {
    let world = World::new();
    let a = world.client("a", "1", TransportKind::WebSockets);
    let _b = world.client("b", "2", TransportKind::LongPolling);
    a.connection.count_acknowledged(1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (_, sums) = world.get("/health/signalr/connections", None).await;
    assert_eq!(sums["totalActiveConnections"], 2);
    assert_eq!(sums["connectionsByHub"], json!({ "tasks": 2 }));
    assert_eq!(sums["connectionsByTransport"], json!({ "LongPolling": 1, "WebSockets": 1 }));
    assert_eq!((&sums["totalUsers"], &sums["totalMessagesAcknowledged"]), (&json!(2), &json!(1)));
    assert_eq!(sums["averageConnectionDurationMinutes"], 1.0);
    for path in ["details", "hub/tasks", "key/1", "group/g"] {
        let path = format!("/health/signalr/connections/{path}");
        assert_eq!(world.get(&path, None).await.0, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(world.get(&path, Some("2")).await.0, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(world.get(&path, Some("admin")).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_sees_its_own_connections() {
    let world = World::new();
    let _a = world.client("a", "1", TransportKind::WebSockets);
    let _b = world.client("b", "2", TransportKind::WebSockets);
    tokio::time::sleep(Duration::from_secs(90)).await;
    let (_, own) = world.get("/health/signalr/connections/key/1", Some("1")).await;
    assert_eq!((&own["virtualKeyId"], &own["count"]), (&json!(1), &json!(1)));
    assert_eq!(own["connections"][0]["connectionId"], "a");
    assert_eq!(own["connections"][0]["connectionDuration"], "00:01:30");
    let (status, _) = world.get("/health/signalr/connections/key/x", Some("admin")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_listing_says_how_many_there_are_and_shows_as_many_as_asked_for() {
    let world = World::new();
    let _a = world.client("a", "1", TransportKind::ServerSentEvents);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let _b = world.client("b", "2", TransportKind::WebSockets);
    let path = "/health/signalr/connections/details?limit=1";
    let (_, found) = world.get(path, Some("admin")).await;
    assert_eq!(found["count"], 2);
    let listed = found["activeConnections"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["connectionId"], &listed[0]["virtualKeyId"]), (&json!("a"), &json!(1)));
    assert_eq!(listed[0]["transportType"], "ServerSentEvents");
    assert_eq!(listed[0]["idleTime"], "00:00:05");
}

#[tokio::test(start_paused = true)]
async fn many_stale_connections_degrade_the_node_and_one_that_speaks_again_heals_it() {
    let world = World::new();
    let a = world.client("a", "1", TransportKind::WebSockets);
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    let (_, body) = world.get("/health/signalr", None).await;
    assert_eq!((&body["status"], &body["connections"]["stale"]), (&json!("Degraded"), &json!(1)));
    assert_eq!(body["reasons"], json!(["100 % of the connections are stale"]));
    assert_eq!(world.get("/health", None).await, (StatusCode::OK, json!("Degraded")));
    a.connection.ponged(0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.get("/health", None).await, (StatusCode::OK, json!("Healthy")));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_is_unhealthy() {
    let world = World::new();
    world.ready.store(false, Ordering::Relaxed);
    let answer = world.get("/health", None).await;
    assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, json!("Unhealthy")));
}

struct Queue(QueueReport);

impl QueueProbe for Queue {
    fn look(&self) -> BoxFuture<'_, QueueReport> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

struct Stuck;

impl QueueProbe for Stuck {
    fn look(&self) -> BoxFuture<'_, QueueReport> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_tells_is_shown_in_conduits_words() {
    let report = QueueReport {
        pending_messages: Some(3),
        dead_letter_messages: Some(1),
        circuit_breaker_state: Some(CircuitState::Open),
        destinations: Some(Breakers { open: 2, half_open: 0, isolated: 1 }),
        ..QueueReport::default()
    };
    let world = World::with(Some(Arc::new(Queue(report))));
    let (_, body) = world.get("/health/signalr", None).await;
    assert_eq!(
        (&body["status"], &body["queue"]["circuitBreaker"], &body["queue"]["pending"]),
        (&json!("Degraded"), &json!("Open"), &json!(3))
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_nobody_and_is_told() {
    let world = World::with(Some(Arc::new(Stuck)));
    let (status, body) = world.get("/health/signalr", None).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("Degraded")));
    assert_eq!(body["reasons"], json!(["the queue did not answer in time"]));
}
