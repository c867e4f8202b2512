//! Attempts are counted one by one, also those that are not kept.

use super::dead_letters::all;
use super::disk::SimulatedDisk;
use super::world::{World, content, message, small, with_each_store};
use crate::model::Audience;
use crate::store::{Attempt, MessageSeq, NewMessage, Outcome, Reason, Spent, SubscriberId, Target};

fn attempts(world: &World, subscriber: SubscriberId, seq: MessageSeq, which: std::ops::Range<u32>) {
    let attempt = |n| Attempt { at: world.now, error: format!("attempt {n}").into() };
    let attempts = which.map(|n| (seq, attempt(n), Spent::default())).collect();
    world.wait(world.store.note_attempts(subscriber, attempts));
}

fn expiring(world: &World, id: &str) -> MessageSeq {
    let expires_at = Some(world.now.after(std::time::Duration::from_secs(5)));
    world.publish_message(NewMessage { expires_at, ..message(id, Audience::all()) }).seq
}

#[test]
fn a_dead_letter_counts_every_attempt_and_says_which_are_left_out() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        attempts(world, a, seq, 0..40);
        world.settle(a, seq, Outcome::Dead(Reason::TimedOut));
        let dead = world.dead().remove(0);
        assert_eq!(
            (dead.attempts_made(), dead.attempts_left_out, dead.attempts.len()),
            (40, 24, 16)
        );
        let kept: Vec<&str> = dead.attempts.iter().map(|own| &*own.error).collect();
        assert_eq!((kept[0], kept[1], kept[15]), ("attempt 0", "attempt 25", "attempt 39"));
        world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        attempts(world, a, seq, 40..41);
        world.settle(a, seq, Outcome::Dead(Reason::Nacked));
        let dead = world.dead().remove(0);
        assert_eq!((dead.attempts_made(), dead.attempts_left_out), (41, 25), "its history stays");
        // The answer to its last frame did not come before somebody else ended it.
        attempts(world, a, seq, 41..42);
        let dead = world.dead().remove(0);
        assert_eq!((dead.attempts_made(), &*dead.attempts[15].error), (42, "attempt 41"));
    });
}

#[test]
fn a_receipt_counts_every_attempt_for_those_the_message_expired_for() {
    with_each_store(|world| {
        let (a, b) = (world.session("u", "tab", "c"), world.session("v", "tab", "d"));
        let seq = expiring(world, "m1");
        attempts(world, a, seq, 0..20);
        attempts(world, b, seq, 0..3);
        world.ack(b, "m1");
        assert_eq!(world.receipt("m1").unwrap().tries_of_expired, 0);
        world.pass(6);
        assert_eq!(world.sweep().ended.len(), 1);
        assert_eq!(world.receipt("m1").unwrap().tries_of_expired, 20, "not those that succeeded");
        attempts(world, a, seq, 20..21);
        attempts(world, b, seq, 20..21);
        let expired = world.wait(world.store.expired(9));
        assert_eq!((expired.len(), expired[0].tries_of_expired), (1, 21));
    });
}

#[test]
fn counts_of_attempts_survive_the_file_in_which_they_were_written() {
    let mut world = World::on(SimulatedDisk::default(), small());
    let (a, b) = (world.session("u", "tab", "c"), world.session("v", "tab", "d"));
    let dies = world.publish("dies", Audience::all()).seq;
    attempts(&world, a, dies, 0..30);
    attempts(&world, b, dies, 0..20);
    world.settle(a, dies, Outcome::Dead(Reason::TimedOut));
    let expires = expiring(&world, "expires");
    attempts(&world, a, expires, 0..18);
    world.pass(6);
    world.sweep();
    for n in 0..60 {
        let id = format!("n{n}");
        let long = content(&format!("[\"{}\"]", "x".repeat(100_000)));
        world.publish_message(NewMessage { content: long, ..message(&id, Audience::all()) });
        world.ack(a, &id);
        world.ack(b, &id);
    }
    assert!(!world.disk().names().contains(&"0000000001.log".to_owned()));
    world.cut(9);
    assert_eq!(world.receipt("expires").unwrap().tries_of_expired, 18);
    world.settle(b, dies, Outcome::Dead(Reason::TimedOut));
    let made: Vec<u64> = world.dead().iter().map(|dead| dead.attempts_made()).collect();
    assert_eq!(made, [30, 20]);
}
