//! Dead letters: kept with everything that is known, sent again, thrown away, all counted.

use super::disk::SimulatedDisk;
use super::world::{World, content, message, small, tenant, with_each, with_each_store};
use crate::model::{Audience, HubName, MessageId, Tenant};
use crate::store::{
    Attempt, BadRequeue, Config, DeadFilter, DeadKey, MessageSeq, Moment, Outcome, PairStatus,
    Reason, Spent, SubscriberId, Target,
};

fn die(world: &World, subscriber: SubscriberId, seq: MessageSeq, reason: Reason) {
    let at = world.now;
    let attempt = Attempt { at, error: "no answer".into() };
    world.wait(world.store.note_attempt(seq, subscriber, attempt, Spent::default()));
    assert_eq!(world.settle(subscriber, seq, Outcome::Dead(reason)).len(), 1);
}

fn all() -> DeadFilter {
    DeadFilter::default()
}

#[test]
fn a_dead_letter_knows_its_message_its_reason_and_every_attempt() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        die(world, a, seq, Reason::Nacked);
        let dead = world.dead().remove(0);
        assert_eq!(dead.key, DeadKey { seq, subscriber: a });
        assert_eq!((dead.reason, dead.died_at), (Reason::Nacked, world.now));
        assert_eq!(&*dead.attempts[0].error, "no answer");
        assert_eq!(&dead.content.arguments[..], b"[\"m1\"]");
        assert_eq!(world.status(a, "m1"), Some(PairStatus::Dead));
        assert_eq!(world.owed_ids(a), [""; 0]);
    });
}

#[test]
fn a_late_ack_settles_a_dead_letter() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        die(world, a, seq, Reason::TimedOut);
        let ended = world.ack(a, "m1").remove(0);
        assert_eq!((ended.status, ended.message), (PairStatus::Acknowledged, None));
        assert!(world.dead().is_empty());
        let stats = world.stats();
        assert_eq!((stats.pairs.dead, stats.pairs.acknowledged, stats.bytes), (0, 1, 0));
    });
}

#[test]
fn a_list_is_filtered_and_comes_in_pages() {
    with_each_store(|world| {
        let (a, b) = (world.stock("u", "c1"), world.stock("v", "c2"));
        for n in 0..3 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            die(world, a, seq, Reason::TimedOut);
            die(world, b, seq, Reason::Nacked);
        }
        let found = |filter: DeadFilter| world.wait(world.store.dead_letters(filter, None, 9));
        assert_eq!(found(all()).letters.len(), 6);
        let nacked = DeadFilter { reason: Some(Reason::Nacked), ..all() };
        assert_eq!(found(nacked.clone()).letters.len(), 3);
        assert_eq!(found(DeadFilter { subscriber: Some(a), ..nacked }).letters.len(), 0);
        let one = DeadFilter { id: Some(MessageId::from("m1")), ..all() };
        assert_eq!(found(one).letters.len(), 2);
        assert_eq!(found(DeadFilter { hub: Some(HubName::from("x")), ..all() }).letters.len(), 0);
        let tenant = Some(Tenant::from("billing"));
        assert_eq!(found(DeadFilter { tenant, ..all() }).letters.len(), 6);
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = world.wait(world.store.dead_letters(all(), after, 4));
            pages.push(page.letters.len());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, [4, 2]);
    });
}

#[test]
fn a_requeued_letter_is_owed_again_and_keeps_its_history() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        die(world, a, seq, Reason::TimedOut);
        world.pass(90_000);
        let requeued = world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        assert_eq!((requeued.letters, requeued.owed.len()), (1, 1));
        assert_eq!(world.owed_ids(a), ["m1"]);
        assert_eq!(world.sweep().ended, [], "its age begins anew");
        let again = world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        assert_eq!(again.letters, 0, "not again until it died again");
        die(world, a, seq, Reason::Nacked);
        let dead = world.dead().remove(0);
        assert_eq!((dead.reason, dead.attempts.len()), (Reason::Nacked, 2));
        assert_eq!(world.stats().totals.requeued, 1);
    });
}

#[test]
fn a_letter_to_somebody_who_is_gone_cannot_be_sent_to_them_again() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        world.end(a);
        let requeued = world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        let key = DeadKey { seq, subscriber: a };
        assert_eq!(requeued.refused, [(key, BadRequeue::SubscriberGone)]);
        let requeued =
            world.wait(world.store.requeue(all(), Target::CurrentAudience, 9, world.now));
        assert_eq!(requeued.refused, [(key, BadRequeue::Nobody)]);
        assert_eq!(world.dead().len(), 1);
    });
}

