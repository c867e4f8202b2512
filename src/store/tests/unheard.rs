//! What becomes of calls that failed, or whose callers were gone: the next sweep sees to it.

use super::disk::SimulatedDisk;
use super::world::{World, group, hub, small};
use crate::model::Audience;
use crate::store::{
    ClientKey, Config, Identity, Open, Outcome, Reason, SessionKey, Settle, StoreError, Which,
};

fn embedded() -> World {
    World::on(SimulatedDisk::default(), Config { deadline_ms: 5_000, ..small() })
}

/// Nothing can be written until [`heal`], and something waits to be.
fn break_disk(world: &World) {
    world.disk().fail_syncs(u32::MAX);
    let change = world.store.keep_bookmark("reader".into(), world.now);
    assert!(matches!(world.try_wait(change), Err(StoreError::Failing(_))));
}

fn heal(world: &World) {
    world.disk().heal();
    world.accepts_again();
}

#[test]
fn a_session_is_away_at_once_whatever_the_disk_does() {
    let mut world = embedded();
    let a = world.session("u", "tab", "c1");
    world.join(a, "g");
    world.publish("m1", group("g"));
    break_disk(&world);
    assert_eq!(world.lose(a, "c1"), []);
    heal(&world);
    world.pass(121);
    assert_eq!(world.sweep().ended[0].reason, Some(Reason::SubscriberGone));
}

#[test]
fn a_connection_whose_loss_the_store_refused_to_hear_of_ends_nevertheless() {
    let mut world = embedded();
    let (lost, heir) = (world.stock("u", "c1"), world.stock("u", "c2"));
    let lone = world.stock("v", "c3");
    world.join(lost, "g");
    world.publish("m1", group("g"));
    world.join(heir, "g");
    world.join(lone, "h");
    world.publish("m2", group("h"));
    break_disk(&world);
    for (id, connection) in [(lost, "c1"), (lone, "c3")] {
        let away = world.store.away(id, connection.into(), world.now);
        assert!(matches!(world.try_wait(away), Err(StoreError::Failing(_))));
    }
    heal(&world);
    let moved = world.sweep().departed.moved;
    assert_eq!((moved.len(), moved[0].from, moved[0].to), (1, lost, heir));
    assert_eq!(world.owed_ids(heir), ["m1"]);
    world.pass(121);
    let ended = world.sweep().ended;
    assert_eq!((ended.len(), ended[0].reason), (1, Some(Reason::SubscriberGone)));
    assert_eq!(world.stats().subscribers, 1);
}

#[test]
fn a_session_that_nobody_heard_of_ends() {
    let mut world = embedded();
    world.disk().fail_syncs(u32::MAX);
    let identity = Identity::Named("u".into());
    let client = Some(ClientKey::of(&identity, "tab").unwrap());
    let open = Open {
        key: SessionKey { hub: hub(), identity, client },
        connection: "c1".into(),
        caller: "u".into(),
    };
    let failed = world.try_wait(world.store.open(open, world.now));
    assert!(matches!(failed, Err(StoreError::Failing(_))), "{failed:?}");
    heal(&world);
    assert_eq!(world.stats().subscribers, 1, "it is known");
    world.sweep();
    world.pass(121);
    world.sweep();
    assert_eq!(world.stats().subscribers, 0);
}

#[test]
fn an_end_that_was_made_and_could_not_be_told_is_told_by_a_sweep() {
    let world = embedded();
    let a = world.session("u", "tab", "c1");
    for id in ["m1", "m2"] {
        world.publish(id, Audience::all());
    }
    world.disk().fail_syncs(u32::MAX);
    let settle = |id: &str| Settle {
        subscriber: a,
        message: Which::Id(id.into()),
        outcome: Outcome::Acknowledged,
    };
    let failed = world.try_wait(world.store.settle(vec![settle("m1")], world.now));
    assert!(matches!(failed, Err(StoreError::Failing(_))), "{failed:?}");
    heal(&world);
    assert_eq!(world.ack(a, "m1"), [], "it had ended");
    drop(world.store.settle(vec![settle("m2")], world.now));
    let ended: Vec<_> = (0..2).flat_map(|_| world.sweep().ended).collect();
    assert_eq!(ended.iter().map(|ended| ended.id.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    assert_eq!(world.sweep().ended, [], "once");
}
