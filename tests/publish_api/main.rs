//! The back end's door, as a back end sees it: the router in front of a real delivery.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use axum::body::Body;
use conduit_realtime::publish::Config;
use http::{Method, Request};
use serde_json::json;

use world::{KEY, NEWS, World, assert_problem};

#[tokio::test]
async fn a_message_is_answered_with_its_id_and_is_in_the_outbox_by_then() {
    let world = World::new();
    let client = world.client("c1", "tasks", "1").await;
    let answer = world.publish(NEWS).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json["messageId"].as_str().map(str::len), Some(36));
    let expected = r#"{"type":1,"target":"News","arguments":[1,"two"]}"#;
    assert_eq!(client.heard().await, [format!("{expected}\u{1e}")]);
    assert_eq!(world.counted("publish_accepted_total", "tasks"), 1.0);
}

#[tokio::test]
async fn each_audience_is_reached_and_nobody_else() {
    let world = World::new();
    let (a, b) = (world.client("a", "tasks", "1").await, world.client("b", "tasks", "2").await);
    let elsewhere = world.client("c", "bench", "1").await;
    let place = "/api/v1/hubs/tasks/groups/g/connections/a";
    assert_eq!(world.ask(Method::PUT, place, "").await.status, 204);
    for (audience, for_a, for_b) in [
        (json!({"all": true}), 1, 1),
        (json!({"all": true, "except": ["a"]}), 0, 1),
        (json!({"group": "g"}), 1, 0),
        (json!({"group": "g", "except": ["a"]}), 0, 0),
        (json!({"groups": ["g", "h", "g"]}), 1, 0),
        (json!({"user": "2"}), 0, 1),
        (json!({"users": ["1", "2"]}), 1, 1),
        (json!({"connection": "b"}), 0, 1),
        (json!({"connections": ["a", "nobody"]}), 1, 0),
    ] {
        world.tell(audience.clone(), "x").await;
        let heard = (a.heard().await.len(), b.heard().await.len());
        assert_eq!(heard, (for_a, for_b), "{audience}");
    }
    assert!(elsewhere.heard().await.is_empty());
}

