//! Deaths are told to who asks, whatever became of their letters.

use super::dead_letters::{all, die};
use super::disk::SimulatedDisk;
use super::world::{World, content, message, small, tenant, with_each_store};
use crate::model::{Audience, MessageId};
use crate::store::{DeadFilter, Moment, Reason, SubscriberId, Target};

/// What a reader that has come to `since` finds: the message, whose it was, and why it died.
fn told(world: &World, since: Moment) -> Vec<(String, SubscriberId, Reason)> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = world.wait(world.store.deaths(tenant(), since, after, 2));
        let Some(last) = page.last() else { return found };
        after = Some(last.key);
        let own =
            page.iter().map(|own| (own.id.to_string(), own.key.letter.subscriber, own.reason));
        found.extend(own);
    }
}

#[test]
fn a_death_is_told_until_its_reader_has_come_so_far_whatever_became_of_its_letter() {
    with_each_store(|world| {
        let start = world.now;
        let (a, b) = (world.session("u", "tab", "c"), world.session("v", "tab", "d"));
        world.wait(world.store.keep_bookmark("billing".into(), start));
        let reasons = [Reason::TimedOut, Reason::Nacked, Reason::GivenUp, Reason::NotWritten];
        for (n, reason) in reasons.into_iter().enumerate() {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            die(world, a, seq, reason);
            die(world, b, seq, reason);
        }
        let whose = |n: usize, id| (format!("m{n}"), id, reasons[n]);
        let all_of_them: Vec<_> = (0..4).flat_map(|n| [whose(n, a), whose(n, b)]).collect();
        assert_eq!(told(world, start), all_of_them);
        let of = |id: &str| DeadFilter { ids: Some([MessageId::from(id)].into()), ..all() };
        world.wait(world.store.purge(of("m0"), 1, world.now));
        world.ack(a, "m1");
        world.wait(world.store.requeue(of("m2"), Target::SameSubscriber, 9, world.now));
        assert_eq!(world.dead().len(), 4);
        assert_eq!(told(world, start), all_of_them, "their letters are gone or not");
        world.pass(1);
        assert_eq!(told(world, world.now), [], "later than all of them");
        world.wait(world.store.keep_bookmark("billing".into(), world.now));
        let kept = [whose(0, b), whose(1, b), whose(3, a), whose(3, b)];
        assert_eq!(told(world, start), kept, "their letters are there");
    });
}

#[test]
fn a_death_that_is_to_be_told_survives_the_file_in_which_it_was_written() {
    let mut world = World::on(SimulatedDisk::default(), small());
    let start = world.now;
    let a = world.session("u", "tab", "c");
    world.wait(world.store.keep_bookmark("billing".into(), start));
    die(&world, a, world.publish("m", Audience::all()).seq, Reason::Nacked);
    world.wait(world.store.purge(all(), 9, world.now));
    for n in 0..60 {
        let id = format!("n{n}");
        let mut long = message(&id, Audience::all());
        long.content = content(&format!("[\"{}\"]", "x".repeat(100_000)));
        world.publish_message(long);
        world.ack(a, &id);
    }
    assert!(!world.disk().names().contains(&"0000000001.log".to_owned()));
    world.cut(3);
    assert_eq!(told(&world, start), [("m".to_owned(), a, Reason::Nacked)]);
}

#[test]
fn of_a_reader_that_is_no_more_nothing_is_kept() {
    with_each_store(|world| {
        let start = world.now;
        let a = world.session("u", "tab", "c");
        for reader in ["billing", "other", "third"] {
            world.wait(world.store.keep_bookmark(reader.into(), start));
        }
        die(world, a, world.publish("m", Audience::all()).seq, Reason::Nacked);
        world.wait(world.store.purge(all(), 9, world.now));
        let own = ["billing".into(), "third".into()];
        let gone = world.wait(world.store.forget_bookmarks(own.to_vec()));
        assert_eq!(gone, ["other".into()]);
        let is_known = |reader: &str| world.wait(world.store.bookmark(reader.into())).is_some();
        assert_eq!(["billing", "other", "third"].map(is_known), [true, false, true]);
        assert_eq!(told(world, start).len(), 1);
        let gone = world.wait(world.store.forget_bookmarks(Vec::new()));
        assert_eq!(gone, ["billing".into(), "third".into()]);
        assert_eq!(told(world, start), [], "nobody else would tell of it");
    });
}

#[test]
fn a_reader_that_is_no_more_is_not_remembered_after_a_restart() {
    let mut world = World::on(SimulatedDisk::default(), small());
    for reader in ["billing", "other"] {
        world.wait(world.store.keep_bookmark(reader.into(), world.now));
    }
    world.wait(world.store.forget_bookmarks(vec!["billing".into()]));
    world.cut(4);
    world.restart();
    assert_eq!(world.wait(world.store.bookmark("other".into())), None);
    assert_eq!(world.wait(world.store.bookmark("billing".into())), Some(world.now));
}
