//! Ids: how they are given out, used and forgotten.

use std::time::Duration;

use axum::body::Body;
use conduit_realtime::transport::TransportKind;
use http::Request;
use tower::ServiceExt as _;

use crate::world::World;

#[tokio::test]
async fn version_1_gives_an_id_and_another_token() {
    let world = World::start().await;
    let answer = world.http("POST", "/hub/negotiate?negotiateVersion=1").await;
    let id = answer.json()["connectionId"].as_str().unwrap().to_owned();
    let token = answer.json()["connectionToken"].as_str().unwrap().to_owned();
    assert_eq!((id.len(), token.len()), (22, 22));
    assert_ne!(id, token);
    let expected = format!(
        r#"{{"negotiateVersion":1,"connectionId":"{id}","connectionToken":"{token}","availableTransports":[{{"transport":"WebSockets","transferFormats":["Text","Binary"]}},{{"transport":"ServerSentEvents","transferFormats":["Text"]}},{{"transport":"LongPolling","transferFormats":["Text","Binary"]}}]}}"#
    );
    answer.is(200, &expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-length"), Some(&*expected.len().to_string()));
}

#[tokio::test]
async fn without_a_version_the_id_is_the_token() {
    let world = World::start().await;
    let answer = world.http("POST", "/hub/negotiate").await.json();
    assert_eq!(answer["negotiateVersion"], 0);
    assert!(answer.get("connectionToken").is_none());
    let id = answer["connectionId"].as_str().unwrap();
    assert_eq!(world.http("GET", &format!("/hub?id={id}")).await.status, 200);
}

#[tokio::test]
async fn stateful_reconnect_is_promised_to_who_asks_and_only_where_it_is_allowed() {
    let asked = "/hub/negotiate?negotiateVersion=1&useStatefulReconnect=True";
    let world = World::start().await;
    assert_eq!(world.http("POST", asked).await.json()["useStatefulReconnect"], true);
    let not_asked = world.http("POST", "/hub/negotiate?negotiateVersion=1").await.json();
    assert!(not_asked.get("useStatefulReconnect").is_none());
    let plain =
        World::with(|plan| plan.route = Box::new(|route| route.stateful_reconnect = false)).await;
    assert!(plain.http("POST", asked).await.json().get("useStatefulReconnect").is_none());
}

#[tokio::test]
async fn versions_that_do_not_fit_get_the_texts_of_aspnet_core() {
    let world =
        World::with(|plan| plan.route = Box::new(|route| route.negotiate_version_min = 1)).await;
    let error = |answer: crate::world::Answer| answer.text().to_owned();
    assert_eq!(
        error(world.http("POST", "/hub/negotiate?negotiateVersion=abc").await),
        r#"{"error":"The client requested a non-integer protocol version."}"#
    );
    assert_eq!(
        error(world.http("POST", "/hub/negotiate").await),
        r#"{"error":"The client requested version '0', but the server does not support this version."}"#
    );
    let newer = world.http("POST", "/hub/negotiate?negotiateVersion=7").await;
    assert_eq!(newer.json()["negotiateVersion"], 1);
}

#[tokio::test]
async fn what_is_no_request_of_a_hub_gets_405_without_allow() {
    let world = World::start().await;
    for (method, path) in [("GET", "/hub/negotiate"), ("PUT", "/hub"), ("OPTIONS", "/hub")] {
        let answer = world.http(method, path).await;
        answer.is(405, "");
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(answer.header("allow"), None);
    }
}

#[tokio::test]
async fn ids_that_are_not_there_are_404_whatever_they_look_like() {
    let world = World::start().await;
    let long = "x".repeat(5_000);
    for id in ["unknown", "%00%ff", "AAAAAAAAAAAAAAAAAAAAAA", "..%2F..", &long] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = world.http(method, &format!("/hub?id={id}")).await;
            answer.is(404, "No Connection with that ID");
            assert_eq!(answer.header("content-type"), Some("text/plain"));
        }
    }
    world.http("POST", "/hub?id=").await.is(400, "Connection ID required");
    let poll = world.http("GET", "/hub").await;
    poll.is(400, "Connection ID required");
    assert_eq!(poll.header("cache-control"), Some("no-cache, no-store"));
}

#[tokio::test]
async fn another_users_token_is_403_on_every_request() {
    let world = World::start().await;
    let token = world.negotiate("user=ann").await;
    for method in ["GET", "POST", "DELETE"] {
        world.http(method, &format!("/hub?user=bob&id={token}")).await.is(403, "");
        world.http(method, &format!("/hub?id={token}")).await.is(403, "");
        world.http(method, &format!("/hub?user=nobody&id={token}")).await.is(401, "");
        world.http(method, &format!("/hub?user=stranger&id={token}")).await.is(403, "");
    }
    assert_eq!(world.http("GET", &format!("/hub?user=ann&id={token}")).await.status, 200);
    world.http("POST", "/hub/negotiate?user=nobody").await.is(401, "");
}

#[tokio::test]
async fn a_transport_that_is_not_offered_is_refused_by_name() {
    let world = World::with(|plan| {
        plan.route =
            Box::new(|route| route.transports = [TransportKind::WebSockets].into_iter().collect());
    })
    .await;
    let token = world.negotiate("").await;
    let path = format!("/hub?id={token}");
    let poll = world.http("GET", &path).await;
    poll.is(404, "LongPolling transport not supported by this end point type");
    let events = world.request("GET", &path, &[("Accept", "text/event-stream")], b"").await;
    events.is(404, "ServerSentEvents transport not supported by this end point type");
}

#[tokio::test]
async fn when_too_many_ids_wait_the_next_is_told_to_come_back() {
    let world = World::with(|plan| plan.config.unattached_max = 2).await;
    let first = world.negotiate("").await;
    world.negotiate("").await;
    let refused = world.http("POST", "/hub/negotiate?negotiateVersion=1").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(world.metrics.unattached.get(), 2);
    assert_eq!(world.http("GET", &format!("/hub?id={first}")).await.status, 200);
    world.negotiate("").await;
}

#[tokio::test]
async fn a_stopping_node_lets_nobody_new_in() {
    let world = World::start().await;
    let (waiting, open) = (world.negotiate("").await, world.negotiate("").await);
    assert_eq!(world.http("GET", &format!("/hub?id={open}")).await.status, 200);
    world.transport.stop_accepting();
    let path = format!("/hub?id={waiting}");
    let events = [("Accept", "text/event-stream")];
    assert_eq!(world.http("POST", "/hub/negotiate").await.status, 503);
    assert_eq!(world.http("GET", &path).await.status, 503);
    assert_eq!(world.request("GET", &path, &events, b"").await.status, 503);
    assert_eq!(world.post(&open, b"still served").await.status, 200);
    assert!(world.http("GET", &format!("/hub?id={open}")).await.is_data("still served"));
}

impl crate::world::Answer {
    fn is_data(&self, text: &str) -> bool {
        self.status == 200 && self.text() == text
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_nobody_attaches_to_is_gone_after_its_time() {
    let world = World::start().await;
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = world.app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        (status.as_u16(), axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap())
    };
    let (_, body) = ask("POST", "/hub/negotiate?negotiateVersion=1").await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let path = format!("/hub?id={}", body["connectionToken"].as_str().unwrap());
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(ask("POST", &path).await.0, 200, "it waits still");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ask("POST", &path).await.0, 404);
    assert_eq!(world.metrics.unattached.get(), 0);
}
