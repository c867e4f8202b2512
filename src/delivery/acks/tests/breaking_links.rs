//! Links that break count for the breaker of their subscriber, also while it is away.

use super::world::{Client, Plan, World, seconds, turn};
use crate::connections::End;
use crate::delivery::Force;
use crate::delivery::acks::{AckMode, Config, Destination};

/// Three failures open it, for a minute.
fn plan() -> Plan {
    let config = Config { breaker_failures_max: 3, breaker_open_ms: 60_000, ..Config::default() };
    Plan { config, ..Plan::default() }
}

/// The client's process dies, or its network: nobody says goodbye.
async fn crash(client: Client, world: &World) {
    end(client, End::Lost, world).await;
}

async fn end(client: Client, why: End, world: &World) {
    client.connection.end(why);
    client.leave(world).await;
}

fn open(world: &World) -> usize {
    world.delivery.breakers().unwrap().open
}

/// Comes, is sent the message, dies of it.
async fn loop_once(world: &World) {
    let client = world.client("looping").await;
    assert_eq!(client.got().await, ["m1"]);
    crash(client, world).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dies_of_every_delivery_opens_its_own_breaker_until_it_answers_a_probe() {
    let world = World::with(plan()).await;
    let good = world.client("good").await;
    let looping = world.client("looping").await;
    world.publish("m1").await;
    assert!(good.ack("m1").await);
    assert_eq!(looping.got().await, ["m1"]);
    crash(looping, &world).await;
    loop_once(&world).await;
    assert_eq!(open(&world), 0, "two of three");
    loop_once(&world).await;
    assert_eq!(open(&world), 1, "also while nobody is here");
    assert_eq!(world.metrics.transport_failures.get(), 3);
    assert_eq!(world.metrics.breakers_opened.get(), 1);

    let client = world.client("looping").await;
    world.publish("m2").await;
    assert_eq!(good.got().await, ["m1", "m2"], "others go on");
    assert!(good.ack("m2").await);
    assert_eq!(client.got().await, [""; 0], "and it is left alone");
    seconds(61).await;
    assert_eq!(client.got().await, ["m1"], "one, the oldest");
    crash(client, &world).await;
    assert_eq!(open(&world), 1, "the probe failed with its link");
    let client = world.client("looping").await;
    seconds(59).await;
    assert_eq!(client.got().await, [""; 0], "its whole time again");
    seconds(2).await;
    assert_eq!(client.got().await, ["m1"]);
    assert!(client.ack("m1").await);
    assert_eq!(client.got().await, ["m1", "m2"]);
    assert_eq!(open(&world), 0);
    assert_eq!(world.dead().await.len(), 0, "a broken link spends no attempt");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_breaks_with_nothing_on_its_way_says_nothing_of_its_client() {
    let world = World::with(plan()).await;
    for round in 0..5 {
        let client = world.client("a").await;
        world.publish(&format!("m{round}")).await;
        turn().await;
        assert!(client.ack(&format!("m{round}")).await);
        turn().await;
        crash(client, &world).await;
    }
    assert_eq!((open(&world), world.metrics.transport_failures.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_somebody_wanted_is_no_failure() {
    let world = World::with(plan()).await;
    world.client("a").await.leave(&world).await;
    world.publish("m1").await;
    let asked = End::Asked { reason: None, allow_reconnect: true };
    let wanted = [End::ClientLeft, End::ClientClosed, End::Stopping, End::Expired, asked];
    for why in wanted {
        let client = world.client("a").await;
        assert_eq!(client.got().await, ["m1"]);
        end(client, why, &world).await;
    }
    // Nor is a newer connection of the same client.
    let mut kept = Vec::new();
    for _ in 0..5 {
        let client = world.client("a").await;
        assert_eq!(client.got().await, ["m1"]);
        kept.push(client);
    }
    assert_eq!((open(&world), world.metrics.transport_failures.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn silence_and_writes_without_progress_are_failures_of_the_link_too() {
    for why in [End::SendTimedOut, End::ClientTimedOut, End::Stale, End::NotResumed] {
        let world = World::with(plan()).await;
        let client = world.client("a").await;
        world.publish("m1").await;
        turn().await;
        end(client, why.clone(), &world).await;
        assert_eq!(world.metrics.transport_failures.get(), 1, "{why:?}");
    }
}

/// A client with stateful reconnect that begins anew does not come back to its lost link.
#[tokio::test(start_paused = true)]
async fn a_lost_link_that_waits_for_its_client_counts_when_that_comes_anew_instead() {
    let world = World::with(plan()).await;
    let mut kept = Vec::new();
    for round in 0..3 {
        let client = world.join("a", AckMode::Method, true).await;
        if round == 0 {
            world.publish("m1").await;
        }
        assert_eq!(client.got().await, ["m1"]);
        client.subscription.courier.park(client.connection.id());
        kept.push(client);
    }
    assert_eq!(open(&world), 0, "the last may still be resumed");
    kept.push(world.join("a", AckMode::Method, true).await);
    assert_eq!(open(&world), 1);
    assert_eq!(kept[3].got().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stock_client_that_dies_of_every_delivery_opens_its_breaker_although_nobody_knows_it() {
    let world = World::with(plan()).await;
    let client = world.stock("a").await;
    world.join_group(&client, "g").await;
    world.publish("m1").await;
    assert_eq!(client.got().await, ["m1"]);
    crash(client, &world).await;
    for _ in 0..2 {
        let client = world.stock("a").await;
        world.join_group(&client, "g").await;
        assert_eq!(client.got().await, ["m1"]);
        crash(client, &world).await;
    }
    assert_eq!(open(&world), 1);
    let client = world.stock("a").await;
    world.join_group(&client, "g").await;
    assert_eq!(client.got().await, [""; 0]);
    assert_eq!(open(&world), 1, "it went from the lost connection to the new one");
    seconds(61).await;
    assert_eq!(client.got().await, ["m1"]);
    assert!(client.ack("m1").await);
    assert_eq!(open(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_breaker_remembers_goes_with_the_session() {
    let world = World::with(plan()).await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    crash(client, &world).await;
    seconds(100).await;
    assert_eq!(world.acks().all_couriers().len(), 1, "it may come back");
    seconds(25).await;
    assert_eq!(world.acks().all_couriers().len(), 0);
    assert_eq!(world.metrics.couriers.get(), 0);
    assert_eq!(world.metrics.holds_ended.get(), 0, "nobody held it");
}

#[tokio::test(start_paused = true)]
async fn an_operators_hold_ends_when_its_subscriber_is_gone() {
    let world = World::new().await;
    for (name, force) in [("a", Force::Open), ("b", Force::Closed)] {
        let client = world.client(name).await;
        let own = Destination::Subscriber(client.subscription.subscriber());
        assert!(world.delivery.force_breaker(own, force));
        client.leave(&world).await;
    }
    world.publish("m1").await;
    seconds(110).await;
    assert_eq!(world.delivery.breakers().unwrap().isolated, 1, "it may come back");
    seconds(15).await;
    assert_eq!(world.delivery.breakers().unwrap().isolated, 0);
    assert_eq!(world.acks().all_couriers().len(), 0);
    assert_eq!(world.metrics.holds_ended.get(), 2);
    let client = world.client("a").await;
    world.publish("m2").await;
    assert_eq!(client.got().await, ["m2"], "a new session is in nobody's hand");
}

#[tokio::test(start_paused = true)]
async fn a_hold_on_a_client_without_a_session_ends_with_its_connection() {
    let world = World::new().await;
    let client = world.stock("a").await;
    let own = Destination::Subscriber(client.subscription.subscriber());
    assert!(world.delivery.force_breaker(own, Force::Open));
    client.leave(&world).await;
    seconds(2).await;
    assert_eq!(world.acks().all_couriers().len(), 0);
    assert_eq!(world.metrics.holds_ended.get(), 1);
}
