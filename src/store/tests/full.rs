//! Whatever a write says for want of room, it is a full disk: not one that fails.

use std::io::ErrorKind;

use super::disk::SimulatedDisk;
use super::world::{World, message, small};
use crate::model::Audience;
use crate::store::{Config, PairStatus, StoreError};

#[test]
fn no_room_for_a_user_or_in_a_file_is_a_full_disk_until_there_is_some() {
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
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
