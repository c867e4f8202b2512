//! Dead letters, as operators see and change them.

use conduit_realtime::delivery::{Reason, SubscriberId};
use conduit_realtime::store::Store;
use http::Method;
use serde_json::{Value, json};

use crate::world::{BILLING, BOSS, World, assert_problem, message, now, with};

const LIST: &str = "/api/v1/admin/dead-letters";

/// Two subscribers, three messages, all dead: of `a` timed out, of `b` nacked.
async fn graveyard() -> (World, SubscriberId, SubscriberId) {
    let world = World::new();
    let (a, b) = (world.subscriber("a").await, world.subscriber("b").await);
    for id in ["m1", "m2", "m3"] {
        world.accepted(id).await;
        world.die(a, id, Reason::TimedOut).await;
        world.die(b, id, Reason::Nacked).await;
    }
    (world, a, b)
}

async fn count(world: &World, query: &str) -> u64 {
    world.get(BOSS, &format!("{LIST}?{query}")).await.json["count"].as_u64().unwrap()
}

#[tokio::test]
async fn only_operators_see_them() {
    let (world, ..) = graveyard().await;
    for (method, path) in [
        (Method::GET, LIST.to_owned()),
        (Method::GET, format!("{LIST}/export")),
        (Method::POST, format!("{LIST}/requeue?all=true")),
        (Method::POST, format!("{LIST}/purge?all=true")),
        (Method::GET, format!("{LIST}/messages/m1")),
        (Method::DELETE, format!("{LIST}/messages/m1")),
        (Method::POST, format!("{LIST}/messages/m1/requeue")),
        (Method::GET, "/api/v1/admin/breakers".to_owned()),
        (Method::GET, "/api/v1/admin/nosuch".to_owned()),
    ] {
        for key in [BILLING, ""] {
            assert_problem(&world.ask(key, method.clone(), &path, "").await, 401, None);
        }
    }
    assert_eq!(count(&world, "").await, 6);
    assert_problem(&world.get(BOSS, "/api/v1/admin/nosuch").await, 404, None);
    assert_problem(&world.ask(BOSS, Method::PUT, LIST, "").await, 405, None);
}

