//! WebSockets over real sockets, with tokio-tungstenite and with bare bytes on the other side.

use std::time::Duration;

use conduit_realtime::connections::End;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::world::{PATIENCE, World};

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(world: &World, query: &str) -> Client {
    let url = format!("ws://{}/hub?{query}", world.address);
    tokio_tungstenite::connect_async(url).await.expect("an upgrade").0
}

/// The status and body of a refused upgrade.
pub(crate) async fn refused(world: &World, query: &str) -> (u16, String) {
    let url = format!("ws://{}/hub?{query}", world.address);
    let error = tokio_tungstenite::connect_async(url).await.expect_err("no upgrade");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = error else { panic!("{error}") };
    let body = answer.body().clone().unwrap_or_default();
    (answer.status().as_u16(), String::from_utf8(body).unwrap())
}

pub(crate) async fn next(client: &mut Client) -> Option<Message> {
    tokio::time::timeout(PATIENCE, client.next()).await.expect("a message in time")?.ok()
}

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A socket after its upgrade, without a client library.
async fn bare(world: &World) -> TcpStream {
    let mut stream = world.send("GET", "/hub", &UPGRADE, b"").await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    stream
}

#[tokio::test]
async fn bytes_come_back_and_a_close_frame_is_answered() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let mut client = connect(&world, &format!("id={token}&tenant=a%20b&access_token=secret")).await;
    for text in ["hello", &"x".repeat(70_000)] {
        client.send(Message::text(text)).await.unwrap();
        let mut echoed = String::new();
        while echoed.len() < text.len() {
            let Some(Message::Text(part)) = next(&mut client).await else { panic!("no text") };
            echoed += &part;
        }
        assert_eq!(echoed, text);
    }
    client.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::Pong("are you there".into())));
    client.close(Some(CloseFrame { code: 1000.into(), reason: "done".into() })).await.unwrap();
    let Some(Message::Close(Some(frame))) = next(&mut client).await else { panic!("no close") };
    assert_eq!((u16::from(frame.code), &*frame.reason), (1000, ""));
    assert_eq!(next(&mut client).await, None);
    assert_eq!(world.ends(1).await, [End::ClientLeft]);
    assert_eq!(&*world.openings.lock()[0].query, "tenant=a%20b");
    assert!(world.openings.lock()[0].peer.is_some());
    world.until(|| world.connections.count() == 0).await;
    world.http("POST", &format!("/hub?id={token}")).await.is(404, "No Connection with that ID");
}

#[tokio::test]
async fn a_websocket_needs_no_negotiation_but_a_known_id_when_it_has_one() {
    let world = World::start().await;
    let mut client = connect(&world, "user=ann").await;
    client.send(Message::text("x")).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::text("x")));
    let gone = (404, "No Connection with that ID".to_owned());
    assert_eq!(refused(&world, "id=unknown").await, gone);
    let mut once = UPGRADE;
    once[0].1 = "Upgrade, close";
    let answer = world.request("GET", "/hub?id=unknown", &once, b"").await;
    assert_eq!(answer.header("content-type"), None);
    let token = world.negotiate("user=ann").await;
    assert_eq!(refused(&world, &format!("user=bob&id={token}")).await.0, 403);
}

#[tokio::test]
async fn an_id_in_use_keeps_its_transport_and_its_socket() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let mut client = connect(&world, &format!("id={token}")).await;
    client.send(Message::text("x")).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::text("x")));
    let path = format!("/hub?id={token}");
    assert_eq!(refused(&world, &format!("id={token}")).await, (409, String::new()));
    world.http("GET", &path).await.is(400, "Cannot change transports mid-connection");
    let post = world.post(&token, b"x").await;
    post.is(405, "POST requests are not allowed for WebSocket connections.");
    let delete = world.http("DELETE", &path).await;
    delete.is(400, "Cannot terminate this connection using the DELETE endpoint.");
    client.send(Message::text("alive")).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::text("alive")));
}

