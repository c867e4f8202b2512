//! Files of other versions: read, or left alone with a word about it; never called damaged.

use std::sync::Arc;

use super::disk::SimulatedDisk;
use super::world::{World, metrics, small};
use crate::model::{Audience, MessageId};
use crate::store::dead_letter::{Attempt, Spent};
use crate::store::disk::Disk;
use crate::store::message::PairStatus;
use crate::store::names::{Identity, MessageSeq, Moment, SubscriberId};
use crate::store::record::{
    DeadRecord, LAYOUT, MessageRecord, ReceiptRecord, Record, Tried, decode, encode,
};
use crate::store::{Counts, DeadFilter, LocalStore, OpenError, Reason, Store, StoreError};

/// A log as the last build wrote it that had layout 1: `good` acknowledged, `bad` dead after two
/// nacks, `late` expired, `open` owed after one attempt.
const LAYOUT_1: &[u8] = include_bytes!("../../../tests/vectors/store/layout-1.log");
/// When that was.
const THEN: Moment = Moment(1_795_534_135_000);
const FIRST: &str = "0000000001.log";
const SECOND: &str = "0000000002.log";

fn disk_with(bytes: &[u8]) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let file = Disk::open(&disk, FIRST).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    Disk::sync(&disk).unwrap();
    disk
}

fn open(disk: &SimulatedDisk) -> Result<LocalStore, OpenError> {
    LocalStore::open_on(Arc::new(disk.clone()), small(), metrics(), THEN)
}

/// Where the record ends that begins there.
fn end_of(log: &[u8], at: usize) -> usize {
    at + 26 + u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize
}

/// Where the nth record begins.
fn start_of(log: &[u8], nth: usize) -> usize {
    (0..nth).fold(0, |at, _| end_of(log, at))
}

/// The log with the layout of its nth record changed, checksum and all.
fn with_layout(log: &[u8], nth: usize, layout: u8) -> Vec<u8> {
    let mut bytes = log.to_vec();
    let at = start_of(log, nth);
    let end = end_of(log, at);
    bytes[at + 21] = layout;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[at..at + 22]);
    sum.update(&bytes[at + 26..end]);
    bytes[at + 22..at + 26].copy_from_slice(&sum.finalize().to_le_bytes());
    bytes
}

#[test]
fn a_log_of_the_layout_before_is_read_as_it_was_written() {
    let mut world = World::on(SimulatedDisk::default(), small());
    world.now = THEN;
    world.begin_again(disk_with(LAYOUT_1));
    for new in ["new-1", "new-2"] {
        assert!(world.store.health().is_good(), "{:?}", world.store.health());
        let letters = world.wait(world.store.dead_letters(DeadFilter::default(), None, 9)).letters;
        let bad = &letters[0];
        assert_eq!((letters.len(), bad.id.as_str(), bad.reason), (1, "bad", Reason::Nacked));
        assert_eq!((bad.attempts_made(), bad.attempts_left_out), (2, 0));
        assert_eq!(&*bad.attempts[1].error, "Error: boom");
        let owed = world.owed(SubscriberId(1));
        assert_eq!((owed[0].id.as_str(), owed[0].spent.attempts), ("open", 2));
        let counts = |id: &str| world.wait(world.store.receipts(id.into(), None))[0].counts;
        assert_eq!((counts("good").acknowledged, counts("late").expired), (1, 1));
        // What is written now has the newest layout.
        world.publish(new, Audience::all());
        world.restart();
    }
}

/// A record with everything that layout 2 added, and its bytes without that.
fn both_layouts(record: &Record, added: usize) -> (u8, Vec<u8>, Vec<u8>) {
    let mut new = Vec::new();
    let kind = encode(record, &mut new);
    let mark = MARK.to_le_bytes();
    let mut old = new.clone();
    let mut found = 0;
    while let Some(at) = old.windows(4).position(|own| own == mark) {
        old.drain(at..at + 4);
        found += 1;
    }
    assert_eq!(found, added);
    (kind, new, old)
}

const MARK: u32 = 0xa1b2_c3d4;

fn kept(count: u32) -> Record {
    let attempts = vec![Attempt { at: Moment(5), error: "no".into() }];
    let spent = Spent { attempts: 3, repeats: 2, failures: 1 };
    let tried = Tried { spent, left_out: count, attempts: attempts.clone() };
    let (identity, reason, at) = (Identity::Anonymous, Reason::Nacked, Moment(6));
    let dead = DeadRecord { identity, reason, left_out: count, at, attempts };
    let (a, b) = (SubscriberId(1), SubscriberId(2));
    Record::Kept(Box::new(MessageRecord {
        seq: MessageSeq(7),
        id: MessageId::from("m"),
        tenant: "t".into(),
        hub: "h".into(),
        audience: Audience::all(),
        priority: crate::model::Priority::default(),
        critical: true,
        accepted_at: Moment(1),
        age_from: Moment(2),
        settled_at: None,
        expires_at: Some(Moment(9)),
        body_hash: [3; 16],
        content: super::world::content("[]"),
        pairs: vec![(a, PairStatus::Owed), (b, PairStatus::Dead)],
        dead: vec![(b, dead)],
        tried: vec![(a, tried)],
        is_namesake: false,
        tries_of_expired: count,
    }))
}

