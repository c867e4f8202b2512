//! A node with the hubs `tasks` and `news`, a store in memory, two tenants and an operator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use conduit_realtime::auth::{
    AdminKey, ServiceKeyConfig, ServiceKeys, VirtualKeyConfig, VirtualKeys, hash_key,
};
use conduit_realtime::backplane::InProcess;
use conduit_realtime::connections::{self, Connections};
use conduit_realtime::delivery::{
    self, AckMetrics, Attempt, Delivery, HubAcks, Identity, Keeping, Moment, Reason, SubscriberId,
};
use conduit_realtime::model::{HubName, MessageId};
use conduit_realtime::publish::{self, Config, Door, Observer, Publish, WebhookMetrics, Webhooks};
use conduit_realtime::store::{
    self, ClientKey, LocalStore, Open, Outcome, SessionKey, Settle, Spent, Store, Which,
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

pub(crate) const BILLING: &str = "condt_of_billing";
pub(crate) const OTHER: &str = "condt_of_another";
pub(crate) const BOSS: &str = "condt_of_the_boss";
/// Virtual keys: of a client, and of one with `admin = true`.
pub(crate) const CLIENT: &str = "condt_of_a_client";
pub(crate) const ADMIN: &str = "condt_of_an_admin";

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) store: Arc<LocalStore>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) registry: Registry,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) webhooks: Arc<Webhooks>,
}

/// What the rooms above have been told is published.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<String>>);

