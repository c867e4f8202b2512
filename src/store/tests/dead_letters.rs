//! Dead letters: kept with everything that is known, sent again, thrown away, all counted.

use std::sync::Arc;

use super::world::{World, content, message, metrics, small, with_each, with_each_store};
use crate::model::{Audience, HubName, MessageId, Tenant};
use crate::store::{
    Attempt, BadRequeue, Config, DeadFilter, DeadKey, LocalStore, MessageSeq, NewMessage, Outcome,
    PairStatus, Reason, Settle, Spent, SubscriberId, Target, Which,
};

pub(super) fn die(world: &World, subscriber: SubscriberId, seq: MessageSeq, reason: Reason) {
    let at = world.now;
    let attempt = Attempt { at, error: "no answer".into() };
    world.wait(world.store.note_attempts(subscriber, vec![(seq, attempt, Spent::default())]));
    assert_eq!(world.settle(subscriber, seq, Outcome::Dead(reason)).len(), 1);
}

pub(super) fn all() -> DeadFilter {
    DeadFilter::default()
}

#[test]
fn a_dead_letter_knows_its_message_its_reason_and_every_attempt() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let seq = world.publish("m1", Audience::all()).seq;
        die(world, a, seq, Reason::Nacked);
        let whole = world.whole_letters().remove(0);
        let dead = world.dead().remove(0);
        assert_eq!((&whole.letter, &*dead.target), (&dead, "News"));
        assert_eq!(dead.key, DeadKey { seq, subscriber: a });
        assert_eq!((dead.reason, dead.died_at), (Reason::Nacked, world.now));
        assert_eq!(&*dead.attempts[0].error, "no answer");
        assert_eq!(&whole.content.arguments[..], b"[\"m1\"]");
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
        let one = DeadFilter { ids: Some(["m1".into()].into()), ..all() };
        assert_eq!(found(one).letters.len(), 2);
        assert_eq!(found(DeadFilter { hub: Some(HubName::from("x")), ..all() }).letters.len(), 0);
        let tenant = Some(Tenant::from("billing"));
        assert_eq!(found(DeadFilter { tenant, ..all() }).letters.len(), 6);
        let pages = world.dead_in_pages(&all(), 4);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    });
}

#[test]
fn letters_of_listed_messages_come_in_order_of_acceptance_whatever_the_order_of_the_list() {
    with_each_store(|world| {
        let (a, b) = (world.stock("u", "c1"), world.stock("v", "c2"));
        for n in 0..4 {
            let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
            die(world, a, seq, Reason::TimedOut);
            die(world, b, seq, Reason::Nacked);
        }
        let ids = ["m2", "nosuch", "m0", "m2"].map(MessageId::from);
        let filter = DeadFilter { ids: Some(ids.into()), ..all() };
        let letters = world.dead_in_pages(&filter, 1).into_iter().flatten();
        let found: Vec<_> = letters.map(|own| (own.id.to_string(), own.key.subscriber)).collect();
        let expected = [("m0", a), ("m0", b), ("m2", a), ("m2", b)];
        assert_eq!(found, expected.map(|(id, own)| (id.to_owned(), own)));
        let (after, subscriber) = (Some(DeadKey { seq: MessageSeq(9), subscriber: b }), Some(a));
        let behind = DeadFilter { after, ..filter.clone() };
        assert!(world.wait(world.store.dead_letters(behind, None, 9)).letters.is_empty());
        let narrowed = DeadFilter { subscriber, ..filter };
        assert_eq!(world.wait(world.store.purge(narrowed, 9, world.now)).len(), 2);
    });
}

