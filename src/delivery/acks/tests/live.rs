//! What is new while a client is sent what it was owed.

use super::world::{Client, Plan, World, seconds, turn};
use crate::connections;
use crate::delivery::acks::{AckMode, Config};
use crate::store::Reason;

/// A client that was away for a while, back in its groups, and not yet sent anything.
async fn back(world: &World, owed: &[&str]) -> Client {
    world.client("a").await.leave(world).await;
    for id in owed {
        world.publish(id).await;
    }
    let client = world.connect("a", AckMode::Method, false).await;
    world.delivery.connected(&client.connection).await.unwrap();
    world.delivery.join(&"hub".into(), client.connection.id(), &"g".into()).await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn what_one_publisher_sends_while_a_client_catches_up_keeps_its_order_across_classes() {
    let world = World::new().await;
    let client = back(&world, &["m1", "m2"]).await;
    world.ordinary("o3").await;
    world.publish("m4").await;
    world.ordinary("o5").await;
    client.subscription.replay().await;
    assert_eq!(client.got().await, ["m1", "m2"], "what it is owed goes first");
    world.publish("m6").await;
    world.ordinary("o7").await;
    client.subscription.let_in().await.unwrap();
    world.publish("m8").await;
    world.ordinary("o9").await;
    let expected = ["m1", "m2", "o3", "m4", "o5", "m6", "o7", "m8", "o9"];
    assert_eq!(client.got().await, expected);
    for id in expected.iter().filter(|id| id.starts_with('m')) {
        assert!(client.ack(id).await);
    }
    assert_eq!(world.pairs().await.pending, 0);
    assert_eq!(world.delivery.queue().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_aside_waits_in_the_store_with_all_that_follows() {
    let connections =
        connections::Config { outbox_messages_max: 4, ..connections::Config::default() };
    let world = World::with(Plan { connections, ..Plan::default() }).await;
    let client = back(&world, &["m0"]).await;
    let ids: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    for id in &ids[1..] {
        world.publish(id).await;
    }
    client.catch_up().await;
    seconds(1).await;
    assert_eq!(client.got().await, ids, "in order, each once");
    world.publish("last").await;
    assert_eq!(client.got().await.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn only_a_quarter_of_what_may_be_unanswered_is_put_aside() {
    let config = Config { unanswered_per_subscriber_max: 8, ..Config::default() };
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let owed: Vec<String> = (0..6).map(|n| format!("m{n}")).collect();
    let client = back(&world, &owed.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 6..12 {
        world.publish(&format!("m{n}")).await;
    }
    client.catch_up().await;
    assert_eq!(client.got().await.len(), 8, "six that it was owed, and two");
    for n in 0..12 {
        client.ack(&format!("m{n}")).await;
        turn().await;
    }
    let got = client.got().await;
    assert!(got.is_sorted_by_key(|id| id[1..].parse::<u32>().unwrap()), "{got:?}");
    assert_eq!((got.len(), world.pairs().await.acknowledged), (12, 12));
}

#[tokio::test(start_paused = true)]
async fn when_not_all_that_was_owed_could_be_sent_what_is_new_comes_behind_it() {
    let connections =
        connections::Config { outbox_messages_max: 4, ..connections::Config::default() };
    let world = World::with(Plan { connections, ..Plan::default() }).await;
    let owed: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    let client = back(&world, &owed.iter().map(String::as_str).collect::<Vec<_>>()).await;
    client.socket.stop_reading();
    for id in ["m20", "m21"] {
        world.publish(id).await;
    }
    let reading = async {
        seconds(1).await;
        client.socket.read_on();
    };
    tokio::join!(client.catch_up(), reading);
    world.publish("m22").await;
    seconds(1).await;
    let got = client.got().await;
    assert_eq!(got.len(), 23, "{got:?}");
    assert!(got.is_sorted(), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_aside_for_a_group_that_is_not_allowed_any_more_is_not_sent() {
    let world = World::new().await;
    let client = back(&world, &[]).await;
    world.publish("m1").await;
    client.subscription.revoke(&"g".into()).await.unwrap();
    client.catch_up().await;
    assert_eq!(client.got().await, [""; 0]);
    assert_eq!(world.dead().await[0].reason, Reason::AccessRevoked);
}

#[tokio::test(start_paused = true)]
async fn a_cumulative_ack_covers_what_the_client_has_seen_and_not_what_still_waits_aside() {
    let world = World::new().await;
    let client = back(&world, &["m1"]).await;
    world.publish("m2").await;
    client.subscription.replay().await;
    assert_eq!(client.got().await, ["m1"]);
    assert!(client.subscription.ack_up_to("m1").await.unwrap());
    assert_eq!(world.pairs().await.pending, 1);
    client.subscription.let_in().await.unwrap();
    world.publish("m3").await;
    assert_eq!(client.got().await, ["m1", "m2", "m3"]);
    assert!(client.subscription.ack_up_to("m2").await.unwrap());
    let pairs = world.pairs().await;
    assert_eq!((pairs.acknowledged, pairs.pending), (2, 1));
    client.subscription.ack_up_to("m3").await.unwrap();
    assert_eq!(world.pairs().await.pending, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_while_something_waits_aside_loses_nothing() {
    let world = World::new().await;
    let client = back(&world, &["m1"]).await;
    world.publish("m2").await;
    client.leave(&world).await;
    let client = back(&world, &[]).await;
    client.catch_up().await;
    assert_eq!(client.got().await, ["m1", "m2"]);
}
