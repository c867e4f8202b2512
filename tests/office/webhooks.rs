//! Webhooks, as the back end that is called sees them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use chrono::{DateTime, Utc};
use conduit_realtime::auth::WebhookEvent;
use conduit_realtime::publish::Config;
use conduit_realtime::store::{self, Outcome, Store};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::{BILLING, BOSS, OTHER, SECRET, Settings, World, eventually, message, now, with};

/// The other end: it answers with the statuses it was given, and then with 204.
#[derive(Default)]
struct Receiver {
    refusals: Mutex<Vec<u16>>,
    calls: Mutex<Vec<(HeaderMap, Bytes)>>,
}

impl Receiver {
    async fn start(refusals: &[u16]) -> (Arc<Self>, String) {
        let own = Arc::new(Self { refusals: Mutex::new(refusals.to_vec()), ..Self::default() });
        let app = Router::new().route("/hook", post(called)).with_state(own.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?of=billing", listener.local_addr().unwrap());
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(async move { axum::serve(listener, app).await });
        (own, url)
    }

    /// Events of calls that were answered with success, without ids and times.
    fn events(&self) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let told = calls.iter().flat_map(|(_, body)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(body["tenant"], "billing");
            body["events"].as_array().unwrap().clone()
        });
        told.map(|mut event| {
            let fields = event.as_object_mut().unwrap();
            assert!(fields.remove("id").unwrap().is_string());
            assert!(fields.remove("at").unwrap().is_string());
            event
        })
        .collect()
    }

    /// The ids of all events, in order.
    fn ids(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let ids = calls.iter().flat_map(|(_, body)| {
            let body: Value = serde_json::from_slice(body).unwrap();
            let events = body["events"].as_array().unwrap().clone();
            events.into_iter().map(|event| event["id"].as_str().unwrap().to_owned())
        });
        ids.collect()
    }

    fn count(&self, what: &str) -> usize {
        self.events().iter().filter(|event| event["event"] == what).count()
    }
}

async fn called(State(own): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut refusals = own.refusals.lock().unwrap();
    if !refusals.is_empty() {
        return StatusCode::from_u16(refusals.remove(0)).unwrap();
    }
    own.calls.lock().unwrap().push((headers, body));
    StatusCode::NO_CONTENT
}

fn in_ms(ms: u64) -> Value {
    json!(DateTime::<Utc>::from(SystemTime::now() + Duration::from_millis(ms)).to_rfc3339())
}

fn settings(url: &str, events: &[WebhookEvent]) -> Settings {
    let store = store::Config { session_ttl_seconds: 1, ..store::Config::default() };
    let webhook = Some((url.to_owned(), events.to_vec()));
    Settings { store, webhook, ..Settings::default() }
}

