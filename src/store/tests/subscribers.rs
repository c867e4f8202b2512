//! Subscribers: who is there, who is away, who takes over.

use super::disk::SimulatedDisk;
use super::world::{World, content, group, message, small, with_each, with_each_store};
use crate::model::{Audience, ConnectionId};
use crate::store::{Config, Identity, Joined, PairStatus, Reason};

#[test]
fn a_session_comes_back_with_its_groups_and_what_it_is_owed() {
    with_each_store(|world| {
        let first = world.open("u", Some("tab"), "c1");
        assert!(first.session && first.is_new);
        world.join(first.subscriber, "g");
        world.lose(first.subscriber, "c1");
        world.publish("m1", group("g"));
        world.pass(119);
        assert_eq!(world.sweep().ended, []);
        let back = world.open("u", Some("tab"), "c2");
        assert_eq!(back.subscriber, first.subscriber);
        assert_eq!((back.is_new, back.replaced.is_some(), back.owed), (false, false, 1));
        assert_eq!(back.groups, ["g".into()]);
        world.pass(1_000);
        assert_eq!(world.sweep().ended, []);
        assert_eq!(world.publish("m2", group("g")).subscribers, [first.subscriber]);
    });
}

#[test]
fn a_second_connection_replaces_the_first_whose_loss_then_means_nothing() {
    with_each_store(|world| {
        let first = world.open("u", Some("tab"), "c1");
        let second = world.open("u", Some("tab"), "c2");
        assert_eq!(second.replaced, Some(ConnectionId::from("c1")));
        assert_eq!(second.subscriber, first.subscriber);
        world.lose(first.subscriber, "c1");
        world.pass(121);
        assert_eq!(world.sweep().ended, []);
        let audience = Audience::Connection(ConnectionId::from("c2"));
        assert_eq!(world.publish("m", audience).subscribers, [first.subscriber]);
        let audience = Audience::Connection(ConnectionId::from("c1"));
        assert!(world.publish("n", audience).subscribers.is_empty());
    });
}

#[test]
fn one_caller_cannot_take_the_session_of_another() {
    with_each_store(|world| {
        let own = world.open("u1", Some("tab"), "c1");
        let other = world.open("u2", Some("tab"), "c2");
        assert!(other.is_new);
        assert_ne!(own.subscriber, other.subscriber);
    });
}

#[test]
fn who_does_not_come_back_in_time_leaves_dead_letters() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c1");
        world.publish("m1", Audience::all());
        world.lose(a, "c1");
        world.pass(120);
        let ended = world.sweep().ended.remove(0);
        assert_eq!((ended.status, ended.reason), (PairStatus::Dead, Some(Reason::SubscriberGone)));
        assert!(ended.message.is_some());
        let dead = world.dead().remove(0);
        assert_eq!((dead.key.subscriber, dead.reason), (a, Reason::SubscriberGone));
        assert!(world.open("u", Some("tab"), "c2").is_new);
        assert!(world.publish("m2", Audience::User("v".into())).subscribers.is_empty());
        world.stats();
    });
}

#[test]
fn who_ends_is_owed_nothing_more() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c1");
        world.publish("m1", Audience::all());
        assert_eq!(world.end(a)[0].reason, Some(Reason::SubscriberGone));
        assert_eq!(world.end(a), []);
        assert!(world.publish("m2", Audience::all()).subscribers.is_empty());
        assert_eq!(world.join(a, "g"), Joined::Gone);
    });
}

#[test]
fn a_revoked_group_takes_what_was_owed_through_it_and_nothing_else() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c1");
        world.join(a, "g");
        world.join(a, "h");
        world.publish("m1", group("g"));
        world.publish("m2", Audience::Groups(vec!["g".into(), "h".into()]));
        world.publish("m3", Audience::all());
        let ended = world.revoke(a, "g");
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].id.as_str(), ended[0].reason), ("m1", Some(Reason::AccessRevoked)));
        assert_eq!(world.owed_ids(a), ["m2", "m3"]);
        assert!(world.publish("m4", group("g")).subscribers.is_empty());
    });
}

#[test]
fn a_stock_client_that_reconnects_and_joins_again_takes_over_what_was_owed() {
    with_each_store(|world| {
        let first = world.stock("u", "c1");
        world.join(first, "g");
        world.publish("m1", group("g"));
        world.publish("m2", Audience::all());
        world.publish("m3", Audience::Connection(ConnectionId::from("c1")));
        world.lose(first, "c1");
        assert!(world.publish("m4", Audience::all()).subscribers.is_empty());
        let other = world.stock("v", "c2");
        assert_eq!(world.owed_ids(other), [""; 0]);
        let second = world.open("u", None, "c3");
        assert_eq!((second.session, second.owed), (false, 1));
        let joined = world.join(second.subscriber, "g");
        assert!(matches!(joined, Joined::Member { adopted } if adopted[0].seqs.len() == 1));
        assert_eq!(world.owed_ids(second.subscriber), ["m1", "m2"]);
        world.pass(120);
        let ended = world.sweep().ended;
        assert_eq!(ended.len(), 1, "nobody is the successor of a connection");
        assert_eq!((ended[0].id.as_str(), ended[0].subscriber), ("m3", first));
        world.ack(second.subscriber, "m1");
        let stats = world.stats();
        assert_eq!((stats.pairs.pending, stats.pairs.dead, stats.totals.targeted), (1, 1, 3));
    });
}

