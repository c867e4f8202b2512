//! Whatever a write says for want of room, it is a full disk: not one that fails.

use std::io::ErrorKind;

use super::disk::SimulatedDisk;
use super::world::{World, content, message, small};
use crate::model::Audience;
use crate::store::{
    Acceptance, Config, NewMessage, Outcome, PairStatus, Settle, StoreError, SubscriberId, Which,
};

/// How long a file may grow: enough for how it opens, and a few ends.
const LIMIT: usize = 1_024;
const FIRST: &str = "0000000001.log";

/// Owes so many messages, and then no file may grow: the first that is refused says so.
fn limited(count: u32) -> (World, SubscriberId) {
    let world = World::on(SimulatedDisk::default(), Config { reserve_mib: 1, ..small() });
    let a = world.session("u", "tab", "c");
    for n in 0..count {
        world.publish(&format!("m{n}"), Audience::all());
    }
    world.disk().limit_files(Some(LIMIT));
    let refused = world.try_wait(world.store.accept(message("new", Audience::all()), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull));
    (world, a)
}

fn logs(world: &World) -> usize {
    world.disk().names().iter().filter(|name| name.ends_with(".log")).count()
}

#[test]
fn no_room_for_a_user_is_a_full_disk_until_there_is_some() {
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
        let config = Config { reserve_mib: 1, ..small() };
        let mut world = World::on(SimulatedDisk::default(), config);
        let a = world.session("u", "tab", "c");
        world.publish("m1", Audience::all());
        world.disk().say_when_full(kind);
        world.disk().set_room(Some(0));
        let refused = world.try_wait(world.store.accept(message("m2", Audience::all()), world.now));
        assert_eq!(refused, Err(StoreError::DiskFull), "{kind}");
        let health = world.store.health();
        assert!(health.disk_full && health.failing.is_none(), "{health:?}");
        assert!(!world.disk().names().contains(&"reserve".to_owned()), "it was released");
        assert_eq!(world.ack(a, "m1").len(), 1, "what is owed still settles");
        world.disk().set_room(None);
        world.accepts_again();
        world.publish("m2", Audience::all());
        world.cut(1);
        assert_eq!(world.status(a, "m1"), Some(PairStatus::Acknowledged));
        assert!(world.store.health().is_good());
    }
}

#[test]
fn where_a_file_may_not_grow_what_is_owed_settles_in_others_and_nothing_new_is_taken() {
    let count = 60;
    let (mut world, a) = limited(count);
    let health = world.store.health();
    assert!(health.disk_full && health.failing.is_none(), "{health:?}");
    for n in 0..count {
        assert_eq!(world.ack(a, &format!("m{n}")).len(), 1, "m{n}");
    }
    assert!(logs(&world) > 3, "a few ends to each: {:?}", world.disk().names());
    let refused = world.try_wait(world.store.accept(message("new", Audience::all()), world.now));
    assert_eq!(refused, Err(StoreError::DiskFull));
    let stats = world.stats();
    world.cut(1);
    assert_eq!(world.stats(), stats);
    assert!(world.store.health().is_good());
    for n in 0..count {
        assert_eq!(world.status(a, &format!("m{n}")), Some(PairStatus::Acknowledged));
    }
}

#[test]
fn when_files_may_grow_again_the_store_goes_on_and_loses_nothing_as_the_old_ones_go() {
    let (mut world, a) = limited(60);
    for n in 0..30 {
        world.ack(a, &format!("m{n}"));
    }
    world.disk().limit_files(None);
    world.accepts_again();
    let owed = world.owed_ids(a);
    assert_eq!(owed.len(), 30);
    let text = format!("[\"{}\"]", "x".repeat(262_144));
    for n in 0..60 {
        let id = format!("large{n}");
        let large = NewMessage { content: content(&text), ..message(&id, Audience::all()) };
        assert!(matches!(world.offer(large), Acceptance::Accepted(_)));
        world.ack(a, &id);
    }
    for _ in 0..100 {
        world.sweep();
    }
    assert!(!world.disk().names().contains(&FIRST.to_owned()), "{:?}", world.disk().names());
    let stats = world.stats();
    for seed in 1..4 {
        world.cut(seed);
        assert_eq!((world.owed_ids(a), world.stats()), (owed.clone(), stats));
        assert!(world.store.health().is_good());
    }
}

#[test]
fn where_not_even_a_new_file_has_room_an_end_is_kept_until_there_is_some() {
    let (mut world, a) = limited(10);
    world.disk().limit_files(Some(16));
    let told = world.try_wait(world.store.settle(vec![acknowledged(a, "m0")], world.now));
    assert_eq!(told, Err(StoreError::DiskFull));
    let files = logs(&world);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(logs(&world), files, "no attempt begins another file");
    world.disk().limit_files(None);
    world.accepts_again();
    world.cut(1);
    assert_eq!(world.status(a, "m0"), Some(PairStatus::Acknowledged));
    assert_eq!(world.owed_ids(a).len(), 9);
    assert_eq!(world.open("u", Some("tab"), "d").subscriber, a, "its session is kept, too");
}

fn acknowledged(subscriber: SubscriberId, id: &str) -> Settle {
    Settle { subscriber, message: Which::Id(id.into()), outcome: Outcome::Acknowledged }
}