#[tokio::test]
async fn a_list_is_filtered_and_comes_in_pages() {
    let (world, a, _) = graveyard().await;
    let subscriber = format!("subscriber={a}");
    for (query, expected) in [
        ("", 6),
        ("hub=tasks&tenant=billing", 6),
        ("hub=news", 0),
        ("tenant=other", 0),
        ("reason=nacked", 3),
        (&*subscriber, 3),
        ("messageId=m2", 2),
        ("from=2020-01-01T00:00:00Z", 6),
        ("before=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(count(&world, query).await, expected, "{query}");
    }
    let first = world.get(BOSS, &format!("{LIST}?limit=4")).await;
    assert_eq!(first.json["count"], 4);
    let next = first.json["next"].as_str().unwrap();
    let second = world.get(BOSS, &format!("{LIST}?limit=4&after={next}")).await;
    assert_eq!((&second.json["count"], &second.json["next"]), (&json!(2), &Value::Null));
    let letter = &first.json["deadLetters"][0];
    assert_eq!((&letter["messageId"], &letter["reason"]), (&json!("m1"), &json!("timed_out")));
    assert_eq!((&letter["identity"], &letter["attemptsMade"]), (&json!("a"), &json!(1)));
    assert_eq!((&letter["target"], &letter["lastError"]), (&json!("News"), &json!("no answer")));
    let wrong = world.get(BOSS, &format!("{LIST}?reason=bored")).await;
    assert_problem(&wrong, 422, None);
    assert_eq!(wrong.json["field"], "reason");
}

#[tokio::test]
async fn one_message_is_shown_with_everything_that_is_known() {
    let world = World::new();
    let a = world.subscriber("a").await;
    let mut body = with(message("m1"), "correlationId", json!("c-1"));
    body["orderingKey"] = json!("order-7");
    body["critical"] = json!(true);
    body["priority"] = json!(5);
    let text = body.to_string().replace("[\"m1\"]", "[ 1.50, {\"z\":1,\"a\":2} ]");
    let path = "/api/v1/hubs/tasks/messages";
    assert_eq!(world.ask(BILLING, Method::POST, path, text).await.status, 202);
    world.die(a, "m1", Reason::GivenUp).await;
    let shown = world.get(BOSS, &format!("{LIST}/messages/m1")).await;
    assert_eq!(shown.status, 200);
    assert!(shown.text.contains("\"arguments\":[ 1.50, {\"z\":1,\"a\":2} ]"), "{}", shown.text);
    let letter = &shown.json["deadLetters"][0];
    assert_eq!(
        (&letter["correlationId"], &letter["orderingKey"]),
        (&json!("c-1"), &json!("order-7"))
    );
    assert_eq!((&letter["critical"], &letter["priority"]), (&json!(true), &json!(5)));
    assert_eq!(letter["audience"], json!({"all": true}));
    assert_eq!(letter["attempts"][0]["error"], "no answer");
    assert!(letter["attempts"][0]["at"].is_string());
    assert_problem(&world.get(BOSS, &format!("{LIST}/messages/m2")).await, 404, None);
    let narrowed = format!("{LIST}/messages/m1?subscriber=999");
    assert_problem(&world.get(BOSS, &narrowed).await, 404, None);
}

#[tokio::test]
async fn one_message_is_sent_again_to_all_its_subscribers_or_one() {
    let (world, a, b) = graveyard().await;
    let one = format!("{LIST}/messages/m1/requeue?subscriber={a}");
    let answer = world.post(BOSS, &one, &Value::Null).await;
    assert_eq!((answer.status.as_u16(), &answer.json["requeued"]), (200, &json!(1)));
    assert_eq!(answer.json["refused"], 0);
    assert_problem(&world.post(BOSS, &one, &Value::Null).await, 404, None);
    let all = format!("{LIST}/messages/m2/requeue");
    assert_eq!(world.post(BOSS, &all, &Value::Null).await.json["requeued"], 2);
    let nosuch = format!("{LIST}/messages/nosuch/requeue");
    assert_problem(&world.post(BOSS, &nosuch, &Value::Null).await, 404, None);
    let receipt = world.get(BILLING, "/api/v1/messages/m1").await;
    assert_eq!((&receipt.json["pending"], &receipt.json["dead"]), (&json!(1), &json!(1)));
    assert_eq!(world.delivery.receipts("m2".into(), None).await.unwrap()[0].counts.pending, 2);
    let owed = world.store.owed_count(b).await.unwrap();
    assert_eq!(owed, 1, "the same id to the same subscriber");
}

#[tokio::test]
async fn a_letter_to_somebody_who_is_gone_is_409_and_goes_to_those_who_are_there_when_asked() {
    let (world, a, b) = graveyard().await;
    world.store.end(a, now()).await.unwrap();
    let one = format!("{LIST}/messages/m1/requeue?subscriber={a}");
    assert_problem(&world.post(BOSS, &one, &Value::Null).await, 409, Some("subscriber_gone"));
    let all = format!("{LIST}/messages/m1/requeue");
    let answer = world.post(BOSS, &all, &Value::Null).await;
    assert_eq!((&answer.json["requeued"], &answer.json["refused"]), (&json!(1), &json!(1)));
    assert_eq!(answer.json["refusals"][0]["code"], "subscriber_gone");
    assert_eq!(answer.json["refusals"][0]["subscriber"], a.to_string());
    let c = world.subscriber("c").await;
    let current = format!("{LIST}/messages/m2/requeue?audience=current");
    let answer = world.post(BOSS, &current, &Value::Null).await;
    assert_eq!((&answer.json["requeued"], &answer.json["owed"]), (&json!(2), &json!(2)));
    assert_eq!(answer.json["ended"], 1, "the letter to who is not there is no more");
    for subscriber in [b, c] {
        assert!(world.store.owed_count(subscriber).await.unwrap() >= 1);
    }
}

#[tokio::test]
async fn many_are_sent_again_by_ids_and_by_filter_but_all_only_when_it_is_said() {
    let (world, ..) = graveyard().await;
    let path = format!("{LIST}/requeue");
    let answer = world.post(BOSS, &path, &Value::Null).await;
    assert_problem(&answer, 422, None);
    assert_eq!(answer.json["field"], "all");
    let ids = json!({"messageIds": ["m1", "nosuch"]});
    assert_eq!(world.post(BOSS, &path, &ids).await.json["requeued"], 2);
    let nacked = format!("{path}?reason=nacked");
    assert_eq!(world.post(BOSS, &nacked, &Value::Null).await.json["requeued"], 2);
    let answer = world.post(BOSS, &format!("{path}?all=true"), &Value::Null).await;
    assert_eq!((&answer.json["requeued"], &answer.json["more"]), (&json!(2), &json!(false)));
    for (body, field) in [
        (json!({}), "messageIds"),
        (json!({"messageIds": []}), "messageIds"),
        (json!({"messageIds": ["a b"]}), "messageIds[0]"),
        (json!({"messageIds": vec!["m"; 1_001]}), "messageIds"),
        (json!({"messageIds": ["m1"], "x": 1}), "x"),
    ] {
        let answer = world.post(BOSS, &path, &body).await;
        assert_problem(&answer, 422, None);
        assert_eq!(answer.json["field"], field);
    }
}

/// Over the 10 000 that one request changes.
#[tokio::test]
async fn a_request_with_ids_says_where_to_go_on_and_conduits_goes_to_the_end() {
    let world = World::new();
    let all = world.crowd(10_001).await;
    world.accepted("m1").await;
    let counts = async || {
        let receipt = world.delivery.receipts("m1".into(), None).await.unwrap().remove(0);
        (receipt.counts.dead, receipt.counts.pending)
    };
    world.all_die(&all, "m1").await;
    let ids = json!({"messageIds": ["nosuch", "m1"]});
    let first = world.post(BOSS, &format!("{LIST}/requeue"), &ids).await.json;
    assert_eq!((&first["requeued"], &first["more"]), (&json!(10_000), &json!(true)));
    let next = format!("{LIST}/requeue?after={}", first["next"].as_str().unwrap());
    let second = world.post(BOSS, &next, &ids).await.json;
    assert_eq!((&second["requeued"], &second["more"]), (&json!(1), &json!(false)));
    assert_eq!(second["next"], Value::Null);

    world.all_die(&all, "m1").await;
    let conduit = "/health/signalr/queue/deadletter/m1/requeue";
    assert_eq!(world.post(BOSS, conduit, &Value::Null).await.status, 200);
    assert_eq!(counts().await, (0, 10_001));

    world.all_die(&all, "m1").await;
    let one = format!("{LIST}/messages/m1");
    for expected in [json!({"purged": 10_000, "more": true}), json!({"purged": 1, "more": false})] {
        assert_eq!(world.ask(BOSS, Method::DELETE, &one, "").await.json, expected);
    }
}

#[tokio::test]
async fn letters_of_large_messages_are_shown_in_pages() {
    let world = World::new();
    let all = world.crowd(30).await;
    let large = with(message("m1"), "arguments", json!(["x".repeat(900_000)]));
    assert_eq!(world.publish(&large).await.status, 202);
    world.all_die(&all, "m1").await;
    let (mut shown, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(BOSS, &format!("{LIST}/messages/m1?{after}")).await;
        assert!(page.text.len() < 8_400_000, "{}", page.text.len());
        shown.push(page.json["count"].as_u64().unwrap());
        match page.json["next"].as_str() {
            Some(next) => after = format!("after={next}"),
            None => break,
        }
    }
    assert_eq!(shown, [9, 9, 9, 3]);
    assert_eq!(count(&world, "").await, 30, "a list does not say what they say");
}

#[tokio::test]
async fn purged_letters_are_gone_and_counted() {
    let (world, a, _) = graveyard().await;
    let one = format!("{LIST}/messages/m1");
    let narrowed = format!("{one}?subscriber={a}");
    let answer = world.ask(BOSS, Method::DELETE, &narrowed, "").await;
    assert_eq!(answer.json, json!({"purged": 1, "more": false}));
    assert_eq!(world.ask(BOSS, Method::DELETE, &one, "").await.json["purged"], 1);
    assert_problem(&world.ask(BOSS, Method::DELETE, &one, "").await, 404, None);
    let path = format!("{LIST}/purge");
    assert_problem(&world.post(BOSS, &path, &Value::Null).await, 422, None);
    let ids = json!({"messageIds": ["m2"]});
    assert_eq!(world.post(BOSS, &path, &ids).await.json["purged"], 2);
    let filtered = format!("{path}?hub=tasks&reason=nacked");
    assert_eq!(world.post(BOSS, &filtered, &Value::Null).await.json["purged"], 1);
    assert_eq!(count(&world, "").await, 1);
    let stats = world.get(BILLING, "/api/v1/delivery/stats").await;
    assert_eq!(stats.json["pairs"]["purged"], 5);
}

#[tokio::test]
async fn an_export_is_one_line_for_each_letter() {
    let world = World::new();
    let a = world.subscriber("a").await;
    for n in 0..600 {
        let id = format!("m{n}");
        world.accepted(&id).await;
        world.die(a, &id, Reason::TimedOut).await;
    }
    let export = world.get(BOSS, &format!("{LIST}/export")).await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let ids: Vec<String> = export
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["messageId"].to_string())
        .collect();
    assert_eq!(ids, (0..600).map(|n| format!("\"m{n}\"")).collect::<Vec<_>>());
    let one = world.get(BOSS, &format!("{LIST}/export?messageId=m7")).await;
    assert_eq!(one.text.lines().count(), 1);
    assert!(one.text.contains("\"arguments\":[\"m7\"]"), "{}", one.text);
    assert_problem(&world.get(BOSS, &format!("{LIST}/export?x=1")).await, 422, None);
}

#[tokio::test]
async fn the_stores_health_is_told() {
    let world = World::new();
    let health = world.get(BOSS, "/api/v1/admin/store").await;
    assert_eq!((&health.json["mode"], &health.json["accepts"]), (&json!("memory"), &json!(true)));
    let seen = world.post(BOSS, "/api/v1/admin/store/acknowledge-damage", &Value::Null).await;
    assert_eq!(seen.json["damage"], Value::Null);
}
