//! The queue of acknowledged messages: in Conduit's words, and when it degrades the node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use conduit_realtime::delivery::{
    Acknowledged, ClientKey, DeadFilter, Destination, Force, Identity, Publisher, Reason,
    SessionKey, SubscriberId, event_from_json,
};
use conduit_realtime::model::{Audience, Envelope, MessageId};
use conduit_realtime::observability::{QueueProbe, QueueReport};
use conduit_realtime::store::{self, LocalStore, Moment, Open, Outcome, Settle, Store, Which};
use futures_util::future::BoxFuture;
use http::StatusCode;
use prometheus::Registry;
use serde_json::{Value, json};

use crate::world::{PENDING_MAX, World};

/// A store in memory, with somebody who is away and owed what goes to all.
struct Kept {
    world: World,
    store: Arc<LocalStore>,
    subscriber: SubscriberId,
}

impl Kept {
    async fn new() -> Self {
        let metrics = store::Metrics::new(&Registry::new()).unwrap();
        Self::on(LocalStore::in_memory(store::Config::default(), metrics)).await
    }

    async fn on(store: LocalStore) -> Self {
        let store = Arc::new(store);
        let subscriber = store.open(session("a"), now()).await.unwrap().subscriber;
        Self { world: World::keeping(&store), store, subscriber }
    }

    async fn publish(&self, id: &str) {
        let event = event_from_json("News", Bytes::from_static(b"[1]")).unwrap();
        let mut envelope = Envelope::ordinary("tasks".into(), Audience::all(), event.into());
        envelope.id = id.into();
        let message = Acknowledged {
            envelope,
            publisher: Publisher { tenant: "billing".into(), ordering_key: None },
            critical: false,
            require_audience: true,
            body_hash: [0; 16],
            on_first: None,
        };
        assert_eq!(self.world.delivery.publish_acknowledged(message).await.unwrap().targeted, 1);
    }

    async fn settle(&self, id: &str, outcome: Outcome) {
        let message = Which::Id(MessageId::from(id));
        let settle = Settle { subscriber: self.subscriber, message, outcome };
        let ended = self.store.settle(vec![settle], now()).await.unwrap();
        assert_eq!(ended.len(), 1);
    }

    /// The answer once what was shown before is too old to be shown again.
    async fn look(&self) -> Value {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.world.get("/health/signalr", None).await.1
    }
}

fn now() -> Moment {
    SystemTime::now().into()
}

