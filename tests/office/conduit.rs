//! Conduit's routes of the queue, in Conduit's shapes.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use conduit_realtime::delivery::Reason;
use conduit_realtime::store::Store;
use serde_json::{Value, json};

use crate::world::{BILLING, BOSS, World, assert_problem, eventually, message, now, with};

const QUEUE: &str = "/health/signalr/queue";

fn soon() -> Value {
    json!(DateTime::<Utc>::from(SystemTime::now() + Duration::from_millis(300)).to_rfc3339())
}

#[tokio::test]
async fn dead_letters_and_expired_messages_are_listed_for_operators() {
    let world = World::new();
    let a = world.subscriber("a").await;
    world.accepted("dies").await;
    world.die(a, "dies", Reason::TimedOut).await;
    assert_eq!(world.publish(&with(message("expires"), "expiresAt", soon())).await.status, 202);
    let path = format!("{QUEUE}/deadletter");
    for key in [BILLING, ""] {
        assert_problem(&world.get(key, &path).await, 401, None);
    }
    eventually("both are listed", || async { world.get(BOSS, &path).await.json["count"] == 2 })
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
        async move { world.post(BOSS, &path, &Value::Null).await }
    };
    let answer = requeue("m1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json, json!({"message": "Message requeued successfully"}));
    assert_problem(&requeue("m1").await, 404, None);
    assert_problem(&requeue("nosuch").await, 404, None);
    world.store.end(a, now()).await.unwrap();
    assert_problem(&requeue("m2").await, 409, Some("subscriber_gone"));
}
