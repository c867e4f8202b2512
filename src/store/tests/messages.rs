//! Messages: taken in once, owed to everybody in the audience, settled once.

use super::world::{content, group, message, small, tenant, with_each, with_each_store};
use crate::model::{Audience, ConnectionId, MessageId, Tenant};
use crate::store::{
    Acceptance, Config, MessageSeq, NewMessage, Outcome, PairStatus, Reason, Receipt, Refusal,
    Which,
};
use std::time::Duration;

#[test]
fn everybody_in_the_audience_is_owed_the_message_once() {
    with_each_store(|world| {
        let (a, b, c) =
            (world.stock("u1", "c1"), world.session("u2", "x", "c2"), world.stock("u3", "c3"));
        for group in ["g", "h"] {
            world.join(a, group);
            world.join(b, group);
        }
        let groups = Audience::Groups(vec!["g".into(), "h".into()]);
        assert_eq!(world.publish("m1", groups).subscribers, [a, b]);
        let but = Audience::All { except: vec![ConnectionId::from("c2")] };
        assert_eq!(world.publish("m2", but).subscribers, [a, c]);
        assert_eq!(world.publish("m3", Audience::User("u3".into())).subscribers, [c]);
        let one = Audience::Connection(ConnectionId::from("c2"));
        assert_eq!(world.publish("m4", one).subscribers, [b]);
        assert_eq!(world.owed_ids(a), ["m1", "m2"]);
        assert_eq!(world.owed_ids(b), ["m1", "m4"]);
        assert_eq!(world.owed_ids(c), ["m2", "m3"]);
        assert_eq!(world.stats().pairs.pending, 6);
    });
}

#[test]
fn who_joins_later_owes_nothing() {
    with_each_store(|world| {
        let early = world.stock("u1", "c1");
        world.join(early, "g");
        world.publish("m1", group("g"));
        let late = world.stock("u2", "c2");
        world.join(late, "g");
        assert_eq!(world.owed_ids(late), [""; 0]);
        assert_eq!(world.owed_ids(early), ["m1"]);
    });
}

#[test]
fn what_is_owed_says_everything_that_was_published() {
    with_each(&Config { inline_bytes_max: 16, ..small() }, |world| {
        let a = world.stock("u", "c");
        let long = format!("[\"{}\"]", "x".repeat(5_000));
        let new = NewMessage {
            critical: true,
            expires_at: Some(world.now.after(Duration::from_secs(9))),
            content: content(&long),
            ..message("m1", Audience::all())
        };
        let seq = world.publish_message(new.clone()).seq;
        let owed = world.owed(a).remove(0);
        assert_eq!((owed.seq, &owed.id, &owed.tenant), (seq, &new.id, &new.tenant));
        assert_eq!((owed.critical, owed.expires_at), (true, new.expires_at));
        assert_eq!((owed.accepted_at, &owed.audience), (world.now, &new.audience));
        assert_eq!(owed.content, new.content);
        assert_eq!(world.wait(world.store.message(seq)).unwrap(), owed);
    });
}

#[test]
fn owed_messages_come_in_order_of_acceptance_and_in_pages() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let seqs: Vec<MessageSeq> =
            (0..5).map(|n| world.publish(&format!("m{n}"), Audience::all()).seq).collect();
        assert!(seqs.is_sorted());
        let page = world.wait(world.store.owed(a, Some(seqs[1]), 2)).owed;
        assert_eq!(page.iter().map(|owed| owed.seq).collect::<Vec<_>>(), seqs[2..4]);
        assert_eq!(world.wait(world.store.owed_count(a)), 5);
    });
}

#[test]
fn the_same_message_again_changes_nothing_and_another_body_is_refused() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let first = world.publish("m1", Audience::all());
        let accepted_at = world.now;
        world.pass(60);
        world.ack(a, "m1");
        let again = world.offer(message("m1", Audience::all()));
        assert_eq!(again, Acceptance::Duplicate { seq: first.seq, targeted: 1, accepted_at });
        let other = NewMessage { body_hash: [8; 16], ..message("m1", Audience::all()) };
        assert_eq!(world.refused(other), Refusal::IdReused);
        let of_another = NewMessage { tenant: Tenant::from("x"), ..message("m1", Audience::all()) };
        assert_eq!(world.publish_message(of_another).subscribers, [a]);
        world.pass(86_400);
        world.publish("m1", Audience::all());
        assert_eq!(world.stats().messages_accepted, 3);
    });
}

#[test]
fn a_message_for_nobody_is_settled_at_once_or_refused() {
    with_each_store(|world| {
        assert!(world.publish("m1", group("g")).subscribers.is_empty());
        let wanted = NewMessage { require_audience: true, ..message("m2", group("g")) };
        assert_eq!(world.refused(wanted), Refusal::Nobody);
        let stats = world.stats();
        assert_eq!((stats.messages_settled, stats.totals.nobody, stats.bytes), (1, 1, 0));
        assert_eq!(world.receipt("m1").unwrap().settled_at, Some(world.now));
    });
}

