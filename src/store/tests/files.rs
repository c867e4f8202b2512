//! What only a store with files promises: restarts, full disks, damage, old files.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::disk::SimulatedDisk;
use super::world::{World, content, group, message, metrics, small};
use crate::model::Audience;
use crate::store::{
    Acceptance, Attempt, Config, Joined, LocalStore, MessageSeq, Mode, NewMessage, OpenError,
    Outcome, PairStatus, Reason, Refusal, Settle, Spent, StoreError, SubscriberId, Which,
};

const ACKED: Outcome = Outcome::Acknowledged;

fn embedded() -> World {
    World::on(SimulatedDisk::default(), small())
}

fn large(id: &str, kib: usize) -> NewMessage {
    let text = format!("[\"{id}{}\"]", "x".repeat(kib * 1_024));
    NewMessage { content: content(&text), ..message(id, Audience::all()) }
}

#[test]
fn after_a_restart_everything_is_as_it_was() {
    let mut world = embedded();
    let a = world.session("u", "tab", "c1");
    world.join(a, "g");
    world.publish("m1", group("g"));
    world.publish("m2", group("g"));
    let dead = world.publish("m3", group("g")).seq;
    world.ack(a, "m1");
    world.settle(a, dead, Outcome::Dead(Reason::Nacked));
    world.wait(world.store.put_snapshot("t".into(), "half".into(), world.now));
    let (letters, stats) = (world.dead(), world.stats());
    world.restart();
    assert_eq!((world.dead(), world.stats()), (letters, stats));
    assert_eq!(world.store.mode(), Mode::Embedded);
    let back = world.open("u", Some("tab"), "c2");
    assert_eq!((back.subscriber, back.is_new, back.owed), (a, false, 1));
    assert_eq!(back.groups, ["g".into()]);
    assert_eq!(world.owed_ids(a), ["m2"]);
    assert_eq!(world.receipt("m1").unwrap().counts.acknowledged, 1);
    assert_eq!(world.wait(world.store.snapshot("t".into())).unwrap(), "half");
    assert!(matches!(world.offer(message("m1", group("g"))), Acceptance::Duplicate { .. }));
    let other = NewMessage { body_hash: [0; 16], ..message("m1", group("g")) };
    assert_eq!(world.refused(other), Refusal::IdReused);
}

#[test]
fn downtime_never_counts() {
    let mut world = embedded();
    let a = world.session("u", "tab", "c1");
    world.publish("m1", Audience::all());
    world.lose(a, "c1");
    world.pass(119);
    let disk = world.disk().clone();
    world.pass(1_000);
    world.begin_again(disk);
    world.pass(119);
    assert_eq!(world.sweep().ended, []);
    world.pass(1);
    assert_eq!(world.sweep().ended[0].reason, Some(Reason::SubscriberGone));
}

#[test]
fn a_stock_client_takes_over_what_it_was_owed_before_a_crash() {
    let mut world = embedded();
    let first = world.stock("u", "c1");
    world.stock("v", "c2");
    world.join(first, "g");
    world.publish("m1", group("g"));
    world.cut(3);
    assert_eq!(world.stats().subscribers, 1, "who was owed nothing is forgotten");
    let second = world.stock("u", "c3");
    assert!(second > first);
    world.join(second, "g");
    assert_eq!(world.owed_ids(second), ["m1"]);
    world.cut(4);
    assert_eq!(world.owed_ids(second), ["m1"]);
}