impl Observer for Seen {
    fn published(&self, hub: &str, target: &str, arguments: &str) {
        self.0.lock().unwrap().push(format!("{hub} {target} {arguments}"));
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) store: store::Config,
    pub(crate) publish: Config,
    /// The webhook of billing.
    pub(crate) webhook: Option<(String, Vec<conduit_realtime::auth::WebhookEvent>)>,
}

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let registry = Registry::new();
        let metrics = store::Metrics::new(&registry).unwrap();
        Self::on(Arc::new(LocalStore::in_memory(settings.store.clone(), metrics)), settings)
    }

    /// A node that is started on a store that may know something.
    pub(crate) fn on(store: Arc<LocalStore>, settings: Settings) -> Self {
        let registry = Registry::new();
        let metrics = connections::Metrics::new(&registry).unwrap();
        let node = Connections::new(&connections::Config::default(), 1, metrics);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let hubs = ["tasks", "news"].map(|hub| (HubName::from(hub), HubAcks::default()));
        let delivery = Delivery::keeping(
            &node,
            Arc::new(InProcess),
            HashMap::from(hubs),
            delivery::Metrics::new(&registry).unwrap(),
            tasks.clone(),
            Keeping {
                store: store.clone(),
                config: delivery::Config::default(),
                metrics: AckMetrics::new(&registry).unwrap(),
            },
        );
        tasks.spawn(delivery.clone().run(stop.clone()));
        let mut billing = service_key("billing", BILLING);
        if let Some((url, events)) = settings.webhook {
            billing.webhook_url = Some(url);
            billing.webhook_secret = Some(conduit_realtime::auth::Secret::new(SECRET));
            billing.webhook_events = events;
        }
        let keys = [billing, service_key("other", OTHER)];
        let webhooks = Webhooks::start(
            keys.iter().filter_map(ServiceKeyConfig::webhook),
            &delivery,
            &settings.publish,
            &WebhookMetrics::new(&registry).unwrap(),
            &tasks,
            &stop,
        );
        let seen = Arc::new(Seen::default());
        let router = publish::router(Publish {
            delivery: delivery.clone(),
            service_keys: Arc::new(ServiceKeys::new(&keys)),
            admin: Arc::new(AdminKey::new(Some(&hash_key(BOSS.as_bytes())))),
            virtual_keys: Arc::new(VirtualKeys::new(&[
                virtual_key(1, CLIENT, false),
                virtual_key(2, ADMIN, true),
            ])),
            webhooks: webhooks.clone(),
            config: settings.publish,
            door: Door::default(),
            observer: Some(seen.clone()),
            tasks: None,
            bench: false,
            metrics: publish::Metrics::new(&registry, ["tasks", "news"]).unwrap(),
        });
        Self { router, store, delivery, registry, seen, stop, tasks, webhooks }
    }

    /// Somebody who is owed what goes to all of the hub `tasks`, without a connection.
    pub(crate) async fn subscriber(&self, user: &str) -> SubscriberId {
        let identity = Identity::Named(user.into());
        let client = Some(ClientKey::of(&identity, "tab").unwrap());
        let open = Open {
            key: SessionKey { hub: "tasks".into(), identity, client },
            connection: format!("c-{user}").as_str().into(),
            caller: user.into(),
        };
        self.store.open(open, now()).await.unwrap().subscriber
    }

    pub(crate) async fn crowd(&self, count: usize) -> Vec<SubscriberId> {
        let mut all = Vec::with_capacity(count);
        for n in 0..count {
            all.push(self.subscriber(&format!("u{n}")).await);
        }
        all
    }

    /// The subscriber's pair ends.
    pub(crate) async fn settle(&self, subscriber: SubscriberId, id: &str, outcome: Outcome) {
        let message = Which::Id(MessageId::from(id));
        let settle = Settle { subscriber, message, outcome };
        assert_eq!(self.store.settle(vec![settle], now()).await.unwrap().len(), 1);
    }

    /// The subscriber's pair dies after one attempt.
    pub(crate) async fn die(&self, subscriber: SubscriberId, id: &str, reason: Reason) {
        let receipts = self.store.receipts(MessageId::from(id), None).await.unwrap();
        let attempt = Attempt { at: now(), error: "no answer".into() };
        let spent = Spent { attempts: 1, ..Spent::default() };
        self.store
            .note_attempts(subscriber, vec![(receipts[0].seq, attempt, spent)])
            .await
            .unwrap();
        self.settle(subscriber, id, Outcome::Dead(reason)).await;
    }

    /// Everybody's pair of the message dies.
    pub(crate) async fn all_die(&self, all: &[SubscriberId], id: &str) {
        let dying = all.iter().map(|&subscriber| Settle {
            subscriber,
            message: Which::Id(MessageId::from(id)),
            outcome: Outcome::Dead(Reason::TimedOut),
        });
        let ended = self.store.settle(dying.collect(), now()).await.unwrap();
        assert_eq!(ended.len(), all.len());
    }

    /// A counter by hub.
    pub(crate) fn counted(&self, name: &str, hub: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let own = family.get_metric().iter().find(|own| own.get_label()[0].value() == hub);
        own.unwrap().get_counter().get_value()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status, headers: parts.headers, text, json }
    }

    pub(crate) async fn ask(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header("X-API-Key", key);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(key, Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(key, Method::POST, path, body).await
    }

    pub(crate) async fn publish(&self, body: &Value) -> Answer {
        self.post(BILLING, "/api/v1/hubs/tasks/messages", body).await
    }

    /// An acknowledged message to all, accepted.
    pub(crate) async fn accepted(&self, id: &str) {
        let answer = self.publish(&message(id)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
}

fn service_key(name: &str, key: &str) -> ServiceKeyConfig {
    ServiceKeyConfig {
        name: name.into(),
        sha256: hash_key(key.as_bytes()),
        ..ServiceKeyConfig::default()
    }
}

fn virtual_key(id: u32, key: &str, admin: bool) -> VirtualKeyConfig {
    VirtualKeyConfig { id, name: key.into(), sha256: hash_key(key.as_bytes()), admin }
}

/// An acknowledged message to all.
pub(crate) fn message(id: &str) -> Value {
    json!({
        "class": "acknowledged",
        "messageId": id,
        "audience": {"all": true},
        "target": "News",
        "arguments": [id],
    })
}

/// A message with one more field.
pub(crate) fn with(mut message: Value, field: &str, value: Value) -> Value {
    message[field] = value;
    message
}

pub(crate) fn now() -> Moment {
    SystemTime::now().into()
}

#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, status: u16, code: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(answer.json["detail"].is_string());
    assert_eq!(answer.json.get("code").and_then(Value::as_str), code, "{}", answer.text);
}

/// Asks again until the answer is the wanted one.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !ask().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
