//! Negotiation, redirects, handshake: how a client gets its connection, or why not.

use std::time::Duration;

use super::peer::{NEGOTIATED, Server};
use crate::client::{ConnectError, REDIRECTS_MAX, Settings};
use crate::protocol::{Protocol, encode, handshake};

#[tokio::test]
async fn it_negotiates_then_opens_the_web_socket_with_the_secret_token_and_all_headers() {
    for protocol in [Protocol::Json, Protocol::MessagePack] {
        let server = Server::start().await;
        let connecting = server
            .client()
            .protocol(protocol)
            .access_token("t0k")
            .header("X-Tenant", "7")
            .query("user", "a b")
            .connect();
        let serving = async { (server.negotiate().await, server.welcome(protocol).await) };
        let (client, (head, peer)) = tokio::join!(connecting, serving);
        let client = client.unwrap();

        assert!(head.starts_with("POST /hub/negotiate?user=a%20b&negotiateVersion=1 HTTP/1.1\r\n"));
        let head = head.to_lowercase();
        assert!(head.contains("\r\nauthorization: bearer t0k\r\n"), "{head}");
        assert!(head.contains("\r\nx-tenant: 7\r\n"), "{head}");
        assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
        assert_eq!(peer.request.uri(), "/hub?user=a%20b&id=secret");
        assert_eq!(peer.request.headers()["authorization"], "Bearer t0k");
        assert_eq!(peer.request.headers()["x-tenant"], "7");
        assert_eq!(client.connection_id().unwrap().as_str(), "public");
    }
}

#[tokio::test]
async fn without_negotiation_there_is_no_id() {
    let server = Server::start().await;
    let connecting = server.client().skip_negotiation(true).connect();
    let (client, peer) = tokio::join!(connecting, server.welcome(Protocol::Json));
    assert_eq!(client.unwrap().connection_id(), None);
    assert_eq!(peer.request.uri(), "/hub");
}

#[tokio::test]
async fn a_redirect_is_negotiated_again_with_the_token_it_brings() {
    let (first, second) = (Server::start().await, Server::start().await);
    let redirect = format!(r#"{{"url":"{}?x=1","accessToken":"new"}}"#, second.url());
    let connecting = first.client().access_token("old").connect();
    let serving = async {
        first.answer("200 OK", &redirect).await;
        (second.negotiate().await, second.welcome(Protocol::Json).await)
    };
    let (client, (head, peer)) = tokio::join!(connecting, serving);
    client.unwrap();
    assert!(head.starts_with("POST /hub/negotiate?x=1&negotiateVersion=1 "), "{head}");
    assert!(head.to_lowercase().contains("\r\nauthorization: bearer new\r\n"), "{head}");
    assert_eq!(peer.request.uri(), "/hub?x=1&id=secret");
    assert_eq!(peer.request.headers()["authorization"], "Bearer new");
}

#[tokio::test]
async fn a_hundred_redirects_are_followed_and_one_more_fails() {
    for redirects in [REDIRECTS_MAX, REDIRECTS_MAX + 1] {
        let server = Server::start().await;
        let redirect = format!(r#"{{"url":"{}"}}"#, server.url());
        let serving = async {
            for _ in 0..redirects {
                server.answer("200 OK", &redirect).await;
            }
            if redirects <= REDIRECTS_MAX {
                server.answer("200 OK", r#"{"error":"the end"}"#).await;
            }
        };
        let (client, ()) = tokio::join!(server.client().connect(), serving);
        let error = client.err().unwrap().to_string();
        let limit = "Negotiate redirection limit exceeded.";
        assert_eq!(error, if redirects > REDIRECTS_MAX { limit } else { "the end" });
    }
}

#[tokio::test]
async fn what_the_negotiation_refuses_is_told_in_the_servers_words() {
    for (status, body, expected) in [
        ("200 OK", r#"{"error":"not today"}"#, "not today"),
        (
            "401 Unauthorized",
            "who are you",
            "negotiating was answered with status 401: who are you",
        ),
        ("200 OK", r#"{"ProtocolVersion":"1.5"}"#, "old ASP.NET SignalR"),
        (
            "200 OK",
            r#"{"connectionId":"a","availableTransports":[{"transport":"LongPolling"}]}"#,
            "does not offer WebSockets",
        ),
        ("200 OK", "<html>", "unexpected answer while negotiating"),
        ("200 OK", r#"{"url":"https://elsewhere/hub"}"#, "https is not supported"),
        ("200 OK", &"x".repeat(65 * 1024), "more than 65536 bytes"),
    ] {
        let server = Server::start().await;
        let (client, _) = tokio::join!(server.client().connect(), server.answer(status, body));
        let error = client.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_negotiation_of_version_0_has_one_id_for_both() {
    let server = Server::start().await;
    let body = NEGOTIATED.replace(r#""negotiateVersion":1,"#, "");
    let serving = async {
        server.answer("200 OK", &body).await;
        server.welcome(Protocol::Json).await
    };
    let (client, peer) = tokio::join!(server.client().connect(), serving);
    client.unwrap();
    assert_eq!(peer.request.uri(), "/hub?id=public");
}

#[tokio::test]
async fn a_refused_handshake_has_the_servers_words() {
    let server = Server::start().await;
    let serving = async {
        let mut peer = server.web_socket(Protocol::Json).await;
        assert_eq!(peer.shake_hands().await.version, 1);
        peer.say(handshake::refused("no")).await;
    };
    let connecting = server.client().skip_negotiation(true).connect();
    let (client, ()) = tokio::join!(connecting, serving);
    assert_eq!(client.err().unwrap().to_string(), "Server returned handshake error: no");
}

#[tokio::test]
async fn a_refused_upgrade_has_its_status() {
    let server = Server::start().await;
    let serving = server.answer("404 Not Found", "No Connection with that ID");
    let connecting = server.client().skip_negotiation(true).connect();
    let (client, _) = tokio::join!(connecting, serving);
    let error = client.err().unwrap();
    assert!(matches!(error, ConnectError::Status { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::start().await;
    let settings = Settings { connect_timeout: Duration::from_millis(50), ..Settings::default() };
    let error = server.client().settings(settings).connect().await.err().unwrap();
    assert_eq!(error.to_string(), "timed out while negotiating");
}

#[tokio::test]
async fn an_event_in_the_same_frame_as_the_handshakes_answer_is_heard() {
    let server = Server::start().await;
    let builder = server.client().skip_negotiation(true);
    let mut welcomes = builder.events("welcome");
    let serving = async {
        let mut peer = server.web_socket(Protocol::Json).await;
        peer.shake_hands().await;
        let event = encode::invocation(Protocol::Json, None, "Welcome", &("you",)).unwrap();
        let event = String::from_utf8(event.payload().to_vec()).unwrap();
        peer.say_text(&format!("{{}}\u{1e}{event}")).await;
        peer
    };
    let (client, _peer) = tokio::join!(builder.connect(), serving);
    let _client = client.unwrap();
    let event = welcomes.recv().await.unwrap();
    assert_eq!(event.bind::<(String,)>().unwrap(), ("you".to_owned(),));
}