fn receipt(count: u32) -> Record {
    Record::Receipt(Box::new(ReceiptRecord {
        seq: MessageSeq(7),
        id: MessageId::from("m"),
        tenant: "t".into(),
        hub: "h".into(),
        target: "News".into(),
        accepted_at: Moment(1),
        expires_at: None,
        settled_at: Moment(2),
        counts: Counts { expired: 1, ..Counts::default() },
        pairs: vec![(SubscriberId(1), PairStatus::Expired)],
        is_namesake: true,
        tries_of_expired: count,
    }))
}

#[test]
fn records_of_layout_1_count_the_attempts_they_have() {
    for (record, added) in [(kept as fn(u32) -> Record, 3), (receipt, 1)] {
        let (kind, new, old) = both_layouts(&record(MARK), added);
        assert_eq!(decode(LAYOUT, kind, &new), Some(record(MARK)));
        assert_eq!(decode(1, kind, &old), Some(record(0)));
        assert_eq!((decode(1, kind, &new), decode(LAYOUT, kind, &old)), (None, None));
    }
}

#[test]
fn a_log_of_another_layout_is_left_alone_and_the_refusal_names_the_layouts() {
    for (nth, layout) in [(0, 0), (0, LAYOUT + 1), (3, LAYOUT + 1), (3, 255)] {
        let bytes = with_layout(LAYOUT_1, nth, layout);
        let disk = disk_with(&bytes);
        let refused = open(&disk).err().unwrap();
        assert!(matches!(&refused, OpenError::Layout { found, .. } if *found == layout));
        let said = format!("{refused}");
        let expected = format!(
            "{FIRST} has records of layout {layout}, and this version reads layout {LAYOUT}, and 1"
        );
        assert!(said.contains(&expected), "{said}");
        assert_eq!(disk.names(), [FIRST]);
        disk.damage(FIRST, |found| assert_eq!(*found, bytes));
    }
}

#[test]
fn of_several_files_none_is_touched_when_one_is_of_another_layout() {
    let (first, second) = LAYOUT_1.split_at(start_of(LAYOUT_1, 4));
    let mut damaged = first.to_vec();
    damaged[200] ^= 1;
    let behind_damage = [b"damage", &*with_layout(second, 0, 9)].concat();
    for foreign in [with_layout(second, 0, 9), with_layout(second, 2, 9), behind_damage] {
        let disk = disk_with(&damaged);
        let file = Disk::open(&disk, SECOND).unwrap();
        file.write_at(&foreign, 0).unwrap();
        file.sync().unwrap();
        assert!(matches!(open(&disk), Err(OpenError::Layout { found: 9, .. })));
        assert_eq!(disk.names(), [FIRST, SECOND], "the damaged one was not set aside");
        disk.damage(FIRST, |found| assert_eq!(*found, damaged));
        disk.damage(SECOND, |found| assert_eq!(*found, foreign));
    }
    // It is the damage that is mended when all records are of layouts that are read.
    let disk = disk_with(&damaged);
    let file = Disk::open(&disk, SECOND).unwrap();
    file.write_at(second, 0).unwrap();
    file.sync().unwrap();
    assert_eq!(open(&disk).unwrap().health().damage.map(|damage| damage.lost), Some(1));
}

/// Layout 1 was changed several times before anybody was given it.
#[test]
fn a_record_of_an_early_layout_1_is_no_damage_either() {
    let world = World::on(SimulatedDisk::default(), small());
    world.session("u", "tab", "c");
    world.publish("m", Audience::all());
    let disk = world.disk().after_a_cut(1);
    // A message as layout 2 says it has more than layout 1 could say.
    disk.damage(FIRST, |bytes| *bytes = with_layout(bytes, 2, 1));
    assert!(matches!(open(&disk), Err(OpenError::Layout { found: 1, .. })));
    assert!(!disk.names().iter().any(|name| name.contains("damaged")));
}

#[test]
fn a_flipped_byte_where_the_layout_stands_is_damage_and_no_other_layout() {
    let world = World::on(SimulatedDisk::default(), small());
    world.publish("m", Audience::all());
    let disk = world.disk().after_a_cut(1);
    disk.damage(FIRST, |bytes| bytes[21] ^= 0x40);
    let store = open(&disk).unwrap();
    assert_eq!(store.health().damage.map(|damage| damage.set_aside.len()), Some(1));
    let stats: Result<_, StoreError> = world.try_wait(store.stats());
    assert_eq!(stats.unwrap().messages_accepted, 1);
}
