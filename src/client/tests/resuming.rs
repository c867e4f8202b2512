//! Stateful reconnect: a lost link is resumed, and nothing is lost, doubled or reordered.

use futures_util::FutureExt;

use super::peer::{NEGOTIATED, Peer, Server};
use crate::client::Client;
use crate::protocol::{HubMessage, Protocol, encode, handshake};

async fn stateful(server: &Server, protocol: Protocol) -> (Client, Peer) {
    let agreed = NEGOTIATED.replacen('{', r#"{"useStatefulReconnect":true,"#, 1);
    let serving = async {
        let head = server.answer("200 OK", &agreed).await;
        assert!(head.contains("useStatefulReconnect=true"), "{head}");
        let mut peer = server.web_socket(protocol).await;
        assert_eq!(peer.shake_hands().await.version, 2);
        peer.say(handshake::accepted(protocol)).await;
        peer
    };
    let connecting = server.client().protocol(protocol).stateful(true).connect();
    let (client, peer) = tokio::join!(connecting, serving);
    (client.unwrap(), peer)
}

#[tokio::test]
async fn after_a_cut_each_side_repeats_what_the_other_has_not_acked() {
    for protocol in [Protocol::Json, Protocol::MessagePack] {
        let event = |n: i64| encode::invocation(protocol, None, "n", &(n,)).unwrap();
        let server = Server::start().await;
        let (client, mut peer) = stateful(&server, protocol).await;
        let mut events = client.events("n");
        for n in 1..=3 {
            client.send("Tell", (n,)).await.unwrap();
            peer.hear_invocation().await;
        }
        for n in 1..=4 {
            peer.say(event(n)).await;
            assert_eq!(events.recv().await.unwrap().bind::<(i64,)>().unwrap(), (n,));
        }
        peer.say(encode::ack(protocol, 2)).await;
        while peer.hear().await != HubMessage::Ack(4) {}
        drop(peer);
        let telling = client.send("Tell", (4,)); // into the gap
        let (told, mut peer) = tokio::join!(telling, server.web_socket(protocol));
        told.unwrap();
        assert_eq!(peer.request.uri(), "/hub?id=secret");

        assert_eq!(peer.hear_any().await, Some(HubMessage::Sequence(3)), "it comes first");
        for expected in [3, 4] {
            let told = peer.hear_invocation().await.arguments.values().unwrap();
            assert_eq!(told[0].bind::<i64>().unwrap(), expected);
        }
        peer.say(event(99)).await; // before Sequence nothing counts
        peer.say(encode::sequence(protocol, 3)).await;
        for n in 3..=6 {
            peer.say(event(n)).await;
        }
        for n in [5, 6] {
            assert_eq!(events.recv().await.unwrap().bind::<(i64,)>().unwrap(), (n,));
        }
        let HubMessage::Ack(acked) = peer.hear().await else { panic!() };
        assert!((4..=6).contains(&acked), "{acked}");
        assert!(client.closed().now_or_never().is_none());
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_connection_ends_it() {
    let server = Server::start().await;
    let (client, peer) = stateful(&server, Protocol::Json).await;
    drop(peer);
    let refusing = server.answer("404 Not Found", "No Connection with that ID");
    let (closed, _) = tokio::join!(client.closed(), refusing);
    assert!(closed.allow_reconnect);
    assert!(closed.error.unwrap().contains("1006"));
}

#[tokio::test]
async fn a_close_ends_a_stateful_connection_without_an_attempt_to_resume() {
    let server = Server::start().await;
    let (client, mut peer) = stateful(&server, Protocol::Json).await;
    peer.say(encode::close(Protocol::Json, &Default::default())).await;
    assert!(!client.closed().await.allow_reconnect);
    peer.hear_the_end().await;
    peer.close().await;
    // Nobody is at the door: the next to come would be this one.
    let (client, _peer) = stateful(&server, Protocol::Json).await;
    drop(client);
}

#[tokio::test]
async fn a_peer_that_never_acks_stops_what_is_sent_until_it_does() {
    let server = Server::start().await;
    let (client, mut peer) = stateful(&server, Protocol::Json).await;
    let big = "x".repeat(60_000);
    for _ in 0..3 {
        client.send("Big", (&big,)).await.unwrap();
    }
    peer.hear_invocation().await;
    peer.hear_invocation().await; // over the 100 000 bytes, as a soft limit allows
    tokio::time::pause();
    for _ in 0..2 {
        assert_eq!(peer.hear_any().await, Some(HubMessage::Ping));
        peer.say(encode::ping(Protocol::Json)).await;
    }
    peer.say(encode::ack(Protocol::Json, 2)).await;
    peer.hear_invocation().await;
}