#[test]
fn old_files_go_and_what_is_still_needed_moves_on() {
    let mut world = World::on(SimulatedDisk::default(), Config { segment_mib: 1, ..small() });
    let a = world.session("u", "tab", "c1");
    let b = world.session("v", "tab", "c2");
    let dead = world.publish_message(large("dead", 50)).seq;
    world.settle(a, dead, Outcome::Dead(Reason::GivenUp));
    let old = world.publish_message(large("old", 50)).seq;
    let spent = Spent { attempts: 2, repeats: 1, failures: 0 };
    let attempt = Attempt { at: world.now, error: "no answer".into() };
    world.wait(world.store.note_attempts(a, vec![(old, attempt, spent)]));
    world.wait(world.store.put_snapshot("t".into(), "half".into(), world.now));
    world.wait(world.store.keep_bookmark("billing".into(), world.now));
    for n in 0..120 {
        let id = format!("m{n}");
        world.publish_message(large(&id, 100));
        world.ack(a, &id);
        world.ack(b, &id);
    }
    let first = "0000000001.log".to_owned();
    assert!(!world.disk().names().contains(&first), "{:?}", world.disk().names());
    assert!(world.disk().bytes() < 6 * 1_048_576, "{} bytes", world.disk().bytes());
    let stats = world.stats();
    world.cut(5);
    assert_eq!(world.stats(), stats);
    assert_eq!(world.owed_ids(a), ["old"]);
    assert_eq!((world.owed(a)[0].spent, world.owed(b)[1].spent), (spent, Spent::default()));
    assert_eq!(world.owed_ids(b), ["dead", "old"]);
    assert_eq!(world.owed(b)[0].content, large("dead", 50).content);
    assert_eq!(world.whole_letters()[0].content, large("dead", 50).content);
    assert_eq!(world.status(a, "m3"), Some(PairStatus::Acknowledged), "from its receipt");
    assert_eq!(&*world.receipt("m3").unwrap().target, "News", "which knows its name");
    assert_eq!(world.wait(world.store.snapshot("t".into())).unwrap(), "half");
    assert_eq!(world.wait(world.store.bookmark("billing".into())), Some(world.now));
    assert!(matches!(world.offer(large("m3", 100)), Acceptance::Duplicate { .. }));
}

/// On a full disk nothing is refused that ends something owed, whatever else has been asked for.
#[test]
fn on_a_full_disk_whatever_is_owed_can_die_and_nothing_else_takes_the_room_for_it() {
    let mut world = World::on(SimulatedDisk::default(), Config { reserve_mib: 1, ..small() });
    let clients: Vec<SubscriberId> =
        (0..100).map(|n| world.session("u", &format!("tab{n}"), &format!("c{n}"))).collect();
    let seqs: Vec<MessageSeq> =
        (0..40).map(|n| world.publish(&format!("m{n}"), Audience::all()).seq).collect();
    let pairs = (clients.len() * seqs.len()) as u64;
    world.disk().set_room(Some(0));
    let refused = world.try_wait(world.store.accept(message("new", Audience::all()), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull));
    // Others want the reserve, too, and more than there is of it.
    let attempt = || Attempt { at: world.now, error: "x".repeat(250).into() };
    let asked: Vec<_> = (0..5_000)
        .map(|n| {
            let (seq, subscriber) = (seqs[n % seqs.len()], clients[n % clients.len()]);
            world.store.note_attempts(subscriber, vec![(seq, attempt(), Spent::default())])
        })
        .collect();
    let noted = asked.into_iter().map(|answer| world.try_wait(answer));
    let noted = noted.filter(Result::is_ok).count();
    assert!((1..5_000).contains(&noted), "{noted} found room");
    for n in 0..1_000 {
        let late = world.open("late", Some(&format!("tab{n}")), &format!("late{n}"));
        assert!(!late.session, "it works without a session");
    }
    assert_eq!(world.owed_ids(clients[0]).len(), seqs.len());
    for seq in &seqs {
        for client in &clients {
            let died = world.settle(*client, *seq, Outcome::Dead(Reason::TimedOut));
            assert_eq!(died[0].status, PairStatus::Dead);
        }
    }
    assert!(world.store.health().disk_full);
    let stats = world.stats();
    assert_eq!((stats.pairs.dead, stats.pairs.pending), (pairs, 0));
    world.cut(6);
    assert_eq!(world.stats().pairs.dead, pairs);
}

