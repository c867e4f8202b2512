//! Nothing grows without a bound, and one tenant's bound is nobody else's.

use super::world::{content, message, small, with_each};
use crate::model::{Audience, Tenant};
use crate::store::{Config, NewMessage, Outcome, Reason, Refusal, RefusedBy};

fn of(tenant: &str, id: &str) -> NewMessage {
    NewMessage { tenant: Tenant::from(tenant), ..message(id, Audience::all()) }
}

#[test]
fn a_tenant_with_too_much_pending_is_refused_and_nobody_else() {
    with_each(&Config { pending_per_tenant_max: 2, pending_max: 3, ..small() }, |world| {
        let a = world.stock("u", "c");
        world.publish_message(of("t1", "m1"));
        world.publish_message(of("t1", "m2"));
        let full = Refusal::PendingFull { by: RefusedBy::Tenant, limit: 2 };
        assert_eq!(world.refused(of("t1", "m3")), full);
        world.publish_message(of("t2", "m3"));
        let full = Refusal::PendingFull { by: RefusedBy::Total, limit: 3 };
        assert_eq!(world.refused(of("t2", "m4")), full);
        world.ack(a, "m1");
        world.publish_message(of("t1", "m4"));
    });
}

#[test]
fn a_tenant_with_too_many_dead_letters_is_refused_and_nobody_else() {
    with_each(&Config { dead_letters_per_tenant_max: 1, ..small() }, |world| {
        let a = world.stock("u", "c");
        let first = world.publish_message(of("t1", "m1")).seq;
        let second = world.publish_message(of("t1", "m2")).seq;
        world.settle(a, first, Outcome::Dead(Reason::Nacked));
        let full = Refusal::DeadLettersFull { by: RefusedBy::Tenant, limit: 1 };
        assert_eq!(world.refused(of("t1", "m3")), full);
        world.publish_message(of("t2", "m3"));
        world.settle(a, second, Outcome::Dead(Reason::Nacked));
        assert_eq!(world.dead().len(), 2, "room was reserved when it was accepted");
        world.wait(world.store.purge(Default::default(), 9, world.now));
        world.publish_message(of("t1", "m3"));
    });
}

#[test]
fn a_tenant_with_too_many_bytes_is_refused() {
    with_each(&Config { mib_per_tenant_max: 1, ..small() }, |world| {
        let a = world.stock("u", "c");
        let large = content(&format!("[\"{}\"]", "x".repeat(600_000)));
        let large = |id: &str| NewMessage { content: large.clone(), ..of("t1", id) };
        world.publish_message(large("m1"));
        let full = Refusal::BytesFull { by: RefusedBy::Tenant, limit: 1_048_576 };
        assert_eq!(world.refused(large("m2")), full);
        world.ack(a, "m1");
        world.publish_message(large("m2"));
    });
}

#[test]
fn young_message_ids_are_never_forgotten_and_older_ones_make_room() {
    with_each(&Config { idempotency_keys_max: 2, ..small() }, |world| {
        world.publish_message(of("t", "m1"));
        world.publish_message(of("t", "m2"));
        world.pass(599);
        let full = Refusal::IdempotencyFull { limit: 2 };
        assert_eq!(world.refused(of("t", "m3")), full);
        world.pass(1);
        world.publish_message(of("t", "m3"));
        let stats = world.stats();
        assert_eq!((stats.keys, stats.totals.keys_forgotten), (2, 1));
    });
}

#[test]
fn the_oldest_receipts_go_when_there_are_too_many() {
    with_each(&Config { receipts_max: 2, ..small() }, |world| {
        for n in 0..4 {
            world.publish_message(NewMessage {
                tenant: super::world::tenant(),
                ..of("t", &format!("m{n}"))
            });
        }
        world.sweep();
        assert_eq!(world.receipt("m1"), None);
        assert!(world.receipt("m2").is_some());
        assert_eq!(world.stats().totals.receipts_forgotten, 2);
    });
}
