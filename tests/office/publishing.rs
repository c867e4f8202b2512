//! Acknowledged messages: what a publisher is answered, and what it may ask later.

use conduit_realtime::delivery::Reason;
use conduit_realtime::publish::Config;
use conduit_realtime::store::{self, Outcome};
use serde_json::{Value, json};

use crate::world::{BILLING, OTHER, Settings, World, assert_problem, message, with};

#[tokio::test]
async fn a_message_is_answered_with_how_many_owe_it_and_what_it_survives() {
    let world = World::new();
    world.subscriber("a").await;
    world.subscriber("b").await;
    let answer = world.publish(&message("m1")).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json, json!({"messageId": "m1", "targeted": 2, "mode": "memory"}));
    let mut body = message("x");
    body.as_object_mut().unwrap().remove("messageId");
    let answer = world.publish(&body).await;
    assert_eq!(answer.json["messageId"].as_str().map(str::len), Some(36));
}

#[tokio::test]
async fn what_was_accepted_before_or_is_refused_is_not_published_again() {
    let world = World::new();
    let body = message("m1");
    for _ in 0..3 {
        assert_eq!(world.publish(&body).await.status, 202);
    }
    let batch = json!({ "messages": [body, message("m2"), body] });
    world.post(BILLING, "/api/v1/hubs/tasks/messages/batch", &batch).await;
    let nobody = with(message("m3"), "requireAudience", json!(true));
    assert_eq!(world.publish(&nobody).await.status, 409);
    let told = [r#"tasks News ["m1"]"#, r#"tasks News ["m2"]"#];
    assert_eq!(*world.seen.0.lock().unwrap(), told);
    let counted = |name| world.counted(name, "tasks");
    assert_eq!(counted("publish_accepted_total"), 2.0);
    assert_eq!(counted("publish_repeated_total"), 4.0);
}

#[tokio::test]
async fn the_same_message_again_has_the_first_answer_and_another_one_is_409() {
    let world = World::new();
    world.subscriber("a").await;
    let first = world.publish(&message("m1")).await;
    world.subscriber("b").await;
    let again = world.publish(&message("m1")).await;
    assert_eq!((again.status, &again.json), (first.status, &first.json));
    let other = with(message("m1"), "arguments", json!(["else"]));
    let refused = world.publish(&other).await;
    assert_problem(&refused, 409, Some("message_id_reused"));
    assert_eq!(refused.json["messageId"], "m1");
    assert_eq!(world.post(OTHER, "/api/v1/hubs/tasks/messages", &other).await.status, 202);
    assert_eq!(world.post(BILLING, "/api/v1/hubs/news/messages", &other).await.status, 202);
}

#[tokio::test]
async fn an_audience_of_nobody_is_settled_at_once_unless_somebody_is_required() {
    let world = World::new();
    let answer = world.publish(&message("m1")).await;
    assert_eq!((answer.status.as_u16(), &answer.json["targeted"]), (202, &json!(0)));
    let receipt = world.get(BILLING, "/api/v1/messages/m1").await;
    assert!(receipt.json["settledAt"].is_string(), "{}", receipt.text);
    let needy = with(message("m2"), "requireAudience", json!(true));
    assert_problem(&world.publish(&needy).await, 409, Some("nobody"));
    world.subscriber("a").await;
    assert_eq!(world.publish(&needy).await.status, 202, "the refused one left no trace");
}

#[tokio::test]
async fn each_bound_is_503_with_its_code_its_limit_whose_it_is_and_when_to_come_back() {
    let store = || store::Config::default();
    for (store, code, whose, limit) in [
        (store::Config { pending_per_tenant_max: 1, ..store() }, "pending_full", "tenant", 1),
        (store::Config { pending_max: 1, ..store() }, "pending_full", "total", 1),
        (
            store::Config { dead_letters_per_tenant_max: 1, ..store() },
            "dead_letters_full",
            "tenant",
            1,
        ),
        (store::Config { dead_letters_max: 1, ..store() }, "dead_letters_full", "total", 1),
        (store::Config { idempotency_keys_max: 1, ..store() }, "idempotency_full", "total", 1),
    ] {
        let world = World::with(Settings { store, ..Settings::default() });
        let a = world.subscriber("a").await;
        world.accepted("m1").await;
        if code == "dead_letters_full" {
            world.die(a, "m1", Reason::TimedOut).await;
        }
        let answer = world.publish(&message("m2")).await;
        assert_problem(&answer, 503, Some(code));
        assert_eq!((&answer.json["whose"], &answer.json["limit"]), (&json!(whose), &json!(limit)));
        assert_eq!(answer.headers["retry-after"], "5");
        assert_eq!(world.publish(&message("m1")).await.status, 202, "the first result stands");
        let others = world.post(OTHER, "/api/v1/hubs/tasks/messages", &message("m3")).await;
        assert_eq!(others.status == 202, whose == "tenant", "{code}: nobody else");
    }
}

#[tokio::test]
async fn too_many_bytes_are_503_too() {
    let store = store::Config { mib_per_tenant_max: 1, ..store::Config::default() };
    let world = World::with(Settings { store, ..Settings::default() });
    world.subscriber("a").await;
    let long = |id| with(message(id), "arguments", json!(["x".repeat(700_000)]));
    assert_eq!(world.publish(&long("m1")).await.status, 202);
    let answer = world.publish(&long("m2")).await;
    assert_problem(&answer, 503, Some("bytes_full"));
    assert_eq!(answer.json["limit"], 1_048_576);
}

#[tokio::test]
async fn a_batch_judges_each_message_alone_and_in_order() {
    let world = World::new();
    world.subscriber("a").await;
    let batch = json!({"messages": [
        message("m1"),
        with(message("m1"), "arguments", json!([2])),
        {"audience": {"all": true}, "target": "News", "arguments": [], "messageId": "plain"},
        {"audience": {"all": true}, "target": "", "arguments": []},
        message("m1"),
        7,
        message("m2"),
    ]});
    let answer = world.post(BILLING, "/api/v1/hubs/tasks/messages/batch", &batch).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|own| own["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 409, 202, 422, 202, 422, 202]);
    let kept = json!({"status": 202, "messageId": "m1", "targeted": 1, "mode": "memory"});
    assert_eq!((&results[0], &results[4]), (&kept, &kept));
    assert_eq!(results[1]["messageId"], "m1");
    assert_eq!(results[1]["problem"]["code"], "message_id_reused");
    assert_eq!(results[2], json!({"status": 202, "messageId": "plain"}));
    assert_eq!(results[3]["problem"]["field"], "target");
}

#[tokio::test]
async fn a_batch_has_a_limit_and_each_wrong_body_names_its_field() {
    let publish = Config { batch_messages_max: 2, ..Config::default() };
    let world = World::with(Settings { publish, ..Settings::default() });
    let path = "/api/v1/hubs/tasks/messages/batch";
    for (body, limit) in [
        (json!({}), None),
        (json!({"messages": {}}), None),
        (json!({"messages": []}), Some(2)),
        (json!({"messages": [1, 2, 3]}), Some(2)),
    ] {
        let answer = world.post(BILLING, path, &body).await;
        assert_problem(&answer, 422, None);
        assert_eq!(answer.json["field"], "messages", "{body}");
        assert_eq!(answer.json.get("limit").and_then(Value::as_u64), limit, "{body}");
    }
    let answer = world.post(BILLING, path, &json!({"messages": [1], "x": 1})).await;
    assert_eq!(answer.json["field"], "x");
    assert_problem(&world.post("wrong", path, &json!({})).await, 401, None);
    let nowhere = "/api/v1/hubs/nosuch/messages/batch";
    assert_problem(&world.post(BILLING, nowhere, &json!({})).await, 404, None);
}

#[tokio::test]
async fn a_receipt_tells_each_subscriber_and_only_to_whom_published() {
    let world = World::new();
    let (a, b) = (world.subscriber("a").await, world.subscriber("b").await);
    world.accepted("m1").await;
    world.settle(a, "m1", Outcome::Acknowledged).await;
    let receipt = world.get(BILLING, "/api/v1/messages/m1").await;
    assert_eq!(receipt.status, 200);
    for (field, count) in [
        ("targeted", 2),
        ("acknowledged", 1),
        ("pending", 1),
        ("unconfirmed", 0),
        ("expired", 0),
        ("dead", 0),
    ] {
        assert_eq!(receipt.json[field], count, "{field}");
    }
    assert_eq!(receipt.json["settledAt"], Value::Null);
    assert_eq!(
        receipt.json["subscribers"],
        json!([
            {"subscriber": a.to_string(), "identity": "a", "status": "acknowledged"},
            {"subscriber": b.to_string(), "identity": "b", "status": "pending"},
        ])
    );
    assert_problem(&world.get(OTHER, "/api/v1/messages/m1").await, 404, None);
    assert_problem(&world.get(BILLING, "/api/v1/messages/m1?hub=news").await, 404, None);
    assert_problem(&world.get(BILLING, "/api/v1/messages/nosuch").await, 404, None);
    assert_problem(&world.get("wrong", "/api/v1/messages/m1").await, 401, None);
}

#[tokio::test]
async fn the_counts_add_up() {
    let world = World::new();
    let a = world.subscriber("a").await;
    world.subscriber("b").await;
    world.accepted("m1").await;
    world.settle(a, "m1", Outcome::Unconfirmed).await;
    let stats = world.get(BILLING, "/api/v1/delivery/stats").await;
    assert_eq!(stats.status, 200);
    assert_eq!(stats.json["mode"], "memory");
    let pairs = &stats.json["pairs"];
    assert_eq!((&pairs["targeted"], &pairs["unconfirmed"]), (&json!(2), &json!(1)));
    assert_eq!(pairs["pending"], 1);
    let messages = &stats.json["messages"];
    assert_eq!((&messages["accepted"], &messages["open"]), (&json!(1), &json!(1)));
    assert_eq!(stats.json["node"]["breakers"]["store"], "Closed");
}

#[tokio::test]
async fn while_the_stores_breaker_is_held_open_nothing_is_taken() {
    let world = World::new();
    let path = "/api/v1/admin/breakers/store";
    let boss = crate::world::BOSS;
    let forced = world.post(boss, &format!("{path}/open"), &Value::Null).await;
    assert_eq!((forced.status.as_u16(), &forced.json["store"]["state"]), (200, &json!("Isolated")));
    let answer = world.publish(&message("m1")).await;
    assert_problem(&answer, 503, Some("store_unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    world.post(boss, &format!("{path}/auto"), &Value::Null).await;
    assert_eq!(world.publish(&message("m1")).await.status, 202);
    assert_problem(&world.post(boss, &format!("{path}/ajar"), &Value::Null).await, 404, None);
    let nobody = "/api/v1/admin/breakers/subscribers/99/open";
    assert_problem(&world.post(boss, nobody, &Value::Null).await, 404, None);
    assert_problem(&world.post(BILLING, &format!("{path}/open"), &Value::Null).await, 401, None);
}