#[test]
fn on_a_full_disk_nothing_new_is_accepted_but_acks_settle_until_there_is_room() {
    let config = Config { reserve_mib: 1, ..small() };
    let mut world = World::on(SimulatedDisk::default(), config);
    let a = world.session("u", "tab", "c1");
    world.publish("m1", Audience::all());
    world.publish("m2", Audience::all());
    world.disk().set_room(Some(10_000));
    let refused = world.try_wait(world.store.accept(large("m3", 100), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull));
    let refused = world.try_wait(world.store.accept(message("m4", Audience::all()), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull), "the reserve is not for new messages");
    let again = world.try_wait(world.store.accept(message("m1", Audience::all()), world.now));
    assert!(matches!(again, Ok(Acceptance::Duplicate { .. })), "it needs no room: {again:?}");
    assert!(world.store.health().disk_full);
    assert_eq!(world.status(a, "m3"), None);
    assert_eq!(world.ack(a, "m1").len(), 1);
    world.stats();
    world.disk().set_room(Some(10_000_000));
    world.accepts_again();
    world.publish_message(large("m3", 100));
    world.cut(6);
    world.open("u", Some("tab"), "c2");
    assert_eq!(world.owed_ids(a), ["m2", "m3"]);
    assert_eq!(world.status(a, "m4"), None);
}

#[test]
fn while_not_even_an_ack_can_be_written_nothing_is_taken_and_then_it_is() {
    let mut world = embedded();
    let a = world.session("u", "tab", "c1");
    world.publish("m1", Audience::all());
    world.disk().set_room(Some(0));
    let seq = world.owed(a)[0].seq;
    let ack = Settle { subscriber: a, message: Which::Seq(seq), outcome: ACKED };
    let ack = world.try_wait(world.store.settle(vec![ack], world.now));
    assert_eq!(ack, Err(StoreError::DiskFull));
    world.disk().set_room(None);
    world.accepts_again();
    world.cut(7);
    assert_eq!(world.status(a, "m1"), Some(PairStatus::Acknowledged), "it was not forgotten");
}

#[test]
fn a_damaged_place_costs_what_stood_there_and_is_reported_until_it_is_acknowledged() {
    let mut world = embedded();
    let a = world.session("u", "tab", "c1");
    for n in 0..5 {
        world.publish_message(large(&format!("m{n}"), 10));
    }
    let disk = world.disk().after_a_cut(1);
    disk.damage("0000000001.log", |bytes| {
        let place = bytes.windows(4).position(|window| window == b"\"m2x").unwrap();
        bytes[place + 2] ^= 1;
    });
    world.begin_again(disk);
    let damage = world.store.health().damage.unwrap();
    assert_eq!((damage.lost, damage.set_aside.len()), (1, 1));
    assert!(damage.set_aside[0].starts_with("0000000001.log.damaged-"));
    assert!(world.disk().names().contains(&damage.set_aside[0]));
    assert_eq!(world.owed_ids(a), ["m0", "m1", "m3", "m4"]);
    assert_eq!(world.owed(a)[3].content, large("m4", 10).content);
    world.stats();
    assert!(world.store.health().accepts() && !world.store.health().is_good());
    world.restart();
    world.cut(2);
    assert_eq!(world.store.health().damage, Some(damage), "nobody has seen it");
    world.store.acknowledge_damage().unwrap();
    assert!(world.store.health().is_good());
    world.restart();
    assert!(world.store.health().is_good(), "it was mended");
    assert_eq!(world.owed_ids(a), ["m0", "m1", "m3", "m4"]);
}

#[test]
fn a_content_that_is_lost_behind_our_back_becomes_a_dead_letter_when_its_file_goes() {
    let config = Config { inline_bytes_max: 16, ..small() };
    let mut world = World::on(SimulatedDisk::default(), config);
    let a = world.session("u", "tab", "c1");
    world.publish_message(large("m", 10));
    world.disk().damage("0000000001.log", |bytes| {
        let place = bytes.windows(3).position(|window| window == b"\"mx").unwrap();
        bytes[place + 1] ^= 1;
    });
    assert_eq!(world.owed_ids(a), [""; 0]);
    for n in 0..60 {
        let id = format!("n{n}");
        world.publish_message(large(&id, 100));
        world.ack(a, &id);
    }
    assert_eq!(world.dead()[0].reason, Reason::Damaged);
    world.cut(2);
    assert_eq!(world.dead()[0].reason, Reason::Damaged);
}