#[test]
fn a_stock_client_may_be_back_before_its_old_connection_is_known_to_be_lost() {
    with_each_store(|world| {
        let first = world.stock("u", "c1");
        world.join(first, "g");
        world.publish("m1", group("g"));
        let second = world.stock("u", "c2");
        world.join(second, "g");
        world.publish("m2", group("g"));
        assert_eq!(world.lose(first, "c1"), [second]);
        assert_eq!(world.owed_ids(second), ["m1", "m2"]);
        world.pass(120);
        let ended = world.sweep().ended;
        assert_eq!(ended.len(), 1, "the second was owed m2 itself");
        assert_eq!((ended[0].id.as_str(), ended[0].subscriber), ("m2", first));
    });
}

#[test]
fn a_lost_stock_client_that_is_owed_nothing_is_forgotten() {
    with_each_store(|world| {
        let a = world.stock("u", "c1");
        world.lose(a, "c1");
        assert_eq!(world.stats().subscribers, 0);
    });
}

#[test]
fn a_caller_with_too_many_sessions_works_without_one() {
    with_each(&Config { sessions_per_caller_max: 1, ..small() }, |world| {
        assert!(world.open("u", Some("tab1"), "c1").session);
        let second = world.open("u", Some("tab2"), "c2");
        assert!(!second.session && second.is_new);
        assert!(world.open("v", Some("tab1"), "c3").session);
        assert_eq!(world.publish("m", Audience::User("u".into())).subscribers.len(), 2);
    });
}

#[test]
fn a_subscriber_is_in_as_many_groups_as_it_may_be() {
    with_each(&Config { groups_per_subscriber_max: 1, ..small() }, |world| {
        let a = world.session("u", "tab", "c1");
        assert_eq!(world.join(a, "g"), Joined::Member { adopted: Vec::new() });
        assert_eq!(world.join(a, "g"), Joined::Member { adopted: Vec::new() });
        assert_eq!(world.join(a, "h"), Joined::TooManyGroups);
        assert!(world.wait(world.store.leave(a, "g".into())));
        assert!(!world.wait(world.store.leave(a, "g".into())));
        assert_eq!(world.join(a, "h"), Joined::Member { adopted: Vec::new() });
    });
}

fn user(name: &str) -> Identity {
    Identity::Named(name.into())
}

fn named(world: &World, id: &str) -> Vec<Option<Identity>> {
    let receipt = world.receipt(id).unwrap();
    receipt.pairs.into_iter().map(|pair| pair.identity).collect()
}

#[test]
fn a_receipt_says_who_it_was_when_they_are_gone() {
    with_each_store(|world| {
        let (a, b) = (world.session("u", "tab", "c"), world.stock("v", "d"));
        world.publish("m", Audience::all());
        world.ack(a, "m");
        world.ack(b, "m");
        world.lose(b, "d");
        world.end(a);
        assert_eq!(world.stats().subscribers, 0);
        assert_eq!(named(world, "m"), [Some(user("u")), Some(user("v"))]);
    });
}

#[test]
fn who_it_was_is_known_until_the_receipt_goes_whatever_becomes_of_the_files() {
    let mut world = World::on(SimulatedDisk::default(), small());
    let (a, b) = (world.session("u", "tab", "c"), world.stock("v", "d"));
    let c = world.session("w", "tab", "e");
    world.publish("m", Audience::all());
    world.ack(a, "m");
    world.ack(b, "m");
    world.ack(c, "m");
    world.end(a);
    for n in 0..60 {
        let id = format!("n{n}");
        let mut long = message(&id, Audience::User("w".into()));
        long.content = content(&format!("[\"{}\"]", "x".repeat(100_000)));
        world.publish_message(long);
        world.ack(c, &id);
    }
    assert!(!world.disk().names().contains(&"0000000001.log".to_owned()));
    world.cut(4);
    world.end(c);
    assert_eq!(named(&world, "m"), [Some(user("u")), Some(user("v")), Some(user("w"))]);
    world.pass(3_601);
    while world.sweep().more {}
    assert_eq!(world.receipt("m"), None);
}

#[test]
fn the_store_says_who_will_not_come_back() {
    with_each_store(|world| {
        let a = world.session("u", "tab", "c1");
        let b = world.open("v", None, "c2").subscriber;
        let gone = |world: &World| world.wait(world.store.gone(vec![a, b]));
        assert_eq!(gone(world), []);
        world.lose(a, "c1");
        world.lose(b, "c2");
        assert_eq!(gone(world), [b], "a session may come back");
        world.pass(121);
        world.sweep();
        assert_eq!(gone(world), [a, b]);
    });
}