#[test]
fn a_letter_sent_to_the_current_audience_is_owed_by_those_who_never_had_it() {
    with_each_store(|world| {
        let (a, b) = (world.stock("u", "c1"), world.session("v", "tab", "c2"));
        let seq = world.publish("m1", Audience::all()).seq;
        world.ack(a, "m1");
        world.end(b);
        let c = world.stock("w", "c3");
        let requeued =
            world.wait(world.store.requeue(all(), Target::CurrentAudience, 9, world.now));
        assert_eq!(
            (requeued.letters, &requeued.owed[..]),
            (1, &[DeadKey { seq, subscriber: c }][..])
        );
        assert_eq!(
            (requeued.ended[0].subscriber, requeued.ended[0].status),
            (b, PairStatus::Purged)
        );
        assert_eq!((world.owed_ids(a).len(), world.owed_ids(c).len()), (0, 1));
        let stats = world.stats();
        assert_eq!((stats.totals.targeted, stats.pairs.purged, stats.pairs.dead), (3, 1, 0));
        world.ack(c, "m1");
        assert_eq!(world.stats().bytes, 0);
    });
}

#[test]
fn letters_leave_by_purge_and_by_age_and_are_counted() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        for n in 0..3 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            die(world, a, seq, Reason::Nacked);
        }
        let purged = world.wait(world.store.purge(all(), 1, world.now));
        assert_eq!((purged.len(), purged[0].id.as_str()), (1, "m0"));
        world.pass(30 * 86_400);
        let retired = world.sweep().ended;
        assert_eq!((retired.len(), retired[0].status), (2, PairStatus::Purged));
        let stats = world.stats();
        assert_eq!((stats.pairs.purged, stats.totals.retired, stats.pairs.dead), (3, 2, 0));
        assert_eq!(stats.bytes, 0);
    });
}

#[test]
fn the_first_and_the_newest_attempts_are_kept() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let seq = world.publish("m", Audience::all()).seq;
        for n in 0..20 {
            let attempt =
                Attempt { at: world.now, error: format!("{n} {}", "é".repeat(200)).into() };
            world.wait(world.store.note_attempt(seq, a, attempt, Spent::default()));
        }
        world.settle(a, seq, Outcome::Dead(Reason::GivenUp));
        let attempts = world.dead().remove(0).attempts;
        assert_eq!(attempts.len(), Attempt::KEPT_MAX);
        assert!(attempts[0].error.starts_with("0 ") && attempts[15].error.starts_with("19 "));
        assert!(attempts[0].error.len() <= Attempt::ERROR_BYTES_MAX);
    });
}

#[test]
fn a_requeue_keeps_within_what_may_be_pending() {
    with_each(&Config { pending_per_tenant_max: 1, ..small() }, |world| {
        let a = world.session("u", "tab", "c");
        let first = world.publish("m1", Audience::all()).seq;
        die(world, a, first, Reason::Nacked);
        world.publish("m2", Audience::all());
        let requeued = world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        assert_eq!(requeued.refused[0].1, BadRequeue::PendingFull);
        assert_eq!(world.dead().len(), 1);
    });
}

#[test]
fn a_filter_by_time_of_death_has_a_beginning_and_an_open_end() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let mut times = Vec::new();
        for n in 0..3 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            times.push(world.now);
            die(world, a, seq, Reason::TimedOut);
            world.pass(1);
        }
        let (died_from, died_before) = (Some(times[1]), Some(times[2]));
        let filter = DeadFilter { died_from, died_before, ..all() };
        let found = world.wait(world.store.dead_letters(filter.clone(), None, 9)).letters;
        assert_eq!(found.iter().map(|own| own.id.as_str()).collect::<Vec<_>>(), ["m1"]);
        assert_eq!(world.wait(world.store.purge(filter, 9, world.now)).len(), 1);
        assert_eq!(world.dead().len(), 2);
    });
}

#[test]
fn a_requeue_goes_on_behind_those_it_could_not_send() {
    with_each_store(|world| {
        let (a, b) = (world.session("u", "tab", "c"), world.session("v", "tab", "d"));
        for n in 0..2 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            die(world, a, seq, Reason::TimedOut);
            die(world, b, seq, Reason::TimedOut);
        }
        world.end(a);
        let requeue = |after| {
            let filter = DeadFilter { after, ..all() };
            world.wait(world.store.requeue(filter, Target::SameSubscriber, 2, world.now))
        };
        let first = requeue(None);
        assert_eq!((first.letters, first.refused.len(), first.more), (1, 1, true));
        let second = requeue(first.last);
        assert_eq!((second.letters, second.refused.len(), second.more), (1, 1, false));
    });
}

#[test]
fn what_was_spent_on_a_pair_is_told_with_it_and_begins_anew_when_it_is_sent_again() {
    with_each_store(|world| {
        let (a, b) = (world.session("u", "tab", "c"), world.session("v", "tab", "d"));
        let seq = world.publish("m1", Audience::all()).seq;
        let spent = Spent { attempts: 3, repeats: 2, failures: 1 };
        let attempt = Attempt { at: world.now, error: "no answer".into() };
        world.wait(world.store.note_attempt(seq, a, attempt, spent));
        assert_eq!(world.owed(a)[0].spent, spent);
        assert_eq!(world.owed(b)[0].spent, Spent::default(), "nobody else's");
        world.settle(a, seq, Outcome::Dead(Reason::TimedOut));
        world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        assert_eq!(world.owed(a)[0].spent, Spent::default());
    });
}

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
        let of = |id: &str| DeadFilter { id: Some(MessageId::from(id)), ..all() };
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
