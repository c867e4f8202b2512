//! Links are cut, clients come back, sockets take over.

use std::sync::Arc;
use std::time::Duration;

use super::world::{Plan, World, seconds, turn};
use crate::connections::tests_support::{Silent, Socket};
use crate::connections::{self, Outlet};
use crate::delivery::acks::courier::Errands;
use crate::delivery::acks::{AckMode, Config};
use crate::store::Reason;

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_gets_what_it_owes_in_order_of_acceptance_and_then_live_messages()
{
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.leave(&world).await;
    for id in ["m2", "m3"] {
        assert_eq!(world.publish(id).await.targeted, 1, "it is away, not gone");
    }
    let client = world.connect("a", AckMode::Method, false).await;
    assert_eq!(client.subscription.groups(), ["g".into()]);
    assert_eq!(client.got().await, [""; 0], "nothing before its groups are settled");
    client.catch_up().await;
    world.publish("m4").await;
    assert_eq!(client.got().await, ["m1", "m2", "m3", "m4"]);
    for id in ["m1", "m2", "m3", "m4"] {
        assert!(client.ack(id).await);
    }
    assert_eq!(world.pairs().await.pending, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_between_a_clients_opening_and_its_arrival_is_sent_to_it() {
    let world = World::new().await;
    let (client, opened) = world.open("a", false).await;
    let (acks, id) = (world.acks(), opened.subscriber);
    acks.store.join(id, "g".into(), acks.now()).await.unwrap();
    assert_eq!(
        world.publish("m1").await.targeted,
        1,
        "the store knows it, its courier is not here"
    );
    let client = world.arrive(client, AckMode::Method, opened).await;
    assert_eq!(client.subscription.owed(), 1, "also to whom nothing was owed when it was opened");
    client.subscription.begin();
    assert_eq!(client.got().await, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_owed_nothing_takes_no_memory_for_what_it_was_owed() {
    let world = World::new().await;
    let client = world.client("a").await;
    assert!(!client.has_work(), "nobody has published anything");
    world.publish("m1").await;
    turn().await;
    assert!(client.has_work());
    client.ack("m1").await;
    seconds(60).await;
    assert!(!client.has_work());
    world.publish("m2").await;
    assert_eq!(client.got().await, ["m1", "m2"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_spends_no_attempt_but_the_client_is_told_that_it_is_a_repeat() {
    let world = World::new().await;
    for round in 0..6 {
        let client = world.client("a").await;
        if round == 0 {
            world.publish("m1").await;
        }
        turn().await;
        let told = &client.socket.messages()[0]["arguments"][0];
        assert_eq!(told["retryCount"], round);
        client.leave(&world).await;
    }
    assert_eq!(world.pairs().await.pending, 1, "six connections, and not dead");
}

#[tokio::test(start_paused = true)]
async fn no_timer_runs_for_who_is_away_and_the_end_of_the_session_is_the_end() {
    let world = World::new().await;
    let client = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    client.leave(&world).await;
    seconds(110).await;
    assert_eq!((world.pairs().await.pending, world.metrics.timeouts.get()), (1, 0));
    seconds(15).await;
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].reason), (1, Reason::SubscriberGone));
    assert_eq!(world.delivery.queue().in_flight, 0, "and nothing of it is left in memory");
}

/// R2: the words of a connection that was replaced do not count, and do no harm.
#[tokio::test(start_paused = true)]
async fn an_ack_from_a_connection_that_was_replaced_is_refused() {
    let world = World::new().await;
    let old = world.client("a").await;
    world.publish("m1").await;
    turn().await;
    let new = world.client("a").await;
    assert!(old.connection.ended().is_some(), "the first is closed with a reason");
    assert!(!old.ack("m1").await && !old.subscription.nack("m1", None, None));
    assert!(!old.subscription.give_up("m1", None));
    assert_eq!(world.pairs().await.pending, 1);
    assert!(new.ack("m1").await);
    let stranger = world.client("b").await;
    world.publish("m2").await;
    turn().await;
    assert!(stranger.ack("m2").await);
    assert!(!stranger.ack("m1").await, "it never owed it");
    assert_eq!(world.pairs().await.pending, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_keeps_acknowledged_messages_in_the_store_and_the_connection_open() {
    let outbox = connections::Config { outbox_messages_max: 3, ..connections::Config::default() };
    let world = World::with(Plan { connections: outbox, ..Plan::default() }).await;
    let client = world.client("a").await;
    client.socket.stop_reading();
    let ids: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    for id in &ids {
        world.publish(id).await;
    }
    turn().await;
    assert_eq!(client.connection.waiting().0, 3);
    assert!(client.connection.ended().is_none());
    assert_eq!(world.delivery.queue().behind, 1);
    client.socket.read_on();
    seconds(1).await;
    assert_eq!(client.got().await, ids, "in order, each once");
    assert_eq!(world.delivery.queue().behind, 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_frame_that_waits_in_the_outbox_does_not_run() {
    let world = World::new().await;
    let client = world.client("a").await;
    client.socket.stop_reading();
    world.publish("m1").await;
    seconds(5).await;
    assert_eq!(world.metrics.attempts.get(), 0);
    client.socket.read_on();
    seconds(29).await;
    assert_eq!((client.got().await.len(), world.metrics.attempts.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn only_so_much_is_unanswered_at_a_time() {
    let config = Config { unanswered_per_subscriber_max: 4, ..Config::default() };
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let client = world.client("a").await;
    for n in 0..10 {
        world.publish(&format!("m{n}")).await;
    }
    assert_eq!(client.got().await.len(), 4);
    for n in 0..10 {
        assert!(client.ack(&format!("m{n}")).await);
        turn().await;
    }
    assert_eq!(client.got().await.len(), 10);
    assert_eq!(world.pairs().await.acknowledged, 10);
}

#[tokio::test(start_paused = true)]
async fn a_stateful_resume_restarts_the_time_and_sends_nothing_again_by_itself() {
    let world = World::new().await;
    let client = world.join("a", AckMode::Method, true).await;
    world.publish("m1").await;
    seconds(20).await;
    // The socket goes; within its time a new one takes over. What was not acked is replayed by the
    // transport, once.
    let witness = client.connection.clone();
    let socket = Arc::new(Socket::default());
    let resumed = witness.resume(Box::new(Silent), Outlet::Direct(socket.clone()));
    assert!(resumed.is_ok());
    turn().await;
    seconds(28).await;
    let replayed =
        |socket: &Socket| socket.messages().iter().filter(|message| message["type"] == 1).count();
    assert_eq!(replayed(&socket), 1, "by the transport, and not by a timer of ours");
    assert_eq!(world.metrics.timeouts.get(), 0);
    // The copy is in the stateful buffer still: no second one is put beside it.
    seconds(300).await;
    assert_eq!(replayed(&socket), 1);
    client.connection.acked(10);
    seconds(1).await;
    assert_eq!(replayed(&socket), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_allowed_any_more_takes_its_messages_with_it() {
    let world = World::new().await;
    world.client("a").await.leave(&world).await;
    world.publish("m1").await;
    let client = world.connect("a", AckMode::Method, false).await;
    client.subscription.revoke(&"g".into()).await.unwrap();
    client.catch_up().await;
    assert_eq!(client.got().await, [""; 0]);
    assert_eq!(world.dead().await[0].reason, Reason::AccessRevoked);
    assert_eq!(world.publish("m2").await.targeted, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_asked_for_before_the_client_came_back_is_not_taken_for_its_last() {
    let world = World::new().await;
    let client = world.client("a").await;
    client.leave(&world).await;
    for id in ["m1", "m2", "m3"] {
        world.publish(id).await;
    }
    let first = world.connect("a", AckMode::Method, false).await;
    let (acks, courier) = (first.subscription.acks.clone(), first.subscription.courier.clone());
    // A reader has got as far as m2 when the client comes again, and asks for what is behind it.
    courier.begin(&first.connection);
    let mut errands = Errands::default();
    let owed = acks.store.owed(courier.subscriber, None, 2).await.unwrap().owed;
    courier.desk.lock().cursor = owed.last().map(|owed| owed.seq);
    let (page, asked) = courier.next_page(&mut errands).expect("there is something to read");
    let second = world.connect("a", AckMode::Method, false).await;
    second.subscription.begin();
    assert!(acks.read_page(&courier, &page, asked).await.unwrap(), "and the reader goes on");
    acks.read_for(&courier).await;
    assert_eq!(second.got().await, ["m1", "m2", "m3"]);
    assert_eq!(first.got().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_the_last_connection_took_with_it_does_not_hold_back_the_next() {
    let config = Config { ack_timeout_ms: 1_000, breaker_failures_max: 1, ..Config::default() };
    let world = World::with(Plan { config, ..Plan::default() }).await;
    let client = world.client("a").await;
    world.publish("m1").await;
    seconds(2).await;
    assert_eq!(client.got().await, ["m1"], "its breaker is open");
    client.socket.stop_reading();
    // The probe goes out and is not written when another connection takes over.
    seconds(33).await;
    let next = world.connect("a", AckMode::Method, false).await;
    next.catch_up().await;
    seconds(1).await;
    assert_eq!(next.got().await, ["m1"]);
    assert!(next.ack("m1").await);
}

#[tokio::test(start_paused = true)]
async fn who_found_no_room_because_of_others_is_served_when_they_are_gone() {
    let outbox =
        connections::Config { outbox_bytes_total_max: 66_000, ..connections::Config::default() };
    let world = World::with(Plan { connections: outbox, ..Plan::default() }).await;
    let (hog, client) = (world.client("hog").await, world.client("a").await);
    hog.socket.stop_reading();
    let large = format!("[{{\"x\":\"{}\"}}]", "a".repeat(22_000));
    for id in ["m1", "m2"] {
        world.send(world.message(id, &large)).await.unwrap();
    }
    assert_eq!(
        client.got().await,
        ["m1"],
        "the node's room is full of what the other does not read"
    );
    hog.leave(&world).await;
    seconds(1).await;
    assert_eq!(client.got().await, ["m1", "m2"]);
}

/// A mass disconnect must not fill the store's queue by itself.
#[tokio::test]
async fn the_attempts_of_a_lost_connection_take_one_place_in_the_stores_queue() {
    let mut plan = Plan::default();
    plan.store.queue_max = 3;
    let (world, _folder) = World::with_files(plan).await;
    let client = world.client("a").await;
    for n in 0..50 {
        world.publish(&format!("m{n}")).await;
    }
    while client.got().await.len() < 50 {}
    let subscriber = client.subscription.subscriber();
    client.leave(&world).await;
    world.delivery.flush().await.unwrap();
    let owed = world.acks().store.owed(subscriber, None, 100).await.unwrap().owed;
    assert_eq!(owed.iter().filter(|owed| owed.spent.attempts == 1).count(), 50);
}
