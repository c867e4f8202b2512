//! Long polling from the first poll to the 204.

use std::time::Duration;

use conduit_realtime::connections::End;
use tokio::io::AsyncReadExt as _;

use crate::world::{Answer, PATIENCE, World};

async fn rest(mut stream: tokio::net::TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    Answer::parse(&bytes)
}

/// Negotiates and makes the first poll.
async fn open(world: &World) -> (String, String) {
    let token = world.negotiate("").await;
    let path = format!("/hub?id={token}");
    let first = world.http("GET", &path).await;
    first.is(200, "");
    assert_eq!(first.header("content-type"), Some("application/octet-stream"));
    assert_eq!(first.header("content-length"), Some("0"));
    assert_eq!(first.header("expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    (token, path)
}

#[tokio::test]
async fn one_poll_brings_all_that_waits() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    let held = world.send("GET", &path, &[], b"").await;
    world.post(&token, b"one").await.is(200, "");
    let answer = rest(held).await;
    answer.is(200, "one");
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-store"));
    let waiting = || world.connections.all()[0].waiting().0;
    for (count, text) in [b"two", b"six"].iter().enumerate() {
        assert_eq!(world.post(&token, *text).await.status, 200);
        world.until(|| waiting() == count + 1).await;
    }
    world.http("GET", &path).await.is(200, "twosix");
}

#[tokio::test]
async fn what_is_posted_before_the_first_poll_is_kept() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    world.post(&token, b"early").await.is(200, "");
    let path = format!("/hub?id={token}");
    world.http("GET", &path).await.is(200, "");
    world.http("GET", &path).await.is(200, "early");
}

#[tokio::test]
async fn a_newer_poll_ends_the_older_and_gets_the_data() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    let older = world.send("GET", &path, &[], b"").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let newer = world.send("GET", &path, &[], b"").await;
    let older = rest(older).await;
    older.is(204, "");
    assert_eq!(older.header("content-type"), Some("text/plain"));
    world.post(&token, b"for the newer").await.is(200, "");
    rest(newer).await.is(200, "for the newer");
}

#[tokio::test]
async fn an_idle_poll_is_answered_empty_but_never_before_the_handshake() {
    let world = World::with(|plan| plan.config.poll_timeout_ms = 50).await;
    let (token, path) = open(&world).await;
    let before = world.send("GET", &path, &[], b"").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.post(&token, b"handshake").await.is(200, "");
    rest(before).await.is(200, "handshake");
    let idle = world.http("GET", &path).await;
    idle.is(200, "");
    assert_eq!(idle.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn the_last_words_come_first_and_204_after_them() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    world.post(&token, b"bye").await.is(200, "");
    world.http("GET", &path).await.is(200, "{\"type\":7}\u{1e}");
    world.http("GET", &path).await.is(204, "");
    world.until(|| world.connections.count() == 0).await;
    world.http("GET", &path).await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn delete_ends_the_connection_and_the_open_poll() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    let held = world.send("GET", &path, &[], b"").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.http("DELETE", &path).await.is(202, "");
    rest(held).await.is(204, "");
    assert_eq!(world.ends(1).await, [End::ClientLeft]);
    world.http("DELETE", &path).await.is(404, "No Connection with that ID");
    world.post(&token, b"late").await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn delete_is_refused_before_a_transport_is_chosen_and_polls_keep_their_transport() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let path = format!("/hub?id={token}");
    let refused = world.http("DELETE", &path).await;
    refused.is(400, "Cannot terminate this connection using the DELETE endpoint.");
    world.http("GET", &path).await.is(200, "");
    let events = world.request("GET", &path, &[("Accept", "text/event-stream")], b"").await;
    events.is(400, "Cannot change transports mid-connection");
    assert_eq!(events.header("cache-control"), None);
}

#[tokio::test]
async fn a_client_that_stops_polling_is_gone_after_the_disconnect_timeout() {
    let world = World::with(|plan| {
        plan.settings.disconnect_timeout = Duration::from_millis(100);
    })
    .await;
    let (token, path) = open(&world).await;
    world.post(&token, b"x").await.is(200, "");
    world.http("GET", &path).await.is(200, "x");
    let abandoned = world.send("GET", &path, &[], b"").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(abandoned);
    assert_eq!(world.ends(1).await, [End::Lost]);
    world.until(|| world.connections.count() == 0).await;
    world.post(&token, b"late").await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn a_post_waits_while_the_session_does_not_read() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    world.post(&token, b"deaf").await.is(200, "");
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.post(&token, &vec![b'x'; 65_536]).await.is(200, "");
    let waiting = world.send("POST", &path, &[], b"one more").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut byte = [0];
    let early = waiting.try_read(&mut byte);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "not answered yet");
    world.http("DELETE", &path).await.is(202, "");
    world.connections.all()[0].end(End::ClientLeft);
    rest(waiting).await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn an_open_poll_is_still_answered_after_the_stop_of_the_accept_loop() {
    let world = World::start().await;
    let (token, path) = open(&world).await;
    world.post(&token, b"handshake").await.is(200, "");
    world.http("GET", &path).await.is(200, "handshake");
    let held = world.send("GET", &path, &[("Connection", "keep-alive")], b"").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err(), "nobody new");
    let last = crate::world::text(b"last words");
    world.connections.all()[0].send(last).await.unwrap();
    rest(held).await.is(200, "last words");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    use tokio::io::AsyncWriteExt as _;
    let world = World::start().await;
    let (token, _) = open(&world).await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /hub?id={token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    rest(stream).await.is(400, "");
}

#[tokio::test]
async fn connections_that_hold_no_socket_between_polls_are_bounded_too() {
    let world = World::with(|plan| plan.config.connections_max = 2).await;
    let (_, first) = open(&world).await;
    open(&world).await;
    let third = world.negotiate("").await;
    let refused = world.http("GET", &format!("/hub?id={third}")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(world.metrics.refused.with_label_values(&["connections_max"]).get(), 1);
    assert_eq!(world.http("DELETE", &first).await.status, 202);
    world.until(|| world.connections.count() < 2).await;
    assert_eq!(world.http("GET", &format!("/hub?id={third}")).await.status, 200);
}
