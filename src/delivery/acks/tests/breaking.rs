//! A breaker for each destination.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::world::{Client, Plan, World, seconds, turn};
use crate::delivery::acks::answering::Word;
use crate::delivery::acks::courier::{Errands, Reading};
use crate::delivery::acks::sending::Page;
use crate::delivery::acks::{Config, Destination};
use crate::delivery::{BreakerState, Force};
use crate::protocol::Event;
use crate::store::Owed;

/// Three failures open it; its time is longer than a repeat's.
fn plan() -> Plan {
    let config = Config {
        breaker_failures_max: 3,
        breaker_open_ms: 60_000,
        backoff_ms_min: 1,
        backoff_ms_max: 1,
        ..Config::default()
    };
    Plan { config, ..Plan::default() }
}

/// R9: an unacknowledging client opens its own breaker and nobody else's.
#[tokio::test(start_paused = true)]
async fn a_silent_client_opens_its_own_breaker_and_others_go_on() {
    let world = World::with(plan()).await;
    let (silent, good) = (world.client("silent").await, world.client("good").await);
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
        turn().await;
        assert!(good.ack(id).await);
    }
    seconds(31).await;
    assert_eq!(world.delivery.breakers().unwrap().open, 1);
    let before = silent.got().await.len();
    world.publish("m5").await;
    assert_eq!(good.got().await.len(), 5);
    assert_eq!(silent.got().await.len(), before, "it stays owed");
    assert_eq!(world.metrics.timeouts.get(), 3, "no timer runs behind it");
}

