//! Stateful reconnect: a second socket for a living connection.

use conduit_realtime::connections::End;
use futures_util::SinkExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::websocket::{connect, next, refused};
use crate::world::World;

const SEQUENCE_1: &str = "{\"type\":9,\"sequenceId\":1}\u{1e}";

#[tokio::test]
async fn a_lost_socket_is_replaced_and_what_was_not_acked_is_sent_again() {
    let world = World::start().await;
    let token = world.negotiate("useStatefulReconnect=true").await;
    let query = format!("id={token}");
    let mut first = connect(&world, &query).await;
    first.send(Message::text("stateful")).await.unwrap();
    assert_eq!(next(&mut first).await, Some(Message::text("stateful")));
    drop(first);
    let mut second = connect(&world, &query).await;
    assert_eq!(next(&mut second).await, Some(Message::text(SEQUENCE_1)));
    assert_eq!(next(&mut second).await, Some(Message::text("stateful")));
    second.send(Message::text("on")).await.unwrap();
    assert_eq!(next(&mut second).await, Some(Message::text("on")));
    second.close(None).await.unwrap();
    assert_eq!(world.ends(1).await, [End::ClientLeft]);
    world.until(|| world.connections.count() == 0).await;
    let gone = (404, "No Connection with that ID".to_owned());
    assert_eq!(refused(&world, &query).await, gone);
}

#[tokio::test]
async fn the_newest_socket_wins_while_the_older_one_lives() {
    let world = World::start().await;
    let token = world.negotiate("useStatefulReconnect=true").await;
    let query = format!("id={token}");
    let mut older = connect(&world, &query).await;
    older.send(Message::text("stateful")).await.unwrap();
    assert_eq!(next(&mut older).await, Some(Message::text("stateful")));
    let mut newer = connect(&world, &query).await;
    assert_eq!(next(&mut newer).await, Some(Message::text(SEQUENCE_1)));
    assert_eq!(next(&mut newer).await, Some(Message::text("stateful")));
    assert_eq!(next(&mut older).await, None, "the older one is over");
    newer.send(Message::text("mine")).await.unwrap();
    assert_eq!(next(&mut newer).await, Some(Message::text("mine")));
}

#[tokio::test]
async fn without_the_promise_a_second_socket_is_409() {
    let world = World::start().await;
    let token = world.negotiate("").await;
    let query = format!("id={token}");
    let mut client = connect(&world, &query).await;
    client.send(Message::text("stateful")).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::text("stateful")));
    assert_eq!(refused(&world, &query).await, (409, String::new()));
}