fn session(user: &str) -> Open {
    let identity = Identity::Named(user.into());
    let client = Some(ClientKey::of(&identity, "tab").unwrap());
    Open {
        key: SessionKey { hub: "tasks".into(), identity, client },
        connection: user.into(),
        caller: user.into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_keeps_nothing_owes_nothing_and_is_healthy() {
    let world = World::new();
    let (status, mut body) = world.get("/health/signalr", None).await;
    assert!(body["timestamp"].take().as_str().unwrap().ends_with('Z'));
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "status": "Healthy",
        "timestamp": null,
        "connections": { "active": 0, "stale": 0, "acknowledgmentRate": "0.00%" },
        "queue": {
            "pending": 0, "deadLetter": 0, "circuitBreaker": "Closed", "processed": 0, "failed": 0,
            "inFlight": 0, "repeatsWaiting": 0, "subscribersBehind": 0,
        },
        "subscriberBreakers": { "open": 0, "halfOpen": 0, "isolated": 0 },
        "reasons": [],
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_counts_is_shown_in_conduits_words() {
    let kept = Kept::new().await;
    for id in ["acked", "shown", "dies", "thrown", "expires", "owed"] {
        kept.publish(id).await;
    }
    kept.settle("acked", Outcome::Acknowledged).await;
    kept.settle("shown", Outcome::Unconfirmed).await;
    kept.settle("expires", Outcome::Expired).await;
    kept.settle("thrown", Outcome::Dead(Reason::TimedOut)).await;
    kept.world.delivery.purge(DeadFilter::default(), 10).await.unwrap();
    kept.settle("dies", Outcome::Dead(Reason::TimedOut)).await;
    let body = kept.look().await;
    let queue = &body["queue"];
    for (field, value) in [
        ("pending", json!(1)),
        ("deadLetter", json!(1)),
        ("processed", json!(2)),
        ("failed", json!(3)),
        ("circuitBreaker", json!("Closed")),
    ] {
        assert_eq!(queue[field], value, "{field}");
    }
    assert_eq!(body["status"], "Healthy");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_an_operator_holds_open_degrades_the_node_until_he_lets_go() {
    let kept = Kept::new().await;
    for (force, circuit, status) in
        [(Force::Open, "Isolated", "Degraded"), (Force::Auto, "Closed", "Healthy")]
    {
        assert!(kept.world.delivery.force_breaker(Destination::Store, force));
        let body = kept.look().await;
        assert_eq!(
            (&body["queue"]["circuitBreaker"], &body["status"]),
            (&json!(circuit), &json!(status))
        );
        assert_eq!(kept.world.get("/health", None).await, (StatusCode::OK, json!(status)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_nearly_full_degrades_the_node_and_says_so() {
    let kept = Kept::new().await;
    for number in 0..PENDING_MAX {
        kept.publish(&format!("m{number}")).await;
    }
    let body = kept.look().await;
    assert_eq!((&body["status"], &body["queue"]["pending"]), (&json!("Degraded"), &json!(10)));
    assert_eq!(body["reasons"], json!(["the queue is 100 % full"]));
    kept.settle("m3", Outcome::Acknowledged).await;
    assert_eq!(kept.look().await["status"], "Healthy");
}

#[tokio::test]
async fn a_damaged_file_degrades_the_node_until_an_operator_has_seen_it() {
    let folder = std::env::temp_dir().join(format!("conduit-{}", uuid::Uuid::new_v4()));
    let config =
        || store::Config { path: folder.clone(), reserve_mib: 0, ..store::Config::default() };
    let open = || {
        let metrics = store::Metrics::new(&Registry::new()).unwrap();
        LocalStore::open(config(), metrics, now()).unwrap()
    };
    let first = open();
    for user in ["x", "unlucky", "y"] {
        first.open(session(user), now()).await.unwrap();
    }
    drop(first);
    let file = folder.join("store/0000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let place = bytes.windows(7).position(|window| window == b"unlucky").unwrap();
    bytes[place] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let kept = Kept::on(open()).await;
    let (_, body) = kept.world.get("/health/signalr", None).await;
    let reason = "a file of the store was damaged (records lost: 1), and no operator has \
                  acknowledged it";
    assert_eq!((&body["status"], &body["reasons"]), (&json!("Degraded"), &json!([reason])));
    kept.world.delivery.acknowledge_damage().await.unwrap();
    assert_eq!(kept.look().await["status"], "Healthy");
    drop(kept);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A store that answers nobody, as a hanging disk makes one.
struct Stuck;

impl QueueProbe for Stuck {
    fn look(&self) -> BoxFuture<'_, QueueReport> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_holds_nobody_and_nothing_is_invented() {
    let world = World::new().asking(Arc::new(Stuck));
    let (status, body) = world.get("/health/signalr", None).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("Degraded")));
    assert_eq!(body["reasons"], json!(["the queue did not answer in time"]));
    let queue = body["queue"].as_object().unwrap();
    assert!(queue.len() == 8 && queue.values().all(Value::is_null), "{body}");
    let (status, counts) = world.get("/health/signalr/queue", None).await;
    assert_eq!((status, &counts["pendingMessages"]), (StatusCode::OK, &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn the_queues_counts_are_for_everybody() {
    let kept = Kept::new().await;
    for id in ["acked", "dies", "owed"] {
        kept.publish(id).await;
    }
    kept.settle("acked", Outcome::Acknowledged).await;
    kept.settle("dies", Outcome::Dead(Reason::TimedOut)).await;
    let (status, counts) = kept.world.get("/health/signalr/queue", None).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "pendingMessages": 1,
        "deadLetterMessages": 1,
        "processedMessages": 1,
        "failedMessages": 1,
        "lastProcessedAt": "2026-11-24T12:00:00.000000Z",
        "circuitBreakerState": 0,
        "consecutiveFailures": 0,
        "subscriberBreakers": { "open": 0, "halfOpen": 0, "isolated": 0 },
    });
    assert_eq!(counts, expected);
}

/// Counts how often it is looked at.
#[derive(Default)]
struct Counted(AtomicUsize);

impl QueueProbe for Counted {
    fn look(&self) -> BoxFuture<'_, QueueReport> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(QueueReport::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn however_often_strangers_ask_the_queue_is_looked_at_once_a_second() {
    let counted = Arc::new(Counted::default());
    let world = World::new().asking(counted.clone());
    for (second, looks) in [(0, 1), (1, 2)] {
        tokio::time::sleep(Duration::from_secs(second)).await;
        for path in ["/health", "/health/signalr", "/health/signalr/queue"].repeat(9) {
            world.get(path, None).await;
        }
        assert_eq!(counted.0.load(Ordering::Relaxed), looks);
    }
}
