//! Connections: counted for everybody, named for those who may.

use std::sync::atomic::Ordering;
use std::time::Duration;

use conduit_realtime::model::TransportKind;
use http::{Method, StatusCode};
use serde_json::json;

use crate::world::World;

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
    for path in ["details", "hub/tasks", "key/1", "group/g", "transport/LongPolling"] {
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
    for unknown in ["key/x", "transport/pigeon"] {
        let path = format!("/health/signalr/connections/{unknown}");
        assert_eq!(world.get(&path, Some("admin")).await.0, StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_listed_by_hub_key_group_and_transport() {
    let world = World::new();
    let a = world.client("a", "1", TransportKind::WebSockets);
    let _b = world.client("b", "2", TransportKind::LongPolling);
    world.delivery.connected(&a.connection).await.unwrap();
    world.delivery.join(&"tasks".into(), a.connection.id(), &"g".into()).await.unwrap();
    for (path, name, value, ids) in [
        ("hub/TASKS", "hubName", json!("TASKS"), &["a", "b"][..]),
        ("hub/none", "hubName", json!("none"), &[]),
        ("key/2", "virtualKeyId", json!(2), &["b"]),
        ("group/g", "groupName", json!("g"), &["a"]),
        ("group/h", "groupName", json!("h"), &[]),
        ("transport/longpolling", "transportType", json!("LongPolling"), &["b"]),
        ("transport/ServerSentEvents", "transportType", json!("ServerSentEvents"), &[]),
    ] {
        let path = format!("/health/signalr/connections/{path}");
        let (_, found) = world.get(&path, Some("admin")).await;
        assert_eq!((&found[name], &found["count"]), (&value, &json!(ids.len())), "{path}");
        let listed = found["connections"].as_array().unwrap();
        let listed: Vec<_> =
            listed.iter().map(|own| own["connectionId"].as_str().unwrap()).collect();
        assert_eq!(listed, ids, "{path}");
    }
    let (_, group) = world.get("/health/signalr/connections/group/g", Some("admin")).await;
    assert_eq!((&group["connections"][0]["virtualKeyId"]), &json!(1));
    let (_, hub) = world.get("/health/signalr/connections/hub/tasks", Some("admin")).await;
    assert_eq!(hub["connections"][0]["groups"], json!(["g"]));
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
    assert_eq!(listed[0]["userAgent"], "story/1");
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

#[tokio::test]
async fn what_is_no_route_and_no_method_is_a_problem_like_any_other() {
    let world = World::new();
    for (method, path, status) in [
        (Method::GET, "/health/signalr/nosuch", 404),
        (Method::GET, "/health/signalr/connections/nosuch/7", 404),
        (Method::POST, "/health/signalr", 405),
        (Method::DELETE, "/health/signalr/connections/details", 405),
    ] {
        let (found, problem) = world.ask(method, path, None).await;
        assert_eq!((found.as_u16(), &problem["status"]), (status, &json!(status)), "{path}");
        assert!(problem["detail"].is_string());
    }
}