#[tokio::test(start_paused = true)]
async fn after_its_time_the_oldest_message_probes_and_an_answer_lets_all_through() {
    let world = World::with(plan()).await;
    let client = world.client("a").await;
    for id in ["m1", "m2", "m3", "m4"] {
        world.publish(id).await;
    }
    seconds(31).await;
    let before = client.got().await.len();
    seconds(61).await;
    assert_eq!(client.got().await[before..], ["m1"], "one, the oldest");
    assert_eq!(world.delivery.breakers().unwrap().half_open, 1);
    assert!(client.ack("m1").await);
    assert_eq!(client.got().await[before + 1..], ["m2", "m3", "m4"]);
    let breakers = world.delivery.breakers().unwrap();
    assert_eq!((breakers.open, breakers.half_open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_opens_it_again_and_the_message_dies_in_its_time() {
    let world = World::with(plan()).await;
    let client = world.client("a").await;
    for id in ["m1", "m2", "m3"] {
        world.publish(id).await;
    }
    seconds(31 + 61 + 31).await;
    assert_eq!(world.delivery.breakers().unwrap().open, 1);
    seconds(1_200).await;
    assert!(world.pairs().await.dead > 0, "four attempts are four attempts");
    let got = client.got().await;
    assert_eq!(got.iter().filter(|id| *id == "m1").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn nacks_open_nothing() {
    let world = World::with(plan()).await;
    let client = world.client("a").await;
    for n in 0..10 {
        world.publish(&format!("m{n}")).await;
        turn().await;
        client.subscription.nack(&format!("m{n}"), None, Some(std::time::Duration::from_secs(9)));
    }
    assert_eq!(world.delivery.breakers().unwrap().open, 0);
}

fn own(client: &Client) -> Destination {
    Destination::Subscriber(client.subscription.subscriber())
}

/// A client that an operator holds back, and that is owed `m1`.
async fn held(world: &World) -> Client {
    let client = world.client("a").await;
    assert!(world.delivery.force_breaker(own(&client), Force::Open));
    world.publish("m1").await;
    client
}

/// It has got nothing so far, and gets `m1` now.
async fn let_go(world: &World, client: &Client) {
    assert_eq!(client.got().await, [""; 0]);
    assert_eq!(world.delivery.breakers().unwrap().isolated, 1);
    assert!(world.delivery.force_breaker(own(client), Force::Auto));
    assert_eq!(client.got().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_holds_a_subscriber_back_and_lets_it_go() {
    let world = World::new().await;
    let client = held(&world).await;
    seconds(600).await;
    let_go(&world, &client).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_acceptance_without_touching_what_is_owed() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    world.delivery.force_breaker(Destination::Store, Force::Open);
    let refused = world.send(world.message("m2", "[]")).await.unwrap_err();
    assert_eq!((refused.name(), refused.is_retryable()), ("store_breaker_open", true));
    assert_eq!(world.delivery.breakers().unwrap().store, BreakerState::Isolated);
    assert!(client.ack("m1").await);
    world.delivery.force_breaker(Destination::Store, Force::Auto);
    assert!(world.send(world.message("m2", "[]")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_for_itself_leaves_the_stores_probe_to_the_next() {
    let world = World::with(plan()).await;
    let acks = world.acks();
    for _ in 0..3 {
        acks.store_breaker.lock().failed(Instant::now(), &acks.policy.breaker);
    }
    let waits = world.send(world.message("m1", "[]")).await.unwrap_err();
    assert_eq!(waits.name(), "store_breaker_open");
    seconds(61).await;
    // Keys that are no texts: JSON has no such thing.
    let mut nothing = world.message("m1", "[]");
    let impossible = BTreeMap::from([(vec![1], 2)]);
    nothing.envelope.event = Arc::new(Event::new("News", (impossible,)));
    assert_eq!(world.send(nothing).await.unwrap_err().name(), "not_encodable");
    let mut nowhere = world.message("m1", "[]");
    nowhere.envelope.hub = "another".into();
    assert_eq!(world.send(nowhere).await.unwrap_err().name(), "unknown_hub");
    assert!(world.send(world.message("m1", "[]")).await.is_ok(), "this one probes");
    assert_eq!(world.delivery.breakers().unwrap().store, BreakerState::Closed);
}

/// A client that has got `m1` and `m2`, while everything is read again, as when a breaker closes: when
/// that was asked, and what was found.
async fn reading_again(world: &World) -> (Client, Reading, Vec<Owed>) {
    let client = world.client("a").await;
    for id in ["m1", "m2"] {
        world.publish(id).await;
    }
    assert_eq!(client.got().await, ["m1", "m2"]);
    let (acks, courier) = (&client.subscription.acks, &client.subscription.courier);
    courier.desk.lock().start_over();
    let (page, asked) = courier.next_page(&mut Errands::default()).expect("both are owed");
    assert!(matches!(page, Page::After(None)));
    let owed = acks.store.owed(courier.subscriber, None, 2).await.unwrap().owed;
    (client, asked, owed)
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_a_moment_ago_is_not_sent_again_from_a_page_that_is_older() {
    let world = World::with(plan()).await;
    let (client, asked, owed) = reading_again(&world).await;
    let (acks, courier) = (client.subscription.acks.clone(), client.subscription.courier.clone());
    let seqs: Vec<_> = owed.iter().map(|owed| owed.seq).collect();
    let mut first = Errands::default();
    assert!(courier.hear(client.connection.id(), &seqs[..1], Word::Acked, None, &mut first));
    assert!(client.ack("m2").await, "the store has this one, and not yet the other");
    assert_eq!(world.pairs().await.acknowledged, 1);
    assert!(courier.take_page(acks.shelve(owed), true, asked, &mut Errands::default()));
    acks.run_errands(&courier, first);
    turn().await;
    assert_eq!(world.pairs().await.acknowledged, 2);
    assert_eq!(client.got().await, ["m1", "m2"], "each once");
    courier.next_page(&mut Errands::default());
    assert!(courier.desk.lock().ending.is_empty(), "and nothing of it is remembered");
}

#[tokio::test(start_paused = true)]
async fn letting_go_of_a_breaker_that_nobody_held_changes_nothing() {
    let world = World::with(plan()).await;
    let client = world.client("a").await;
    let own = own(&client);
    for id in ["m1", "m2", "m3"] {
        world.publish(id).await;
    }
    seconds(31).await;
    assert!(world.delivery.force_breaker(own, Force::Auto));
    assert_eq!(world.delivery.breakers().unwrap().open, 1, "it is open by itself");
    let before = client.got().await.len();
    seconds(61).await;
    assert_eq!(client.got().await[before..], ["m1"], "its probe comes all the same");
    assert!(world.delivery.force_breaker(own, Force::Auto));
    assert!(client.ack("m1").await);
    assert_eq!(client.got().await[before + 1..], ["m2", "m3"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_holds_stays_held_when_the_client_comes_again() {
    let world = World::new().await;
    held(&world).await.leave(&world).await;
    let client = world.client("a").await;
    seconds(60).await;
    let_go(&world, &client).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_finds_what_comes_after_a_page_of_answers_that_are_on_their_way_to_the_store() {
    let mut plan = plan();
    plan.config.page_messages = 2;
    let world = World::with(plan).await;
    let (client, asked, owed) = reading_again(&world).await;
    let (acks, courier) = (client.subscription.acks.clone(), client.subscription.courier.clone());
    let seqs: Vec<_> = owed.iter().map(|owed| owed.seq).collect();
    let mut answers = Errands::default();
    assert!(courier.hear(client.connection.id(), &seqs, Word::Acked, None, &mut answers));
    courier.take_probe(acks.shelve(owed), false, asked, &mut Errands::default());
    assert!(courier.desk.lock().behind, "there may be more");
    courier.take_probe(Vec::new(), true, asked, &mut Errands::default());
    assert!(!courier.desk.lock().behind);
}