#[test]
fn a_pair_ends_once_and_the_last_one_tells_what_became_of_the_message() {
    with_each_store(|world| {
        let (a, b) = (world.stock("u1", "c1"), world.stock("u2", "c2"));
        let seq = world.publish("m1", Audience::all()).seq;
        let first = world.ack(a, "m1");
        assert_eq!((first[0].status, first[0].message), (PairStatus::Acknowledged, None));
        assert_eq!(world.ack(a, "m1"), []);
        assert_eq!(world.settle(a, seq, Outcome::Expired), []);
        assert_eq!(world.settle(a, MessageSeq(99), Outcome::Acknowledged), []);
        let last = world.settle(b, seq, Outcome::Unconfirmed).remove(0);
        let counts = last.message.unwrap();
        assert_eq!((counts.acknowledged, counts.unconfirmed, counts.pending), (1, 1, 0));
        assert_eq!(world.status(a, "m1"), Some(PairStatus::Acknowledged));
        assert_eq!(world.status(b, "m1"), Some(PairStatus::Unconfirmed));
        let stats = world.stats();
        assert_eq!((stats.messages_settled, stats.pairs.pending, stats.bytes), (1, 0, 0));
    });
}

#[test]
fn the_acks_of_somebody_else_do_no_harm() {
    with_each_store(|world| {
        let (a, b) = (world.stock("u1", "c1"), world.stock("u2", "c2"));
        world.publish("m1", Audience::User("u1".into()));
        assert_eq!(world.ack(b, "m1"), []);
        assert_eq!(world.status(b, "m1"), None);
        assert_eq!(world.owed_ids(a), ["m1"]);
    });
}

#[test]
fn what_has_expired_is_owed_no_more_and_is_no_dead_letter() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        let expires_at = Some(world.now.after(Duration::from_secs(10)));
        world.publish_message(NewMessage { expires_at, ..message("m1", Audience::all()) });
        assert_eq!(world.wait(world.store.next_due()), expires_at);
        world.pass(9);
        assert_eq!(world.sweep().ended, []);
        world.pass(1);
        let ended = world.sweep().ended.remove(0);
        assert_eq!((ended.subscriber, ended.status), (a, PairStatus::Expired));
        assert_eq!(ended.message.unwrap().expired, 1);
        assert_eq!(world.owed_ids(a), [""; 0]);
        assert!(world.dead().is_empty());
        assert_eq!(world.stats().pairs.expired, 1);
    });
}

#[test]
fn what_is_owed_for_a_day_becomes_a_dead_letter() {
    with_each_store(|world| {
        world.stock("u", "c");
        world.publish("m1", Audience::all());
        world.pass(86_400);
        assert_eq!(world.sweep().ended[0].reason, Some(Reason::TooOld));
        assert_eq!(world.dead()[0].reason, Reason::TooOld);
        world.stats();
    });
}

#[test]
fn a_receipt_is_kept_for_an_hour_after_everything_is_settled() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        world.publish("m1", Audience::all());
        world.pass(7_200);
        world.sweep();
        let receipt = world.receipt("m1").unwrap();
        assert_eq!((receipt.counts.pending, receipt.settled_at), (1, None));
        assert_eq!(receipt.pairs[0].subscriber, a);
        world.ack(a, "m1");
        world.pass(3_599);
        world.sweep();
        assert_eq!(world.receipt("m1").unwrap().counts.acknowledged, 1);
        world.pass(1);
        world.sweep();
        assert_eq!(world.receipt("m1"), None);
        let other = world.wait(world.store.receipts(MessageId::from("m1"), None));
        assert_eq!(other, []);
        world.stats();
    });
}

#[test]
fn a_large_audience_has_counts_but_no_pairs_in_its_receipt() {
    with_each_store(|world| {
        for n in 0..101 {
            world.stock("u", &format!("c{n}"));
        }
        world.publish("m1", Audience::all());
        let receipt = world.receipt("m1").unwrap();
        assert_eq!((receipt.counts.pending, receipt.pairs.len()), (101, 0));
    });
}

#[test]
fn a_message_that_nobody_waited_for_is_handed_over_by_the_next_sweep() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        drop(world.store.accept(message("m1", Audience::all()), world.now));
        world.publish("m2", Audience::all());
        let unheard = world.sweep().unheard;
        assert_eq!((unheard.len(), &unheard[0].subscribers[..]), (1, &[a][..]));
        assert_eq!(world.owed(a)[0].id.as_str(), "m1");
        assert_eq!(world.sweep().unheard, []);
    });
}

#[test]
fn the_last_snapshot_of_a_task_is_kept_while_there_is_room() {
    with_each(&Config { snapshots_max: 2, ..small() }, |world| {
        let put = |world: &mut super::world::World, task: &str, text: &'static str| {
            world.pass(1);
            world.wait(world.store.put_snapshot(task.into(), text.into(), world.now))
        };
        assert!(put(world, "t1", "a") && put(world, "t1", "b") && put(world, "t2", "c"));
        assert_eq!(world.wait(world.store.snapshot("t1".into())).unwrap(), "b");
        put(world, "t3", "d");
        assert_eq!(world.wait(world.store.snapshot("t1".into())), None);
        let large = vec![0; 17 * 1_048_576].into();
        assert!(!world.wait(world.store.put_snapshot("t4".into(), large, world.now)));
        assert_eq!(tenant().as_str(), "billing");
    });
}

