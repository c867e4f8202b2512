//! Contents that lie on the disk: what it does not give back once, and what it gives back wrong.

use std::time::{Duration, Instant};

use super::disk::SimulatedDisk;
use super::world::{World, content, message, small};
use crate::model::Audience;
use crate::store::{Config, MessageSeq, NewMessage, OwedPage, Reason, SubscriberId};

fn world() -> World {
    World::on(SimulatedDisk::default(), Config { inline_bytes_max: 16, ..small() })
}

fn long(id: &str, kib: usize) -> NewMessage {
    let text = format!("[\"{id}{}\"]", "x".repeat(kib * 1_024));
    NewMessage { content: content(&text), ..message(id, Audience::all()) }
}

fn page(world: &World, subscriber: SubscriberId) -> OwedPage {
    world.wait(world.store.owed(subscriber, None, 100))
}

fn seqs(page: &OwedPage) -> Vec<MessageSeq> {
    page.owed.iter().map(|owed| owed.seq).collect()
}

#[test]
fn what_the_disk_refuses_once_is_told_apart_from_what_it_gives_back_wrong() {
    let world = world();
    let a = world.session("u", "tab", "c");
    let [m1, m2, m3] = ["m1", "m2", "m3"].map(|id| world.publish_message(long(id, 1)).seq);
    world.disk().fail_reads("m2x", 1);
    world.disk().damage("0000000001.log", |bytes| {
        let place = bytes.windows(3).position(|window| window == b"m3x").unwrap();
        bytes[place] ^= 1;
    });
    let found = page(&world, a);
    assert_eq!((seqs(&found), &found.unreadable), (vec![m1], &vec![m3]));
    assert_eq!((found.unread.len(), found.unread[0].seq), (1, m2));
    assert_eq!(&*found.unread[0].error, "Input/output error (os error 5)");
    assert_eq!((found.count(), found.end()), (3, Some(m3)));
    let found = page(&world, a);
    assert_eq!((seqs(&found), found.unread.len()), (vec![m1, m2], 0), "it has passed");
}

#[test]
fn what_the_disk_refuses_once_moves_on_to_a_newer_file_a_little_later() {
    let world = world();
    let a = world.session("u", "tab", "c");
    world.publish_message(long("old", 50));
    // Reads of the cleaning: clients are not asked for it.
    world.disk().fail_reads("oldx", 1);
    let start = Instant::now();
    let mut n = 0;
    while world.disk().names().contains(&"0000000001.log".to_owned()) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", world.disk().names());
        n += 1;
        let id = format!("n{n}");
        world.publish_message(long(&id, 50));
        world.ack(a, &id);
    }
    assert!(start.elapsed() >= Duration::from_secs(1), "it was not read again at once");
    assert_eq!((world.owed_ids(a), world.dead().len()), (vec!["old".to_owned()], 0));
    assert_eq!(world.owed(a)[0].content, long("old", 50).content);
}

#[test]
fn what_is_given_back_wrong_is_a_dead_letter_at_once_when_its_file_goes() {
    let world = world();
    let a = world.session("u", "tab", "c");
    world.publish_message(long("old", 50));
    world.disk().damage("0000000001.log", |bytes| {
        let place = bytes.windows(4).position(|window| window == b"oldx").unwrap();
        bytes[place] ^= 1;
    });
    for n in 0..60 {
        let id = format!("n{n}");
        world.publish_message(long(&id, 100));
        world.ack(a, &id);
    }
    assert_eq!(world.dead()[0].reason, Reason::Damaged);
}
