//! A subscriber comes back by itself, as the same one, and resubscribes before it counts as there.

use std::time::Duration;

use super::peer::{Peer, Server};
use crate::client::{ClientId, Reconnects, State, Subscriber};
use crate::protocol::{Close, Protocol, encode};

fn quick() -> Reconnects {
    let wait = Duration::from_millis(5);
    let id = ClientId::kept("the same one every time, as long as needed");
    Reconnects { wait_min: wait, wait_max: wait, ..Reconnects::of(id) }
}

fn subscriber(server: &Server) -> Subscriber {
    let url = server.url();
    let make = move || crate::client::Client::builder(&url).skip_negotiation(true);
    Subscriber::start(quick(), make, |client| async move {
        client.invoke::<()>("JoinGroup", ("news",)).await
    })
}

async fn greeted(server: &Server) -> Peer {
    let mut peer = server.welcome(Protocol::Json).await;
    let join = peer.hear_invocation().await;
    assert_eq!(&*join.target, "JoinGroup");
    peer.say(encode::completion_void(Protocol::Json, &join.id.unwrap())).await;
    peer
}

#[tokio::test]
async fn it_comes_back_with_the_same_id_and_joins_again() {
    let server = Server::start().await;
    let subscriber = subscriber(&server);
    for _ in 0..3 {
        let peer = greeted(&server).await;
        let uri = peer.request.uri().to_string();
        assert!(uri.contains("clientId=the%20same%20one"), "{uri}");
        let client = subscriber.connected().await.unwrap();
        peer.close().await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_connection_whose_greeting_fails_does_not_count() {
    let server = Server::start().await;
    let subscriber = subscriber(&server);
    let mut peer = server.welcome(Protocol::Json).await;
    let join = peer.hear_invocation().await;
    peer.say(encode::completion_error(Protocol::Json, &join.id.unwrap(), "not yet")).await;
    assert!(subscriber.client().is_none());
    let (_peer, connected) = tokio::join!(
        async {
            peer.close().await;
            greeted(&server).await
        },
        subscriber.connected()
    );
    connected.unwrap();
}

#[tokio::test]
async fn it_stays_away_when_the_server_says_so() {
    let server = Server::start().await;
    let subscriber = subscriber(&server);
    let mut peer = greeted(&server).await;
    subscriber.connected().await.unwrap();
    let close = Close { error: Some("Replaced.".into()), allow_reconnect: false };
    peer.say(encode::close(Protocol::Json, &close)).await;
    let mut state = subscriber.watch();
    let ended = state.wait_for(|state| matches!(state, State::Ended(_))).await.unwrap().clone();
    assert!(matches!(ended, State::Ended(why) if why == "Replaced."));
}

#[tokio::test]
async fn what_can_never_work_is_not_tried_again() {
    let make = || crate::client::Client::builder("https://elsewhere/hub");
    let subscriber = Subscriber::start(quick(), make, |_| async { Ok(()) });
    let error = subscriber.connected().await.err().unwrap();
    assert!(error.contains("https is not supported"), "{error}");
}

#[tokio::test]
async fn it_stops_in_order_when_asked_to() {
    let server = Server::start().await;
    let subscriber = subscriber(&server);
    let mut peer = greeted(&server).await;
    subscriber.connected().await.unwrap();
    let hearing = async {
        assert!(matches!(peer.hear().await, crate::protocol::HubMessage::Close(_)));
        peer.close().await;
    };
    tokio::join!(subscriber.stop(), hearing);
    assert!(subscriber.client().is_none());
}
