//! Conduit's routes of the queue, in Conduit's shapes.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use conduit_realtime::delivery::{Attempt, Reason};
use conduit_realtime::store::{Spent, Store};
use http::Method;
use serde_json::{Value, json};

use crate::world::{
    ADMIN, BILLING, BOSS, CLIENT, World, assert_problem, eventually, message, now, with,
};

const QUEUE: &str = "/health/signalr/queue";

fn soon() -> Value {
    json!(DateTime::<Utc>::from(SystemTime::now() + Duration::from_millis(300)).to_rfc3339())
}

#[tokio::test]
async fn dead_letters_and_expired_messages_are_listed_for_admins() {
    let world = World::new();
    let a = world.subscriber("a").await;
    world.accepted("dies").await;
    world.die(a, "dies", Reason::TimedOut).await;
    assert_eq!(world.publish(&with(message("expires"), "expiresAt", soon())).await.status, 202);
    let path = format!("{QUEUE}/deadletter");
    for key in [BILLING, CLIENT, ""] {
        assert_problem(&world.get(key, &path).await, 401, None);
    }
    assert_problem(&world.get(ADMIN, "/api/v1/admin/dead-letters").await, 401, None);
    eventually("both are listed", || async { world.get(ADMIN, &path).await.json["count"] == 2 })
        .await;
    let messages = world.get(BOSS, &path).await.json["messages"].clone();
    let dead = &messages[0];
    for (field, value) in [
        ("messageId", json!("dies")),
        ("messageType", json!("News")),
        ("hubName", json!("tasks")),
        ("methodName", json!("News")),
        ("deliveryAttempts", json!(1)),
        ("lastError", json!("no answer")),
        ("deadLetterReason", json!("Not acknowledged in time")),
    ] {
        assert_eq!(dead[field], value, "{field}");
    }
    assert!(dead["queuedAt"].is_string());
    assert_eq!(messages[1]["messageId"], "expires");
    assert_eq!(
        (&messages[1]["messageType"], &messages[1]["methodName"]),
        (&json!("News"), &json!("News"))
    );
    assert_eq!(messages[1]["deadLetterReason"], "Message expired");
    assert_eq!(messages[1]["deliveryAttempts"], 0, "it was never sent");
}

#[tokio::test]
async fn the_attempts_are_all_counted_of_the_dead_and_of_the_expired() {
    let world = World::new();
    let a = world.subscriber("a").await;
    world.accepted("dies").await;
    let answer = world.publish(&with(message("expires"), "expiresAt", soon())).await;
    assert_eq!(answer.status, 202);
    let attempt = || Attempt { at: now(), error: "No answer in time.".into() };
    for (id, count) in [("dies", 29), ("expires", 20)] {
        let seq = world.store.receipts(id.into(), None).await.unwrap()[0].seq;
        let attempts = (0..count).map(|_| (seq, attempt(), Spent::default())).collect();
        world.store.note_attempts(a, attempts).await.unwrap();
    }
    world.die(a, "dies", Reason::TimedOut).await;
    let path = format!("{QUEUE}/deadletter");
    eventually("both are listed", || async { world.get(ADMIN, &path).await.json["count"] == 2 })
        .await;
    let messages = world.get(BOSS, &path).await.json["messages"].clone();
    let attempts = |n: usize| messages[n]["deliveryAttempts"].clone();
    assert_eq!((attempts(0), attempts(1)), (json!(30), json!(20)));
    let letters = world.get(BOSS, "/api/v1/admin/dead-letters/messages/dies").await.json;
    let letter = &letters["deadLetters"][0];
    assert_eq!((&letter["attemptsMade"], &letter["attemptsLeftOut"]), (&json!(30), &json!(14)));
    assert_eq!(letter["attempts"].as_array().unwrap().len(), 16);
}

#[tokio::test]
async fn a_requeue_of_an_unknown_id_is_404_and_to_somebody_who_is_gone_409() {
    let world = World::new();
    let a = world.subscriber("a").await;
    for id in ["m1", "m2"] {
        world.accepted(id).await;
        world.die(a, id, Reason::TimedOut).await;
    }
    let requeue = |id: &str| {
        let path = format!("{QUEUE}/deadletter/{id}/requeue");
        let world = &world;
        async move { world.post(ADMIN, &path, &Value::Null).await }
    };
    let as_client = format!("{QUEUE}/deadletter/m1/requeue");
    assert_problem(&world.post(CLIENT, &as_client, &Value::Null).await, 401, None);
    let answer = requeue("m1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json, json!({"message": "Message requeued successfully"}));
    assert_problem(&requeue("m1").await, 404, None);
    assert_problem(&requeue("nosuch").await, 404, None);
    world.store.end(a, now()).await.unwrap();
    assert_problem(&requeue("m2").await, 409, Some("subscriber_gone"));
}

#[tokio::test]
async fn what_is_no_route_and_no_method_is_a_problem_like_any_other() {
    let world = World::new();
    let dead = format!("{QUEUE}/deadletter");
    for (method, path, status) in [
        (Method::DELETE, dead.clone(), 405),
        (Method::GET, format!("{dead}/m1/requeue"), 405),
        (Method::GET, format!("{dead}/m1"), 404),
        (Method::GET, format!("{QUEUE}/nosuch"), 404),
    ] {
        assert_problem(&world.ask(BOSS, method, &path, "").await, status, None);
    }
}