#[test]
fn bookmarks_have_a_room_of_their_own() {
    with_each(&Config { snapshots_max: 2, ..small() }, |world| {
        let place = world.now;
        world.wait(world.store.keep_bookmark("billing".into(), place));
        for n in 0..4 {
            let task = format!("t{n}").as_str().into();
            world.wait(world.store.put_snapshot(task, "x".into(), world.now));
        }
        assert_eq!(world.wait(world.store.bookmark("billing".into())), Some(place));
        assert_eq!(world.wait(world.store.bookmark("other".into())), None);
        world.pass(1);
        for n in 0..1_001 {
            let reader = format!("reader{n}").as_str().into();
            world.wait(world.store.keep_bookmark(reader, world.now));
        }
        assert_eq!(world.wait(world.store.bookmark("billing".into())), None, "the last one goes");
    });
}

#[test]
fn settled_messages_are_told_in_order_of_settlement_and_those_that_expired_apart() {
    with_each_store(|world| {
        let a = world.stock("u", "c");
        for id in ["m1", "m2", "m3"] {
            let expires_at = (id == "m3").then(|| world.now.after(Duration::from_secs(60)));
            world.publish_message(NewMessage { expires_at, ..message(id, Audience::all()) });
        }
        let start = world.now;
        world.ack(a, "m2");
        world.pass(1);
        let later = world.now;
        world.ack(a, "m1");
        world.pass(60);
        world.sweep();
        let ids = |receipts: Vec<Receipt>| -> Vec<String> {
            receipts.iter().map(|own| own.id.to_string()).collect()
        };
        let since =
            |moment, after, limit| world.wait(world.store.settled_since(moment, after, limit));
        assert_eq!(ids(since(start, None, 9)), ["m2", "m1", "m3"]);
        assert_eq!(ids(since(later, None, 1)), ["m1"]);
        let first = since(start, None, 1).remove(0);
        assert_eq!(ids(since(start, Some(first.seq), 9)), ["m1", "m3"]);
        assert_eq!(ids(world.wait(world.store.expired(9))), ["m3"]);
    });
}

#[test]
fn what_has_expired_before_the_sweep_has_seen_it_does_not_die_any_more() {
    with_each_store(|world| {
        let subscribers: Vec<_> =
            (0..4).map(|n| world.session("u", &format!("tab{n}"), &format!("c{n}"))).collect();
        world.join(subscribers[2], "g");
        let expires_at = Some(world.now.after(Duration::from_millis(500)));
        let own = |id, audience| NewMessage { expires_at, ..message(id, audience) };
        let seq = world.publish_message(own("m1", Audience::all())).seq;
        world.publish_message(own("m2", group("g")));
        world.pass(1);
        let timed_out = world.settle(subscribers[0], seq, Outcome::Dead(Reason::TimedOut));
        let gone = world.end(subscribers[1]);
        let revoked = world.revoke(subscribers[2], "g");
        assert_eq!((timed_out.len(), gone.len(), revoked.len()), (1, 1, 2));
        for ended in timed_out.iter().chain(&gone).chain(&revoked) {
            assert_eq!((ended.status, ended.reason), (PairStatus::Expired, None));
        }
        assert_eq!(world.ack(subscribers[3], "m1").len(), 1, "a yes still counts");
        let stats = world.stats();
        assert_eq!((stats.pairs.expired, stats.pairs.dead, stats.messages_open), (4, 0, 0));
    });
}

#[test]
fn two_messages_of_one_id_are_told_apart_by_their_places() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c");
        let of = |tenant: &str| NewMessage {
            tenant: Tenant::from(tenant),
            ..message("m", Audience::all())
        };
        let first = world.publish_message(of("t1"));
        let second = world.publish_message(of("t2"));
        let elsewhere = NewMessage { hub: "other".into(), ..of("t3") };
        assert!(!world.publish_message(elsewhere).is_namesake, "on another hub nobody is confused");
        assert_eq!((first.is_namesake, second.is_namesake), (false, true));
        let owed = world.owed(a);
        assert_eq!((owed[0].is_namesake, owed[1].is_namesake), (false, true));
        assert_eq!(world.ack(a, "m")[0].seq, first.seq);
        assert_eq!(world.ack(a, "m"), [], "once more is nothing, and not the other one");
        assert_eq!(world.owed(a)[0].seq, second.seq);
        assert_eq!(world.status(a, "m"), Some(PairStatus::Acknowledged));
        let by_place = Which::Seq(second.seq);
        assert_eq!(world.wait(world.store.status(a, by_place)), Some(PairStatus::Owed));
        world.settle(a, second.seq, Outcome::Dead(Reason::Nacked));
        assert_eq!(world.ack(a, "m"), [], "nor the dead letter of the other one");
        // When both are forgotten, the id is free.
        world.wait(world.store.purge(Default::default(), 9, world.now));
        world.pass(90_000);
        world.sweep();
        assert!(!world.publish_message(of("t2")).is_namesake);
    });
}