#[tokio::test]
async fn bytes_right_behind_the_request_are_not_lost() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let mut bytes = b"GET /hub HTTP/1.1\r\nHost: x\r\n".to_vec();
    for (name, value) in UPGRADE {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n\x81\x82\0\0\0\0hi");
    stream.write_all(&bytes).await.unwrap();
    let mut read = Vec::new();
    let reading = async {
        while !read.ends_with(b"\x81\x02hi") {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{read:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the echo");
}

#[tokio::test]
async fn a_broken_frame_closes_with_1002() {
    let world = World::start().await;
    let mut stream = bare(&world).await;
    stream.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    stream.write_all(b"\x81\x02hi").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xea");
    assert_eq!(world.ends(1).await, [End::Lost]);
    assert_eq!(world.metrics.websocket_violations.get(), 1);
}

#[tokio::test]
async fn a_socket_that_ends_without_a_close_frame_is_lost() {
    let world = World::start().await;
    drop(bare(&world).await);
    assert_eq!(world.ends(1).await, [End::Lost]);
    let stream = bare(&world).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(world.ends(2).await[1], End::Lost);
    world.until(|| world.metrics.sockets.get() == 0).await;
}

#[tokio::test]
async fn our_close_comes_after_all_that_waits() {
    let world = World::start().await;
    let mut client = connect(&world, "").await;
    client.send(Message::text("bye")).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::text("{\"type\":7}\u{1e}")));
    let Some(Message::Close(Some(frame))) = next(&mut client).await else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1000);
    assert_eq!(next(&mut client).await, None);
    world.until(|| world.connections.count() == 0).await;
    world.until(|| world.metrics.sockets.get() == 0).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_reset_after_the_send_timeout() {
    let world = World::with(|plan| {
        plan.settings.send_timeout = Duration::from_millis(200);
        plan.settings.close_timeout = Duration::from_millis(200);
        plan.config.send_buffer_bytes = 4_096;
    })
    .await;
    let mut stream = bare(&world).await;
    for _ in 0..8 {
        stream.write_all(b"\x81\x85\0\0\0\0flood").await.unwrap();
    }
    world.until(|| world.connections.count() == 0).await;
    world.until(|| world.metrics.sockets.get() == 0).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_a_client_calls_itself_is_known_whatever_its_transport() {
    let world = World::start().await;
    let named = |name: &'static str| ("User-Agent", name);
    let mut request: Vec<_> = UPGRADE.to_vec();
    request.push(named("socket/1"));
    let mut socket = world.send("GET", "/hub", &request, b"").await;
    socket.write_all(b"\x81\x81\0\0\0\0x").await.unwrap();
    let mut held = Vec::new();
    for (name, accept) in [("poller/2", "*/*"), ("events/3", "text/event-stream")] {
        let path = format!("/hub?id={}", world.negotiate("").await);
        let headers = [("Accept", accept), named(name)];
        held.push(world.send("GET", &path, &headers, b"").await);
        // Its conversation begins with its first word.
        world.until(|| world.connections.count() == held.len() + 1).await;
        let said = world.request("POST", &path, &[named("another/4")], b"x").await;
        assert_eq!(said.status, 200);
    }
    world.until(|| world.connections.facts().count() == 3).await;
    let mut names: Vec<_> =
        world.connections.facts().map(|own| own.agent.unwrap().as_str().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ["events/3", "poller/2", "socket/1"]);
}

/// The kernel's own patience is a quarter of an hour. A host without a window stands for one that is
/// gone: for neither does the kernel get rid of what it was given.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_link_on_which_nothing_is_acknowledged_ends_before_the_kernel_gives_it_up() {
    let world = World::with(|plan| {
        plan.config.unacked_timeout_ms = 1_000;
        // Not this one.
        plan.settings.send_timeout = PATIENCE * 6;
    })
    .await;
    let mut stream = bare(&world).await;
    stream.write_all(b"\x81\x85\0\0\0\0flood").await.unwrap();
    assert_eq!(world.ends(1).await, [End::Lost]);
}

#[tokio::test]
async fn a_silent_client_is_dropped_before_its_request_is_complete() {
    let world = World::with(|plan| plan.config.header_read_timeout_ms = 100).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"GET /hub HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    world.until(|| world.metrics.sockets.get() == 0).await;
}

#[tokio::test]
async fn beyond_the_limit_of_sockets_nobody_is_served() {
    let world = World::with(|plan| plan.config.connections_max = 1).await;
    let client = bare(&world).await;
    let mut refused = TcpStream::connect(world.address).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, refused.read_to_end(&mut rest)).await.unwrap().unwrap();
    drop(client);
    world.until(|| world.metrics.sockets.get() == 0).await;
    assert_eq!(world.http("POST", "/hub/negotiate").await.status, 200);
}