#[test]
fn while_nothing_can_be_written_clients_without_a_session_come_and_go_as_ever() {
    let world = embedded();
    let a = world.session("u", "tab", "c1");
    world.publish("m1", Audience::all());
    world.disk().set_room(Some(0));
    let ack = Settle { subscriber: a, message: Which::Id("m1".into()), outcome: ACKED };
    let refused = world.try_wait(world.store.settle(vec![ack], world.now));
    assert_eq!(refused, Err(StoreError::DiskFull));
    let b = world.stock("v", "c2");
    assert_eq!(world.join(b, "g"), Joined::Member { adopted: Vec::new() });
    world.lose(b, "c2");
    let c = world.stock("v", "c3");
    world.join(c, "g");
    let refused = world.try_wait(world.store.join(a, "g".into(), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull), "a session's group is durable");
    world.disk().set_room(None);
    world.accepts_again();
    assert_eq!(world.publish("m2", group("g")).subscribers, [c]);
}

#[test]
fn a_bug_in_the_thread_is_a_report_and_not_the_end_of_the_process() {
    let world = embedded();
    let store =
        LocalStore::open_on(Arc::new(SimulatedDisk::default()), small(), metrics(), world.now)
            .unwrap();
    let failed = world.try_wait(store.change(|_| panic!("a bug")));
    assert_eq!(failed, Err(StoreError::Closed));
    let store: &dyn crate::store::Store = &store;
    for _ in 0..100 {
        if store.health().broken.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(store.health().broken.as_deref(), Some("a bug"));
    assert!(!store.health().accepts());
    assert_eq!(world.try_wait(store.ready(world.now)), Err(StoreError::Closed));
    assert!(world.try_wait(store.stats()).is_ok());
}

#[test]
fn a_real_folder_is_locked_and_remembers() {
    let path = std::env::temp_dir().join(format!("conduit-store-{}", uuid::Uuid::new_v4()));
    let config = Config { path: path.clone(), reserve_mib: 1, ..Config::default() };
    let world = embedded();
    let open = || LocalStore::open(config.clone(), metrics(), world.now);
    let store = open().unwrap();
    assert!(matches!(open(), Err(OpenError::InUse(_))));
    let stored: &dyn crate::store::Store = &store;
    for n in 0..10 {
        world.wait(stored.accept(large(&format!("m{n}"), 1), world.now));
    }
    drop(store);
    assert_eq!(std::fs::metadata(path.join("store/reserve")).unwrap().len(), 1_048_576);
    let store = open().unwrap();
    let stats = world.wait((&store as &dyn crate::store::Store).stats());
    assert_eq!((stats.messages_accepted, stats.totals.nobody), (10, 10));
    drop(store);
    std::fs::remove_dir_all(path).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a file holds, the store opens, adds up, and goes on.
    #[test]
    fn flipped_bytes_anywhere_never_end_the_process(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..20),
    ) {
        let mut world = embedded();
        let a = world.session("u", "tab", "c1");
        let b = world.stock("v", "c2");
        world.join(a, "g");
        for n in 0..10 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            if n % 2 == 0 {
                world.ack(a, &format!("m{n}"));
                world.settle(b, seq, Outcome::Dead(Reason::Nacked));
            }
        }
        let disk = world.disk().after_a_cut(1);
        disk.damage("0000000001.log", |bytes| {
            for (place, flip) in flips {
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
            }
        });
        world.begin_again(disk);
        world.stats();
        world.owed(a);
        world.dead();
        let c = world.open("u", Some("tab"), "c3").subscriber;
        world.publish("last", Audience::all());
        world.pass(86_400);
        while world.sweep().more {}
        world.stats();
        prop_assert!(world.dead().iter().any(|letter| letter.key.subscriber == c));
        world.store.acknowledge_damage().unwrap();
        world.restart();
        world.stats();
        prop_assert!(world.store.health().is_good());
    }
}
