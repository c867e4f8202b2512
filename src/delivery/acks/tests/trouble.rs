//! What the store cannot do, or what nobody heard of, holds nobody back for ever.

use std::time::Duration;

use super::world::{Client, Folder, Plan, World, seconds, turn};
use crate::delivery::acks::Config;
use crate::model::{HubName, Subject};
use crate::store::{Accepted, Outcome, Settle, SimulatedDisk, Which};

/// The bytes of contents in the store's files are damaged behind its back.
fn damage(folder: &Folder, contents: &[&str]) {
    for file in std::fs::read_dir(folder.0.join("store")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        for content in contents {
            let place = bytes.windows(content.len()).position(|own| own == content.as_bytes());
            if let Some(place) = place {
                bytes[place] ^= 1;
                std::os::unix::fs::FileExt::write_at(
                    &std::fs::OpenOptions::new().write(true).open(&path).unwrap(),
                    &bytes[place..=place],
                    place as u64,
                )
                .unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_holds_back_nothing_after_it() {
    let config = Config { page_messages: 2, ..Config::default() };
    let mut plan = Plan { config, ..Plan::default() };
    plan.store.inline_bytes_max = 0;
    let (world, folder) = World::with_files(plan).await;
    world.client("a").await.leave(&world).await;
    for n in 0..9 {
        let text = format!("[{{\"text\":\"text-{n}\"}}]");
        world.send(world.message(&format!("m{n}"), &text)).await.unwrap();
    }
    // A page that is short, one that is empty, and the last.
    damage(&folder, &["text-1", "text-2", "text-3", "text-8"]);
    let client = world.client("a").await;
    let expected = ["m0", "m4", "m5", "m6", "m7"];
    let all = async {
        while client.got().await != expected || world.pairs().await.dead < 4 {
            turn().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(in_time.is_ok(), "{:?} {:?}", client.got().await, world.pairs().await);
    assert_eq!(world.metrics.died(crate::store::Reason::Damaged), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_had_ended_before_it_was_handed_in_is_not_waited_for() {
    let world = World::new().await;
    let client = world.client("a").await;
    let seq = world.publish("m1").await.seq;
    assert_eq!(client.got().await, ["m1"]);
    let (subscriber, message) = (client.subscription.subscriber(), Which::Seq(seq));
    let settle = Settle { subscriber, message, outcome: Outcome::Acknowledged };
    // An answer that nobody hears.
    world.acks().store.settle(vec![settle], world.acks().now()).await.unwrap();
    assert!(client.ack("m1").await);
    turn().await;
    assert!(client.subscription.courier.desk.lock().ending.is_empty());
}

#[tokio::test]
async fn who_cannot_be_read_for_keeps_nobody_else_from_being_read_for_while_it_waits() {
    let config = Config {
        catching_up_max: 1,
        backoff_ms_min: 60_000,
        backoff_ms_max: 60_000,
        ..Config::default()
    };
    let mut plan = Plan { config, ..Plan::default() };
    // No answer of the disk is fast enough.
    (plan.store.deadline_ms, plan.store.inline_bytes_max) = (0, 0);
    let (world, _folder) = World::on_files(plan);
    let clients = [world.stock("a").await, world.stock("b").await];
    for client in &clients {
        world.join_group(client, "g").await;
        client.socket.stop_reading();
    }
    // A page that takes a while to read.
    for n in 0..4 {
        let text = format!("[\"{}\"]", "x".repeat(900_000));
        // Most of these come too late, and are kept nevertheless.
        let _ = world.send(world.message(&format!("m{n}"), &text)).await;
    }
    let acks = world.acks();
    let owed = async |client: &Client| {
        let subscriber = client.subscription.subscriber();
        while acks.store.owed_count(subscriber).await.unwrap() < 4 {
            turn().await;
        }
    };
    let both_wait = async {
        for client in &clients {
            owed(client).await;
            acks.owed_anything(client.subscription.subscriber());
        }
        while world.metrics.store_retries.get() < 2 || acks.readers.available_permits() < 1 {
            turn().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), both_wait).await;
    assert!(in_time.is_ok(), "{} have failed", world.metrics.store_retries.get());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_told_of_and_is_on_its_way_is_not_sent_twice() {
    let world = World::new().await;
    let client = world.client("a").await;
    let seq = world.publish("m1").await.seq;
    assert_eq!(client.got().await, ["m1"]);
    let subscribers = vec![client.subscription.subscriber()];
    world.acks().send_unheard(Accepted { seq, subscribers, is_namesake: false });
    assert_eq!(client.got().await, ["m1"]);
    assert!(client.ack("m1").await);
    assert_eq!(world.pairs().await.acknowledged, 1);
    assert_eq!(world.metrics.ending.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn however_often_a_client_comes_back_one_look_at_it_is_planned() {
    let world = World::new().await;
    for round in 0..20 {
        let client = world.client("a").await;
        world.publish(&format!("m{round}")).await;
        turn().await;
        client.leave(&world).await;
    }
    let client = world.client("a").await;
    turn().await;
    assert_eq!((world.metrics.looks.get(), world.metrics.couriers.get()), (1, 1));
    client.leave(&world).await;
    // When the session has ended, nothing is left.
    seconds(130).await;
    assert_eq!((world.metrics.looks.get(), world.metrics.couriers.get()), (0, 0));
}

#[tokio::test]
async fn who_joins_its_group_again_while_the_store_fails_stays_in_it() {
    let disk = SimulatedDisk::default();
    let world = World::on_disk(Plan::default(), &disk).await;
    let (client, hub) = (world.client("a").await, HubName::from("hub"));
    disk.fail_syncs(u32::MAX);
    let refused = world.send(world.message("m1", "[]")).await.unwrap_err();
    assert_eq!(refused.name(), "store_failing");
    for group in ["g", "new"] {
        let joined = world.delivery.join(&hub, client.connection.id(), &group.into()).await;
        assert!(joined.is_err(), "{group}: it cannot be kept");
    }
    let is_there = async |group: &str| {
        world.delivery.exists(&hub, &Subject::Group(group.into())).await.unwrap()
    };
    assert!(is_there("g").await, "where it was it stays");
    assert!(!is_there("new").await, "and nothing is promised that was not kept");
    world.ordinary("News").await;
    let comes = async {
        while client.got().await != ["News"] {
            turn().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), comes).await.is_ok());
}
