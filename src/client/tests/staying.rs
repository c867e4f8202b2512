//! Pings, silence, and every way a connection ends.

use std::time::Duration;

use super::peer::{Server, connected, connected_with};
use crate::client::{CallError, Closed, EventError, Settings};
use crate::protocol::{Close, HubMessage, Protocol, encode};

#[tokio::test]
async fn the_first_ping_comes_at_once_and_then_every_15_seconds() {
    for protocol in [Protocol::Json, Protocol::MessagePack] {
        let (_client, mut peer) = connected(protocol).await;
        assert_eq!(peer.hear_any().await, Some(HubMessage::Ping));
        tokio::time::pause();
        let before = tokio::time::Instant::now();
        assert_eq!(peer.hear_any().await, Some(HubMessage::Ping));
        let waited = before.elapsed().as_secs_f64();
        assert!((14.0..16.0).contains(&waited), "{waited}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_server_that_is_silent_for_30_seconds_is_given_up() {
    let (client, _peer) = connected(Protocol::Json).await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    let closed = client.closed().await;
    let silence = "Server timeout elapsed without receiving a message from the server.";
    assert_eq!(closed, Closed { error: Some(silence.into()), allow_reconnect: true });
    assert!((29.0..31.0).contains(&before.elapsed().as_secs_f64()));
}

#[tokio::test]
async fn pings_of_the_server_keep_it_alive() {
    let (client, mut peer) = connected(Protocol::Json).await;
    tokio::time::pause();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(12)).await;
        peer.say(encode::ping(Protocol::Json)).await;
        assert_eq!(peer.hear_any().await, Some(HubMessage::Ping));
    }
    tokio::select! {
        biased;
        closed = client.closed() => panic!("{closed:?}"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn close_fails_what_is_under_way_and_says_whether_to_come_back() {
    for (error, allow_reconnect) in
        [(None, true), (None, false), (Some("Connection closed with an error.".to_owned()), true)]
    {
        for protocol in [Protocol::Json, Protocol::MessagePack] {
            let (client, mut peer) = connected(protocol).await;
            let mut events = client.events("x");
            let close = Close { error: error.clone(), allow_reconnect };
            let serving = async {
                peer.hear_invocation().await;
                peer.say(encode::close(protocol, &close)).await;
                peer.hear_the_end().await;
            };
            let (result, ()) = tokio::join!(client.invoke::<()>("Wait", ()), serving);
            let expected = Closed { error: error.clone(), allow_reconnect };
            match result {
                Err(CallError::Closed(closed)) => assert_eq!(closed, expected),
                other => panic!("{other:?}"),
            }
            assert_eq!(client.closed().await, expected);
            assert_eq!(events.recv().await.unwrap_err(), EventError::Closed);
            let later = client.invoke::<()>("Again", ()).await;
            assert!(matches!(later, Err(CallError::Closed(closed)) if closed == expected));
        }
    }
}

#[tokio::test]
async fn a_lost_link_is_an_error_and_a_closed_one_is_not() {
    let (client, peer) = connected(Protocol::Json).await;
    drop(peer);
    let lost = "WebSocket closed with status code: 1006 (no reason given).";
    assert_eq!(client.closed().await.error.as_deref(), Some(lost));

    let server = Server::start().await;
    let connecting = server.client().skip_negotiation(true).connect();
    let (client, peer) = tokio::join!(connecting, server.welcome(Protocol::Json));
    peer.close().await;
    assert!(client.unwrap().closed().await.allow_reconnect);
}

#[tokio::test]
async fn stop_sends_what_is_queued_then_close_and_ends_the_socket() {
    for protocol in [Protocol::Json, Protocol::MessagePack] {
        let (client, mut peer) = connected(protocol).await;
        for _ in 0..100 {
            client.send("Last", ()).await.unwrap();
        }
        let serving = async {
            for _ in 0..100 {
                peer.hear_invocation().await;
            }
            assert_eq!(peer.hear().await, HubMessage::Close(Close::default()));
            peer.hear_the_end().await;
            peer.close().await;
        };
        let (closed, ()) = tokio::join!(client.stop(), serving);
        assert_eq!(closed, Closed::default());
    }
}

#[tokio::test]
async fn stop_does_not_wait_for_ever_for_a_server_that_does_not_answer() {
    let (client, _peer) = connected(Protocol::Json).await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    assert_eq!(client.stop().await, Closed::default());
    assert!(before.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn the_last_handle_takes_the_socket_with_it() {
    let (client, mut peer) = connected(Protocol::Json).await;
    let mut events = client.events("x");
    let stream = client.stream::<i64>("Counter", ()).await.unwrap();
    peer.hear_invocation().await;
    drop(client);
    drop(stream);
    peer.hear_the_end().await;
    assert_eq!(events.recv().await.unwrap_err(), EventError::Closed);
}

#[tokio::test]
async fn a_malformed_or_too_long_message_ends_the_connection_with_its_reason() {
    for (text, reason) in [
        ("{\u{1e}".to_owned(), "Error reading JSON."),
        ("x".repeat(101), "The maximum message size of 100B was exceeded."),
    ] {
        let (client, mut peer) = connected_with(Protocol::Json, |builder| {
            builder.settings(Settings { message_bytes_max: 100, ..Settings::default() })
        })
        .await;
        peer.say_text(&text).await;
        let (closed, _) =
            tokio::join!(client.closed(), async { while peer.hear_any().await.is_some() {} });
        assert!(closed.error.as_ref().unwrap().contains(reason), "{closed:?}");
    }
}

#[tokio::test]
async fn a_message_in_several_frames_and_unknown_types_are_understood() {
    let (client, mut peer) = connected(Protocol::Json).await;
    let mut events = client.events("x");
    peer.say_text("{\"type\":99}\u{1e}{\"type\":1,\"target\"").await;
    peer.say_text(":\"x\",\"arguments\":[]}\u{1e}").await;
    assert_eq!(events.recv().await.unwrap().target(), "x");
}