#[test]
fn letters_of_listed_messages_are_found_without_a_look_at_any_other() {
    let store = Arc::new(LocalStore::in_memory(small(), metrics()));
    let world = World::of(store.clone(), None, small());
    let (a, b) = (world.stock("u", "c1"), world.stock("v", "c2"));
    for n in 0..50 {
        let seq = world.publish(&format!("m{n}"), Audience::all()).seq;
        die(&world, a, seq, Reason::TimedOut);
        die(&world, b, seq, Reason::Nacked);
    }
    let looked_at = |filter: &DeadFilter| {
        let ledger = store.shared.ledger.lock();
        ledger.candidates(filter, None).count()
    };
    let listed = |ids: &[&str]| DeadFilter {
        ids: Some(ids.iter().map(|id| MessageId::from(*id)).collect()),
        ..all()
    };
    assert_eq!(looked_at(&all()), 100);
    assert_eq!(looked_at(&listed(&["m7"])), 2);
    assert_eq!(looked_at(&listed(&["m7", "nosuch", "m49", "m7"])), 4);
    assert_eq!(looked_at(&listed(&["nosuch"])), 0);
    let (after, same) = (Some(DeadKey { seq: MessageSeq(40), subscriber: b }), all());
    assert_eq!(looked_at(&DeadFilter { after, ..same }), 20, "a page begins where one ended");
    assert_eq!(looked_at(&DeadFilter { after, ..listed(&["m7", "m49"]) }), 2);
}

/// 20 letters of one message of a megabyte are not 20 megabytes in memory, and their answer has an
/// end.
#[test]
fn letters_of_one_message_share_what_they_say_and_a_page_of_them_ends_at_8_mib() {
    let (subscribers, megabyte) = (20, 1_048_576);
    with_each_store(|world| {
        let all: Vec<_> = (0..subscribers).map(|n| world.stock("u", &format!("c{n}"))).collect();
        let text = format!("[\"{}\"]", "x".repeat(megabyte));
        let large = NewMessage { content: content(&text), ..message("m", Audience::all()) };
        let seq = world.publish_message(large).seq;
        let dying = all.iter().map(|&subscriber| Settle {
            subscriber,
            message: Which::Seq(seq),
            outcome: Outcome::Dead(Reason::TimedOut),
        });
        world.wait(world.store.settle(dying.collect(), world.now));
        let pages = world.pages_of_letters();
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 6]);
        for page in pages {
            let place = page[0].content.arguments.as_ptr();
            assert!(page.iter().all(|own| own.content.arguments.as_ptr() == place), "one copy");
            assert_eq!(page[0].content.arguments.len(), megabyte + 4);
        }
        assert_eq!(world.dead().len(), subscribers, "a list has them all");
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
fn letters_that_go_to_the_current_audience_in_parts_are_all_done_with() {
    with_each_store(|world| {
        let sessions = (0..5).map(|n| world.session("u", &format!("tab{n}"), &format!("c{n}")));
        let gone: Vec<_> = sessions.collect();
        world.publish("m", Audience::all());
        gone.into_iter().for_each(|own| _ = world.end(own));
        let there = world.stock("w", "w");
        let (mut after, mut sums) = (None, (0, 0, 0, 0));
        loop {
            let filter = DeadFilter { after, ..all() };
            let asked = world.store.requeue(filter, Target::CurrentAudience, 2, world.now);
            let part = world.wait(asked);
            sums.0 += part.letters;
            sums.1 += part.owed.len();
            sums.2 += part.ended.len();
            sums.3 += part.refused.len();
            after = part.last;
            if !part.more {
                break;
            }
        }
        assert_eq!(sums, (5, 1, 5, 0));
        assert_eq!((world.dead().len(), world.owed_ids(there)), (0, vec!["m".to_owned()]));
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
            world.wait(world.store.note_attempts(a, vec![(seq, attempt, Spent::default())]));
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
        world.wait(world.store.note_attempts(a, vec![(seq, attempt, spent)]));
        assert_eq!(world.owed(a)[0].spent, spent);
        assert_eq!(world.owed(b)[0].spent, Spent::default(), "nobody else's");
        world.settle(a, seq, Outcome::Dead(Reason::TimedOut));
        world.wait(world.store.requeue(all(), Target::SameSubscriber, 9, world.now));
        assert_eq!(world.owed(a)[0].spent, Spent::default());
    });
}