async fn expiring(world: &World, key: &str, id: &str, ms: u64) {
    let body = with(message(id), "expiresAt", in_ms(ms));
    let answer = world.post(key, "/api/v1/hubs/tasks/messages", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[tokio::test]
async fn expiry_and_death_are_told_always_and_only_to_whom_published() {
    let (receiver, url) = Receiver::start(&[]).await;
    let world = World::with(settings(&url, &[]));
    let a = world.subscriber("a").await;
    world.accepted("dies").await;
    expiring(&world, BILLING, "expires", 100).await;
    expiring(&world, OTHER, "of-another", 100).await;
    eventually("expiry", || async { receiver.count("expired") == 1 }).await;
    world.store.away(a, "c-a".into(), now()).await.unwrap();
    eventually("death", || async { receiver.count("dead") == 1 }).await;
    let subscribers = json!([a.to_string()]);
    let expired = json!({
        "event": "expired", "messageId": "expires", "count": 1, "subscribers": subscribers,
    });
    let dead = json!({
        "event": "dead", "messageId": "dies", "count": 1, "subscribers": subscribers,
        "reason": "subscriber_gone",
    });
    assert_eq!(receiver.events(), [expired, dead]);
}

#[tokio::test]
async fn a_call_is_signed_over_its_time_and_body() {
    let (receiver, url) = Receiver::start(&[]).await;
    let world = World::with(settings(&url, &[]));
    world.subscriber("a").await;
    expiring(&world, BILLING, "m1", 50).await;
    eventually("the call", || async { receiver.count("expired") == 1 }).await;
    let calls = receiver.calls.lock().unwrap();
    let (headers, body) = &calls[0];
    let timestamp = headers["x-conduit-timestamp"].to_str().unwrap();
    let seconds = now().0 / 1_000;
    assert!(seconds - timestamp.parse::<u64>().unwrap() < 30);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let signature: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["x-conduit-signature"], format!("v1={signature}"));
}

#[tokio::test]
async fn a_call_that_fails_is_made_again_until_it_succeeds() {
    let (receiver, url) = Receiver::start(&[500, 302, 404]).await;
    let world = World::with(settings(&url, &[WebhookEvent::Settled]));
    world.subscriber("a").await;
    expiring(&world, BILLING, "m1", 50).await;
    eventually("the calls", || async { receiver.events().len() == 2 }).await;
    assert_eq!((receiver.count("expired"), receiver.count("settled")), (1, 1));
    let settled = receiver.events().remove(1);
    assert_eq!((&settled["messageId"], &settled["counts"]["expired"]), (&json!("m1"), &json!(1)));
}

#[tokio::test]
async fn what_does_not_fit_in_the_backlog_is_told_later() {
    let (receiver, url) = Receiver::start(&[500]).await;
    let publish = Config { webhook_backlog_max: 2, ..Config::default() };
    let world = World::with(Settings { publish, ..settings(&url, &[]) });
    world.subscriber("a").await;
    for n in 0..30 {
        expiring(&world, BILLING, &format!("m{n}"), 100 + 10 * n).await;
    }
    let told = || {
        let events = receiver.events();
        let mut ids: Vec<String> =
            events.iter().map(|event| event["messageId"].to_string()).collect();
        ids.sort();
        ids.dedup();
        ids.len()
    };
    eventually("all are told", || async { told() == 30 }).await;
}

#[tokio::test]
async fn what_was_not_told_when_the_node_stopped_is_told_by_the_next_one() {
    let (receiver, url) = Receiver::start(&[500; 1_000]).await;
    let world = World::with(settings(&url, &[WebhookEvent::Settled]));
    let a = world.subscriber("a").await;
    world.accepted("dies").await;
    expiring(&world, BILLING, "expires", 50).await;
    world.store.away(a, "c-a".into(), now()).await.unwrap();
    eventually("both have ended", || async {
        let stats = world.store.stats().await.unwrap();
        stats.pairs.expired == 1 && stats.pairs.dead == 1
    })
    .await;
    world.stop.cancel();
    world.tasks.close();
    world.tasks.wait().await;
    assert!(receiver.events().is_empty());
    receiver.refusals.lock().unwrap().clear();
    let store = world.store.clone();
    drop(world);
    assert_eq!(Arc::strong_count(&store), 1, "nothing of the old node is left");
    let _next = World::on(store, settings(&url, &[WebhookEvent::Settled]));
    eventually("all is told", || async { receiver.events().len() >= 4 }).await;
    for (what, count) in [("dead", 1), ("expired", 1), ("settled", 2)] {
        assert_eq!(receiver.count(what), count, "{what}");
    }
}

/// Receivers drop what they know by its id, so nothing may come twice under two.
#[tokio::test]
async fn what_is_told_again_after_a_restart_has_the_same_ids() {
    let (receiver, url) = Receiver::start(&[]).await;
    let world = World::with(settings(&url, &[WebhookEvent::Settled]));
    let (a, b) = (world.subscriber("a").await, world.subscriber("b").await);
    expiring(&world, BILLING, "expires", 50).await;
    eventually("expiry", || async { receiver.events().len() == 2 }).await;
    world.accepted("dies").await;
    // When their sessions end.
    world.store.away(a, "c-a".into(), now()).await.unwrap();
    world.store.away(b, "c-b".into(), now()).await.unwrap();
    eventually("death", || async { receiver.count("dead") >= 1 && receiver.count("settled") == 2 })
        .await;
    let before = receiver.ids();
    world.stop.cancel();
    world.tasks.close();
    world.tasks.wait().await;
    let store = world.store.clone();
    drop(world);
    let _next = World::on(store, settings(&url, &[WebhookEvent::Settled]));
    eventually("all is told again", || async { receiver.ids().len() >= 2 * before.len() }).await;
    let (mut first, mut second) = (before.clone(), receiver.ids()[before.len()..].to_vec());
    first.sort();
    second.sort();
    assert_eq!(second, first, "{:#?}", receiver.events());
}

#[tokio::test]
async fn a_death_is_told_also_when_its_letter_is_gone_by_then() {
    let (receiver, url) = Receiver::start(&[500; 1_000]).await;
    let world = World::with(settings(&url, &[]));
    let (a, b) = (world.subscriber("a").await, world.subscriber("b").await);
    let called = || async { receiver.refusals.lock().unwrap().len() < 1_000 };
    world.accepted("purged").await;
    world.accepted("acknowledged").await;
    // When their sessions end.
    world.store.away(a, "c-a".into(), now()).await.unwrap();
    world.store.away(b, "c-b".into(), now()).await.unwrap();
    eventually("a call", called).await;
    let purge = json!({ "messageIds": ["purged"] });
    let answer = world.post(BOSS, "/api/v1/admin/dead-letters/purge", &purge).await;
    assert_eq!((answer.status.as_u16(), &answer.json["purged"]), (200, &json!(2)));
    world.settle(a, "acknowledged", Outcome::Acknowledged).await;
    assert!(receiver.events().is_empty());
    world.stop.cancel();
    world.tasks.close();
    world.tasks.wait().await;
    receiver.refusals.lock().unwrap().clear();
    let store = world.store.clone();
    drop(world);
    let _next = World::on(store, settings(&url, &[]));
    eventually("both are told", || async { receiver.count("dead") >= 2 }).await;
    let told: u64 = receiver.events().iter().filter_map(|event| event["count"].as_u64()).sum();
    assert_eq!(told, 4, "{:#?}", receiver.events());
}

#[tokio::test]
async fn of_a_webhook_that_is_not_configured_any_more_nothing_is_kept_and_that_is_counted() {
    let (_receiver, url) = Receiver::start(&[]).await;
    let world = World::with(settings(&url, &[]));
    let bookmark = |name: &'static str| {
        let store = &world.store;
        async move { store.bookmark(name.into()).await.unwrap() }
    };
    for name in ["billing", "gone"] {
        world.store.keep_bookmark(name.into(), now()).await.unwrap();
    }
    world.webhooks.clone().forget_others(world.delivery.clone()).await;
    assert!(bookmark("billing").await.is_some());
    assert_eq!(bookmark("gone").await, None);
    let families = world.registry.gather();
    let forgotten = "publish_webhook_bookmarks_forgotten_total";
    let family = families.iter().find(|family| family.name() == forgotten).unwrap();
    assert_eq!(family.get_metric()[0].get_counter().get_value(), 1.0);
}
