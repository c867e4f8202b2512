//! What is new while a client is sent what it was owed.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::poll;

use super::world::{Client, Plan, World, publisher, seconds, turn};
use crate::connections;
use crate::delivery::acks::order::{Ticket, Turns};
use crate::delivery::acks::{AckMode, Config};
use crate::delivery::event_from_json;
use crate::delivery::lanes::Lane;
use crate::model::{Audience, Envelope};
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

/// A client that is away and owed one message; what is published now waits for the ticket's turn.
async fn away_in_front_of_a_burst(world: &World) -> (Arc<Turns>, Ticket) {
    world.client("a").await.leave(world).await;
    world.publish("m0").await;
    let turns = world.acks().turns.clone();
    let before = turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    (turns, before)
}

/// All of it is accepted before the client comes, and its turn comes when the client is there.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_a_client_came_keeps_its_order_across_classes() {
    let world = World::new().await;
    let (_, before) = away_in_front_of_a_burst(&world).await;
    let first = world.delivery.publish_acknowledged(world.message("m1", "[{}]"));
    let mut second = pin!(world.ordinary("o2"));
    assert!(poll!(second.as_mut()).is_pending(), "it has its place");
    let third = world.delivery.publish_acknowledged(world.message("m3", "[{}]"));
    let mut fourth = pin!(world.ordinary("o4"));
    assert!(poll!(fourth.as_mut()).is_pending());
    let coming = async {
        turn().await;
        assert_eq!(world.pairs().await.pending, 3, "the store has them all");
        let client = world.connect("a", AckMode::Method, false).await;
        assert_eq!(client.subscription.owed(), 3);
        world.delivery.connected(&client.connection).await.unwrap();
        world.join_group(&client, "g").await;
        tokio::join!(client.catch_up(), async {
            turn().await;
            drop(before);
        });
        client
    };
    let (first, (), third, (), client) = tokio::join!(first, second, third, fourth, coming);
    assert_eq!((first.unwrap().targeted, third.unwrap().targeted), (1, 1));
    let expected = ["m0", "m1", "o2", "m3", "o4"];
    assert_eq!(client.got().await, expected);
    world.publish("m5").await;
    assert_eq!(client.got().await.last().unwrap(), "m5");
    for id in ["m0", "m1", "m3", "m5"] {
        assert!(client.ack(id).await);
    }
    assert_eq!(world.pairs().await.pending, 0);
}

/// As many are accepted before the client comes as find no room aside, and their turns come then.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_and_finds_no_room_aside_keeps_its_order() {
    let connections =
        connections::Config { outbox_messages_max: 4, ..connections::Config::default() };
    let world = World::with(Plan { connections, ..Plan::default() }).await;
    let (_, before) = away_in_front_of_a_burst(&world).await;
    let ids: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    let accepted = ids[1..]
        .iter()
        .map(|id| world.delivery.publish_acknowledged(world.message(id, "[{}]")))
        .collect::<Vec<_>>();
    turn().await;
    let client = world.connect("a", AckMode::Method, false).await;
    assert_eq!(client.subscription.owed(), 10, "all were accepted before it came");
    tokio::join!(client.catch_up(), async {
        turn().await;
        drop(before);
    });
    futures_util::future::try_join_all(accepted).await.unwrap();
    seconds(1).await;
    assert_eq!(client.got().await, ids, "in order, each once");
}

/// Of one publisher's two the first is put aside, and the turn of the second does not come.
#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_lets_nothing_pass_what_waits_aside() {
    let world = World::new().await;
    let (turns, before) = away_in_front_of_a_burst(&world).await;
    let first = world.delivery.publish_acknowledged(world.message("m1", "[{}]"));
    let hangs = turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    let second = world.delivery.publish_acknowledged(world.message("m2", "[{}]"));
    turn().await;
    let client = world.connect("a", AckMode::Method, false).await;
    world.delivery.connected(&client.connection).await.unwrap();
    world.join_group(&client, "g").await;
    drop(before);
    first.await.unwrap();
    tokio::join!(client.catch_up(), seconds(3));
    assert_eq!(client.got().await[..2], ["m0", "m1"]);
    drop(hangs);
    second.await.unwrap();
    seconds(1).await;
    assert_eq!(client.got().await, ["m0", "m1", "m2"], "in order, each once");
}

/// Nobody knew the client, and it was owed nothing when it came.
#[tokio::test(start_paused = true)]
async fn what_is_accepted_while_a_new_client_is_greeted_comes_before_what_is_ordinary_and_later() {
    let world = World::new().await;
    let client = world.connect("new", AckMode::Method, false).await;
    assert!(!client.subscription.catches_up());
    let mut message = world.message("m1", "[{}]");
    message.envelope.audience = Audience::all();
    assert_eq!(world.send(message).await.unwrap().targeted, 1);
    client.subscription.replay().await;
    world.delivery.connected(&client.connection).await.unwrap();
    let event = event_from_json("o2", Bytes::from_static(b"[]")).unwrap();
    let ordinary = Envelope::ordinary("hub".into(), Audience::all(), event.into());
    world.delivery.publish(ordinary).await.unwrap();
    assert_eq!(client.got().await, ["m1", "o2"]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_hangs_does_not_keep_a_client_from_what_it_is_owed() {
    let world = World::new().await;
    world.client("a").await.leave(&world).await;
    world.publish("m1").await;
    let _hangs = world.acks().turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    let client = world.connect("a", AckMode::Method, false).await;
    tokio::join!(client.catch_up(), seconds(2));
    assert_eq!(client.got().await, ["m1"]);
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