#[tokio::test]
async fn the_key_is_asked_for_before_anything_else() {
    let world = World::new();
    for header in [("X-API-Key", "wrong"), ("Authorization", "Bearer wrong"), ("X-API-Key", "")] {
        for path in ["/api/v1/hubs/tasks/messages", "/api/v1/hubs/nosuch/messages", "/api/v1/x"] {
            let request = Request::post(path).header(header.0, header.1);
            let answer = world.send(request.body("not JSON".into()).unwrap()).await;
            assert_problem(&answer, 401, None);
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    let request = Request::post("/api/v1/hubs/tasks/messages");
    let request = request.header("Authorization", format!("Bearer {KEY}"));
    assert_eq!(world.send(request.body(NEWS.into()).unwrap()).await.status, 202);
    assert_eq!(world.counted("publish_refused_total", "401"), 9.0);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::new();
    for (method, path, status) in [
        (Method::POST, "/api/v1/hubs/nosuch/messages", 404),
        (Method::POST, "/api/v1/hubs/hubs%2Ftasks/messages", 404),
        (Method::POST, "/api/v1/hubs/hubs/tasks/messages", 404),
        (Method::POST, "/api/v1/hubs/%ff/messages", 404),
        (Method::GET, "/api/v1/hubs/tasks/messages", 405),
        (Method::PUT, "/api/v1/hubs/nosuch/groups/g/connections/c", 404),
        (Method::DELETE, "/api/v1/hubs/nosuch/groups/g/users/u", 404),
        (Method::DELETE, "/api/v1/hubs/nosuch/connections/c", 404),
        (Method::HEAD, "/api/v1/hubs/nosuch/groups/g", 404),
    ] {
        let answer = world.ask(method.clone(), path, NEWS).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_and_one_with_a_bad_field_422() {
    let world = World::new();
    let deep = format!(r#"{{"arguments":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for body in ["", "{", r#"{"audience":"#, &deep] {
        assert_problem(&world.publish(body.to_owned()).await, 400, None);
    }
    assert_problem(&world.publish(&b"{\"target\":\"\xff\"}"[..]).await, 400, None);
    assert_problem(&world.publish("[1]").await, 422, None);
    let body = r#"{"audience":{"group":""},"target":"t","arguments":[]}"#;
    let answer = world.publish(body).await;
    assert_problem(&answer, 422, Some("audience.group"));
    assert_eq!(answer.json["limit"], 256);
    assert_eq!(world.counted("publish_refused_total", "400"), 5.0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_names_it_and_one_of_the_limit_passes() {
    let config = Config { body_bytes_max: 1_024, ..Config::default() };
    let world = World::with(config, true);
    let body = |length: usize| {
        let frame = r#"{"audience":{"connection":"c"},"target":"t","arguments":[""]}"#;
        frame.replace("\"\"", &format!("\"{}\"", "x".repeat(length - frame.len())))
    };
    assert_eq!(world.publish(body(1_024)).await.status, 202);
    let answer = world.publish(body(1_025)).await;
    assert_problem(&answer, 413, None);
    assert_eq!(answer.json["limit"], 1_024);
}

#[tokio::test]
async fn the_deepest_message_that_passes_can_be_said_in_both_protocols() {
    let world = World::new();
    let arguments = format!("{}{}", "[".repeat(63), "]".repeat(63));
    let body = format!(r#"{{"audience":{{"all":true}},"target":"t","arguments":{arguments}}}"#);
    let client = world.client("c", "tasks", "1").await;
    assert_eq!(world.publish(body).await.status, 202);
    assert!(client.heard().await[0].contains(&arguments));
}

#[tokio::test]
async fn a_connection_is_put_into_a_group_and_taken_out() {
    let world = World::new();
    let client = world.client("c", "tasks", "1").await;
    let (group, place) = (
        "/api/v1/hubs/tasks/groups/my%20group",
        "/api/v1/hubs/tasks/groups/my%20group/connections/c",
    );
    assert_eq!(world.ask(Method::HEAD, group, "").await.status, 404);
    assert_eq!(world.ask(Method::PUT, place, "").await.status, 204);
    assert_eq!(world.ask(Method::HEAD, group, "").await.status, 200);
    world.tell(json!({"group": "my group"}), "in").await;
    assert_eq!(client.heard().await.len(), 1);
    assert_eq!(world.ask(Method::DELETE, place, "").await.status, 204);
    assert_eq!(world.ask(Method::HEAD, group, "").await.status, 404);
    let nobody = "/api/v1/hubs/tasks/groups/g/connections/nobody";
    assert_eq!(world.ask(Method::PUT, nobody, "").await.status, 204);
}

#[tokio::test]
async fn a_users_present_connections_are_put_into_a_group_and_taken_out() {
    let world = World::new();
    let clients = [world.client("a", "tasks", "1").await, world.client("b", "tasks", "1").await];
    let place = "/api/v1/hubs/tasks/groups/g/users/1";
    assert_eq!(world.ask(Method::HEAD, "/api/v1/hubs/tasks/users/1", "").await.status, 200);
    assert_eq!(world.ask(Method::HEAD, "/api/v1/hubs/tasks/users/2", "").await.status, 404);
    assert_eq!(world.ask(Method::PUT, place, "").await.status, 204);
    world.tell(json!({"group": "g"}), "in").await;
    for client in &clients {
        assert_eq!(client.heard().await.len(), 1, "{}", client.id());
    }
    assert_eq!(world.ask(Method::DELETE, place, "").await.status, 204);
    world.tell(json!({"group": "g"}), "out").await;
    assert!(clients[0].heard().await.is_empty());
}

#[tokio::test]
async fn one_group_too_many_is_409_with_the_limit() {
    let world = World::new();
    let _client = world.client("c", "tasks", "1").await;
    for number in 0..1_000 {
        let place = format!("/api/v1/hubs/tasks/groups/g{number}/connections/c");
        assert_eq!(world.ask(Method::PUT, &place, "").await.status, 204);
    }
    let place = "/api/v1/hubs/tasks/groups/one-more/connections/c";
    let answer = world.ask(Method::PUT, place, "").await;
    assert_problem(&answer, 409, None);
    assert_eq!(answer.json["limit"], 1_000);
}

#[tokio::test]
async fn a_connection_is_ended_with_a_reason() {
    let world = World::new();
    let client = world.client("c", "tasks", "1").await;
    let place = "/api/v1/hubs/tasks/connections/c";
    assert_eq!(world.ask(Method::HEAD, place, "").await.status, 200);
    let long = format!("{place}?reason={}", "x".repeat(257));
    assert_problem(&world.ask(Method::DELETE, &long, "").await, 422, Some("reason"));
    let answer = world.ask(Method::DELETE, &format!("{place}?reason=not%20paid"), "").await;
    assert_eq!(answer.status, 204);
    let end = format!("{:?}", client.connection.ended());
    assert!(end.contains("not paid"), "{end}");
    let nobody = "/api/v1/hubs/tasks/connections/nobody";
    assert_problem(&world.ask(Method::DELETE, nobody, "").await, 404, None);
}

#[tokio::test]
async fn a_name_in_the_path_is_bounded_too() {
    let world = World::new();
    let place = format!("/api/v1/hubs/tasks/groups/{}/users/u", "g".repeat(257));
    assert_problem(&world.ask(Method::PUT, &place, "").await, 422, Some("group"));
}

#[tokio::test]
async fn the_observer_hears_of_a_message_and_not_of_a_refused_one() {
    let world = World::new();
    world.publish(NEWS).await;
    world.publish(NEWS.replace("[1", "{[1")).await;
    assert_eq!(*world.seen.0.lock().unwrap(), [r#"tasks News [1,"two"]"#]);
}

#[tokio::test]
async fn a_task_is_registered_for_a_virtual_key() {
    let world = World::new();
    let put = |path, body: &'static str| world.ask(Method::PUT, path, body);
    assert_eq!(put("/api/v1/tasks/order%2F7", r#"{"virtualKeyId":1}"#).await.status, 204);
    assert_eq!(*world.seen.0.lock().unwrap(), ["order/7 of 1"]);
    for body in
        ["{}", r#"{"virtualKeyId":0}"#, r#"{"virtualKeyId":"1"}"#, r#"{"virtualKeyId":null}"#]
    {
        assert_problem(&put("/api/v1/tasks/7", body).await, 422, Some("virtualKeyId"));
    }
    let extra = r#"{"virtualKeyId":1,"x":2}"#;
    assert_problem(&put("/api/v1/tasks/7", extra).await, 422, Some("x"));
    assert_problem(&put("/api/v1/tasks/%20", r#"{"virtualKeyId":1}"#).await, 422, Some("taskId"));
    assert_problem(&put("/api/v1/tasks/7", "1;").await, 400, None);
    let request = Request::put("/api/v1/tasks/7").body(r#"{"virtualKeyId":1}"#.into()).unwrap();
    assert_problem(&world.send(request).await, 401, None);
}

#[tokio::test]
async fn a_node_that_stops_takes_nothing_new_and_says_when_to_come_back() {
    let world = World::new();
    world.door.close();
    let answer = world.publish(NEWS).await;
    assert_problem(&answer, 503, None);
    assert_eq!(answer.headers["retry-after"], "5");
    let request = Request::post("/api/broadcast").body("x".into()).unwrap();
    assert_eq!(world.send(request).await.status, 503);
}

#[tokio::test]
async fn a_tenant_that_asks_too_often_is_told_how_often_it_may() {
    let config = Config { requests_per_second_max: 2, ..Config::default() };
    let world = World::with(config, true);
    assert_eq!(world.publish(NEWS).await.status, 202);
    assert_eq!(world.publish(NEWS).await.status, 202);
    let answer = world.publish(NEWS).await;
    assert_problem(&answer, 429, None);
    assert_eq!(answer.json["limit"], 2);
    assert_eq!(answer.headers["retry-after"], "1");
    // Without a key there is no tenant whose requests could be counted.
    let request = Request::post("/api/v1/hubs/tasks/messages").body(NEWS.into()).unwrap();
    assert_problem(&world.send(request).await, 401, None);
}

#[tokio::test]
async fn the_body_of_a_broadcast_goes_to_all_of_the_bench_hub_as_one_text() {
    let world = World::new();
    let client = world.client("c", "bench", "1").await;
    for body in ["{\"a\":1}", "plain ☃", ""] {
        let request = Request::post("/api/broadcast").header("content-type", "text/x");
        assert_eq!(world.send(request.body(body.into()).unwrap()).await.status, 202);
        let text = serde_json::to_string(body).unwrap();
        let expected =
            format!("{{\"type\":1,\"target\":\"Broadcast\",\"arguments\":[{text}]}}\u{1e}");
        assert_eq!(client.heard().await, [expected]);
    }
    let request = Request::post("/api/broadcast").body(Body::from(&b"\xff"[..])).unwrap();
    assert_problem(&world.send(request).await, 400, None);
}

#[tokio::test]
async fn without_the_bench_hub_there_is_no_broadcast() {
    let world = World::with(Config::default(), false);
    let request = Request::post("/api/broadcast").body("x".into()).unwrap();
    assert_problem(&world.send(request).await, 404, None);
}
