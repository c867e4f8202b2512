//! A disk that does not give back a message: once, for ever, or because it does nothing any more.

use std::time::Duration;

use super::world::{Client, Plan, World, turn};
use crate::delivery::Force;
use crate::delivery::acks::{Config, DeliveryOrder, Destination};
use crate::store::{PairStatus, Reason, SimulatedDisk, Which};

/// Waits are short, and real: the store has a thread of its own.
fn plan(order: DeliveryOrder) -> Plan {
    let config = Config { backoff_ms_min: 4, backoff_ms_max: 20, ..Config::default() };
    let mut plan = Plan { config, ..Plan::default() };
    plan.hub.order = order;
    plan.store.inline_bytes_max = 0;
    plan
}

/// A client comes back, and is owed as many messages as that.
async fn owed(plan: Plan, count: usize) -> (World, SimulatedDisk) {
    let disk = SimulatedDisk::default();
    let world = World::on_disk(plan, &disk).await;
    world.client("a").await.leave(&world).await;
    for n in 0..count {
        let text = format!("[{{\"text\":\"text-{n}\"}}]");
        world.send(world.message(&format!("m{n}"), &text)).await.unwrap();
    }
    (world, disk)
}

async fn gets(client: &Client, count: usize) -> Vec<String> {
    let all = async {
        while client.got().await.len() < count {
            turn().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(in_time.is_ok(), "{:?}", client.got().await);
    client.got().await
}

#[tokio::test]
async fn what_the_disk_refuses_for_a_while_comes_later_and_holds_nobody_back() {
    let (world, disk) = owed(plan(DeliveryOrder::First), 4).await;
    disk.fail_reads("text-1", 3);
    let client = world.client("a").await;
    assert_eq!(gets(&client, 4).await, ["m0", "m2", "m3", "m1"]);
    assert_eq!((world.metrics.unread.get(), world.pairs().await.dead), (3, 0));
    for id in ["m0", "m1", "m2", "m3"] {
        assert!(client.ack(id).await);
    }
    assert_eq!(world.pairs().await.acknowledged, 4);
    assert!(client.subscription.courier.desk.lock().unread.is_empty(), "nothing is waited for");
}

#[tokio::test]
async fn what_the_disk_refuses_as_often_as_failures_are_allowed_is_damaged() {
    let (world, disk) = owed(plan(DeliveryOrder::First), 3).await;
    disk.fail_reads("text-1", u32::MAX);
    let client = world.client("a").await;
    assert_eq!(gets(&client, 2).await, ["m0", "m2"]);
    while world.pairs().await.dead < 1 {
        turn().await;
    }
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].reason, dead[0].attempts_made()), (1, Reason::Damaged, 5));
    let said = "It was not read from the store: Input/output error (os error 5)";
    assert!(dead[0].attempts.iter().all(|own| &*own.error == said), "{:?}", dead[0].attempts);
    assert_eq!(client.subscription.ack("m1").await, Ok(true), "a late ack settles it all the same");
}

#[tokio::test]
async fn on_a_strict_hub_what_comes_behind_it_waits() {
    let (world, disk) = owed(plan(DeliveryOrder::Strict), 4).await;
    disk.fail_reads("text-1", 3);
    let client = world.client("a").await;
    for (n, id) in ["m0", "m1", "m2", "m3"].into_iter().enumerate() {
        assert_eq!(gets(&client, n + 1).await[n], id);
        assert!(client.ack(id).await);
    }
    assert_eq!(client.got().await, ["m0", "m1", "m2", "m3"]);
    assert_eq!(world.pairs().await.acknowledged, 4);
}

#[tokio::test]
async fn an_operators_hold_ends_a_stop_at_what_was_not_read() {
    let mut plan = plan(DeliveryOrder::Strict);
    (plan.config.backoff_ms_min, plan.config.backoff_ms_max) = (60_000, 3_600_000);
    let (world, disk) = owed(plan, 3).await;
    disk.fail_reads("text-1", 1);
    let client = world.client("a").await;
    let own = Destination::Subscriber(client.subscription.subscriber());
    while client.subscription.courier.desk.lock().stopped_at.is_none() {
        turn().await;
    }
    assert_eq!(client.got().await, ["m0"]);
    assert!(client.ack("m0").await);
    assert!(world.delivery.force_breaker(own, Force::Open));
    assert!(world.delivery.force_breaker(own, Force::Auto));
    assert_eq!(gets(&client, 2).await, ["m0", "m1"]);
    assert!(client.ack("m1").await);
    assert_eq!(gets(&client, 3).await, ["m0", "m1", "m2"]);
}

#[tokio::test]
async fn while_the_store_as_a_whole_is_in_trouble_no_message_spends_anything() {
    let (world, disk) = owed(plan(DeliveryOrder::First), 2).await;
    let client = world.connect("a", crate::delivery::acks::AckMode::Method, false).await;
    disk.fail_reads("text-", u32::MAX);
    disk.fail_syncs(u32::MAX);
    let (acks, subscriber) = (world.acks(), client.subscription.subscriber());
    let refused = acks.store.keep_bookmark("reader".into(), acks.now()).await;
    assert!(refused.is_err());
    client.subscription.begin();
    // Longer than all waits together would be.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.metrics.unread.get(), client.got().await.len()), (0, 0));
    let found = acks.store.owed(subscriber, None, 9).await.unwrap();
    assert_eq!((found.unread.len(), found.unread[0].spent.failures), (2, 0));
    disk.heal();
    assert_eq!(gets(&client, 2).await, ["m0", "m1"]);
}

#[tokio::test]
async fn as_many_wait_to_be_read_as_may_be_unanswered() {
    let mut plan = plan(DeliveryOrder::First);
    plan.config.unanswered_per_subscriber_max = 2;
    plan.config.page_messages = 1;
    let (world, disk) = owed(plan, 6).await;
    // Three of five each.
    for n in 0..6 {
        disk.fail_reads(&format!("text-{n}"), 3);
    }
    let client = world.client("a").await;
    let mut acked = Vec::new();
    let start = std::time::Instant::now();
    while acked.len() < 6 {
        assert!(client.subscription.courier.desk.lock().unread.len() <= 2);
        assert!(start.elapsed() < Duration::from_secs(20), "{acked:?}");
        for id in client.got().await {
            if !acked.contains(&id) {
                assert!(client.ack(&id).await);
                acked.push(id);
            }
        }
    }
    assert_eq!(world.pairs().await.acknowledged, 6);
}

#[tokio::test]
async fn who_is_away_spends_nothing_and_finds_what_was_spent() {
    let (world, disk) = owed(plan(DeliveryOrder::First), 1).await;
    disk.fail_reads("text-0", u32::MAX);
    let client = world.client("a").await;
    while world.metrics.unread.get() < 2 {
        turn().await;
    }
    let subscriber = client.subscription.subscriber();
    client.leave(&world).await;
    turn().await;
    let spent = world.metrics.unread.get();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.metrics.unread.get(), spent);
    let store = world.acks().store.clone();
    let message = Which::Id("m0".into());
    if store.status(subscriber, message).await.unwrap() == Some(PairStatus::Owed) {
        let found = store.owed(subscriber, None, 9).await.unwrap();
        assert_eq!(u64::from(found.unread[0].spent.failures), spent);
        disk.heal();
        let client = world.client("a").await;
        assert_eq!(gets(&client, 1).await, ["m0"]);
    }
}
