//! Event streams from their first bytes to their end.

use conduit_realtime::connections::End;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::world::{PATIENCE, World};

const EVENTS: [(&str, &str); 1] = [("Accept", "text/plain;q=0.5, text/event-stream")];

/// Reads until the bytes end so.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while !bytes.ends_with(end.as_bytes()) {
            let before = bytes.len();
            stream.read_buf(&mut bytes).await.unwrap();
            assert!(bytes.len() > before, "the stream ended early: {bytes:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the bytes come in time");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_stream_opens_at_once_and_echoes_events() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let mut stream = world.send("GET", &format!("/hub?id={token}"), &EVENTS, b"").await;
    let head = until(&mut stream, "3\r\n:\r\n\r\n").await;
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/event-stream\r\n",
        "cache-control: no-cache,no-store\r\n",
        "pragma: no-cache\r\n",
        "content-encoding: identity\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    world.post(&token, b"a\nb").await.is(200, "");
    until(&mut stream, "data: a\r\ndata: b\r\n\r\n\r\n").await;
    let second = world.request("GET", &format!("/hub?id={token}"), &EVENTS, b"").await;
    second.is(409, "");
    assert_eq!(second.header("content-type"), Some("text/plain"));
    let delete = world.http("DELETE", &format!("/hub?id={token}")).await;
    delete.is(400, "Cannot terminate this connection using the DELETE endpoint.");
    world.post(&token, b"bye").await.is(200, "");
    until(&mut stream, "data: {\"type\":7}\u{1e}\r\n\r\n\r\n0\r\n\r\n").await;
    world.until(|| world.connections.count() == 0).await;
    world.post(&token, b"x").await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn a_client_that_closes_its_stream_has_left() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let mut stream = world.send("GET", &format!("/hub?id={token}"), &EVENTS, b"").await;
    until(&mut stream, ":\r\n\r\n").await;
    drop(stream);
    assert_eq!(world.ends(1).await, [End::ClientLeft]);
    world.until(|| world.connections.count() == 0).await;
    world.post(&token, b"x").await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_loses_it() {
    let world = World::with(|plan| {
        plan.config.send_timeout_ms = 100;
        plan.settings.send_timeout = std::time::Duration::from_millis(500);
        plan.config.send_buffer_bytes = 4_096;
    })
    .await;
    let token = world.negotiate("").await;
    let mut stream = world.send("GET", &format!("/hub?id={token}"), &EVENTS, b"").await;
    until(&mut stream, ":\r\n\r\n").await;
    for _ in 0..8 {
        if world.post(&token, b"flood").await.status != 200 {
            break;
        }
    }
    assert_eq!(world.ends(1).await, [End::ClientLeft], "while the stream is open but unread");
    drop(stream);
}
