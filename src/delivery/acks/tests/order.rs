//! What may overtake what.

use std::time::Duration;

use super::world::{Plan, World, publisher, seconds, turn};
use crate::delivery::acks::{DeliveryOrder, HubAcks, Publisher};

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
async fn a_repeat_keeps_no_place() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.subscription.nack("m1", None, Some(Duration::from_secs(1)));
    world.publish("m2").await;
    seconds(2).await;
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
