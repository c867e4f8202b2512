//! What may overtake what.

use std::time::Duration;

use super::world::{Plan, World, publisher, seconds, turn};
use crate::delivery::DeliveryError;
use crate::delivery::acks::order::OPEN_MAX;
use crate::delivery::acks::{Acknowledged, DeliveryOrder, HubAcks, Publisher};
use crate::delivery::lanes::Lane;
use crate::model::Priority;
use crate::store::StoreError;

#[tokio::test(start_paused = true)]
async fn first_deliveries_of_one_publisher_come_in_order_across_classes() {
    let world = World::new().await;
    let client = world.client("a").await;
    // Handed in one after another, waited for the other way round.
    let first = world.delivery.publish_acknowledged(world.message("m1", "[{}]"));
    let second = world.delivery.publish_acknowledged(world.message("m2", "[{}]"));
    let third = world.ordinary("o3");
    let (third, second, first) = tokio::join!(third, second, first);
    let ((), _, _) = (third, second.unwrap(), first.unwrap());
    world.publish("m4").await;
    assert_eq!(client.got().await, ["m1", "m2", "o3", "m4"]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_given_up_lets_nobody_pass() {
    let world = World::new().await;
    let client = world.client("a").await;
    let acks = client.subscription.acks.clone();
    let under_way = acks.turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    let given_up = tokio::time::timeout(Duration::from_millis(1), world.ordinary("o1")).await;
    assert!(given_up.is_err());
    let release = async {
        assert_eq!(client.got().await, [""; 0]);
        drop(under_way);
    };
    tokio::join!(world.ordinary("o2"), release);
    assert_eq!(client.got().await, ["o1", "o2"]);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_publishes_wait_for_their_turn_and_the_next_is_told_so() {
    let world = World::new().await;
    let acks = world.client("a").await.subscription.acks.clone();
    let ticket = |_| acks.turns.ticket(&"hub".into(), &publisher(), Lane::Normal);
    let under_way: Vec<_> = (0..OPEN_MAX).map(ticket).collect();
    let refused = world.try_ordinary("o1").await;
    assert!(matches!(refused, Err(DeliveryError::Store(StoreError::Busy))), "{refused:?}");
    drop(under_way);
    world.try_ordinary("o2").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_repeat_keeps_no_place() {
    let world = World::new().await;
    let client = world.client("a").await;
    client.refuses_until_another_has_come(&world).await;
    assert_eq!(client.got().await, ["m1", "m2", "m1"]);
}

#[tokio::test(start_paused = true)]
async fn on_a_strict_hub_a_message_waits_for_the_one_before_it_of_the_same_key() {
    let hub = HubAcks { order: DeliveryOrder::Strict, ..HubAcks::default() };
    let world = World::with(Plan { hub, ..Plan::default() }).await;
    let client = world.client("a").await;
    let send = async |id: &str, key: &str| {
        let mut message = world.message(id, "[{}]");
        message.publisher = Publisher { ordering_key: Some(key.into()), ..publisher() };
        world.send(message).await.unwrap();
    };
    for (id, key) in [("m1", "x"), ("m2", "x"), ("m3", "y"), ("m4", "x")] {
        send(id, key).await;
    }
    assert_eq!(client.got().await, ["m1", "m3"]);
    client.subscription.nack("m1", None, Some(Duration::from_secs(1)));
    seconds(2).await;
    assert_eq!(client.got().await, ["m1", "m3", "m1"], "m2 waits for the repeat");
    client.ack("m1").await;
    assert_eq!(client.got().await[3..], ["m2"]);
    client.ack("m2").await;
    assert_eq!(client.got().await[4..], ["m4"]);
}

/// Hands in messages one after another, and waits for all.
async fn publish_all(world: &World, messages: Vec<Acknowledged>) {
    let handed_in: Vec<_> =
        messages.into_iter().map(|message| world.delivery.publish_acknowledged(message)).collect();
    for accepted in futures_util::future::join_all(handed_in).await {
        accepted.unwrap();
    }
}

fn urgent(world: &World, id: &str) -> Acknowledged {
    let mut message = world.message(id, "[{}]");
    message.envelope.priority = Priority::new(9).unwrap();
    message
}

fn place_of(got: &[String], id: &str) -> usize {
    got.iter().position(|own| own == id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_urgent_message_passes_a_backlog_of_first_deliveries_and_each_lane_keeps_its_order() {
    let world = World::new().await;
    let client = world.client("a").await;
    let mut messages: Vec<_> =
        (0..50).map(|n| world.message(&format!("m{n:02}"), "[{}]")).collect();
    messages.extend(["u1", "u2"].map(|id| urgent(&world, id)));
    publish_all(&world, messages).await;
    let mut got = client.got().await;
    // The first of the backlog may be out before the urgent ones are known.
    assert!(place_of(&got, "u1") <= 1 && place_of(&got, "u2") <= 2, "{got:?}");
    assert!(place_of(&got, "u1") < place_of(&got, "u2"));
    got.retain(|id| id.starts_with('m'));
    assert_eq!(got.len(), 50);
    assert!(got.is_sorted(), "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_a_long_backlog_does_not_delay_the_first_delivery_of_another() {
    let world = World::new().await;
    let client = world.client("a").await;
    let mut messages: Vec<_> = (0..50)
        .map(|n| {
            let mut message = world.message(&format!("m{n}"), "[{}]");
            // Each in an order of its own, so that all of them are ready at once.
            message.publisher.ordering_key = Some(format!("k{n}").into());
            message
        })
        .collect();
    let mut quiet = world.message("quiet", "[{}]");
    quiet.publisher.tenant = "quiet".into();
    messages.push(quiet);
    publish_all(&world, messages).await;
    let got = client.got().await;
    assert!(place_of(&got, "quiet") <= 2, "{got:?}");
    assert_eq!(got.len(), 51);
}

#[tokio::test(start_paused = true)]
async fn on_a_strict_hub_even_an_urgent_message_waits_for_the_one_before_it() {
    let hub = HubAcks { order: DeliveryOrder::Strict, ..HubAcks::default() };
    let world = World::with(Plan { hub, ..Plan::default() }).await;
    let client = world.client("a").await;
    publish_all(&world, vec![world.message("m1", "[{}]"), urgent(&world, "u1")]).await;
    assert_eq!(client.got().await, ["m1"]);
    client.ack("m1").await;
    assert_eq!(client.got().await, ["m1", "u1"]);
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_message_keeps_its_place_in_its_own_lane() {
    let world = World::new().await;
    let client = world.client("a").await;
    let first = world.delivery.publish_acknowledged(world.message("m1", "[{}]"));
    let second = world.delivery.publish_acknowledged(urgent(&world, "u2"));
    let third = world.ordinary("o3");
    let (third, first, second) = tokio::join!(third, first, second);
    let ((), _, _) = (third, first.unwrap(), second.unwrap());
    let got = client.got().await;
    assert!(place_of(&got, "m1") < place_of(&got, "o3"), "{got:?}");
}

/// What was read from the store before its turn came is not sent once more, settled or not.
#[tokio::test(start_paused = true)]
async fn a_message_that_was_read_before_its_turn_came_is_sent_once() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m0").await;
    turn().await;
    client.leave(&world).await;
    world.publish("m1").await;
    let client = world.client("a").await;
    assert_eq!(client.got().await, ["m0", "m1"]);
    let courier = client.subscription.courier.clone();
    let message = courier.desk.lock().flights.values().last().unwrap().message.clone();
    assert!(client.ack("m1").await);
    client.subscription.acks.run_errands(&courier, courier.offer(&message));
    assert_eq!(client.got().await, ["m0", "m1"]);
}
