//! A record to bytes: a kind, and the values, in the newest layout.

use super::{
    DeadRecord, DeathRecord, KeyRecord, MessageRecord, ReceiptRecord, Record, SubscriberRecord,
    Sums,
};
use crate::model::{Audience, GroupName};
use crate::store::bytes::Writer;
use crate::store::dead_letter::{Attempt, Death, Reason, Spent};
use crate::store::message::{Content, Encoding, PairStatus};
use crate::store::names::{Identity, MessageSeq, Moment, SubscriberId};
use crate::store::receipt::{Counts, Totals};

/// Appends the values of a record and answers its kind.
pub(in crate::store) fn encode(record: &Record, out: &mut Vec<u8>) -> u8 {
    let mut w = Writer(out);
    match record {
        Record::Sums(sums) => sums_to(&mut w, sums),
        Record::Subscriber(subscriber) => subscriber_to(&mut w, subscriber),
        Record::Joined { subscriber, group } => member_to(&mut w, *subscriber, group, 3),
        Record::Left { subscriber, group } => member_to(&mut w, *subscriber, group, 4),
        Record::Gone { subscriber, at } => {
            w.u64(subscriber.0);
            w.u64(at.0);
            5
        }
        Record::Accepted(message) => message_to(&mut w, message, 6),
        Record::Kept(message) => message_to(&mut w, message, 7),
        Record::Receipt(receipt) => receipt_to(&mut w, receipt),
        Record::Key(key) => key_to(&mut w, key),
        Record::Settled { seq, subscribers, status, at } => {
            pairs_to(&mut w, *seq, subscribers, at.0);
            w.u8(status_code(*status));
            10
        }
        Record::Died { seq, subscribers, reason, at } => {
            pairs_to(&mut w, *seq, subscribers, at.0);
            w.u8(reason_code(*reason));
            11
        }
        Record::Requeued { seq, subscribers, at } => {
            pairs_to(&mut w, *seq, subscribers, at.0);
            12
        }
        Record::Targeted { seq, subscribers, at } => {
            pairs_to(&mut w, *seq, subscribers, at.0);
            13
        }
        Record::Retired { seq, subscriber, at } => {
            pairs_to(&mut w, *seq, &[*subscriber], at.0);
            14
        }
        Record::Adopted { from, to, seqs } => {
            w.u64(from.0);
            w.u64(to.0);
            w.list(seqs.iter(), |w, seq| w.u64(seq.0));
            15
        }
        Record::Attempted { seq, subscriber, attempt, spent } => {
            w.u64(seq.0);
            w.u64(subscriber.0);
            attempts_to(&mut w, std::slice::from_ref(attempt));
            spent_to(&mut w, *spent);
            18
        }
        Record::Death(death) => death_to(&mut w, death),
        Record::Former { subscriber, identity } => {
            w.u64(subscriber.0);
            identity_to(&mut w, identity);
            22
        }
        Record::Snapshot { task, snapshot, at } => snapshot_to(&mut w, task, snapshot, *at),
        Record::Bookmark { reader, place } => bookmark_to(&mut w, reader, *place),
        Record::Unread { reader } => {
            w.text(reader);
            23
        }
        Record::Closed => 17,
        Record::Mended => 19,
    }
}

fn snapshot_to(w: &mut Writer<'_>, task: &str, snapshot: &[u8], at: Moment) -> u8 {
    w.text(task);
    w.bytes(snapshot);
    w.u64(at.0);
    16
}

fn bookmark_to(w: &mut Writer<'_>, reader: &str, place: Moment) -> u8 {
    w.text(reader);
    w.u64(place.0);
    20
}

fn sums_to(w: &mut Writer<'_>, sums: &Sums) -> u8 {
    let Totals {
        messages,
        targeted,
        acknowledged,
        unconfirmed,
        expired,
        purged,
        retired,
        requeued,
        nobody,
        keys_forgotten,
        receipts_forgotten,
    } = sums.totals;
    for value in [
        messages,
        targeted,
        acknowledged,
        unconfirmed,
        expired,
        purged,
        retired,
        requeued,
        nobody,
        keys_forgotten,
        receipts_forgotten,
        sums.next_seq,
        sums.next_subscriber,
    ] {
        w.u64(value);
    }
    1
}

fn subscriber_to(w: &mut Writer<'_>, subscriber: &SubscriberRecord) -> u8 {
    w.u64(subscriber.subscriber.0);
    w.text(subscriber.key.hub.as_str());
    identity_to(w, &subscriber.key.identity);
    w.maybe(subscriber.key.client.as_ref(), |w, client| w.hash(&client.0));
    w.text(&subscriber.caller);
    w.list(subscriber.groups.iter(), |w, group| w.text(group.as_str()));
    2
}

fn member_to(w: &mut Writer<'_>, id: SubscriberId, group: &GroupName, kind: u8) -> u8 {
    w.u64(id.0);
    w.text(group.as_str());
    kind
}

fn message_to(w: &mut Writer<'_>, message: &MessageRecord, kind: u8) -> u8 {
    w.u64(message.seq.0);
    w.text(message.id.as_str());
    w.text(message.tenant.as_str());
    w.text(message.hub.as_str());
    audience_to(w, &message.audience);
    w.u8(message.priority.get());
    w.u8(u8::from(message.critical));
    w.u64(message.accepted_at.0);
    w.u64(message.age_from.0);
    w.maybe(message.settled_at, |w, at| w.u64(at.0));
    w.maybe(message.expires_at, |w, at| w.u64(at.0));
    w.hash(&message.body_hash);
    content_to(w, &message.content);
    w.list(message.pairs.iter(), pair_to);
    w.list(message.dead.iter(), |w, (subscriber, dead)| {
        w.u64(subscriber.0);
        dead_to(w, dead);
    });
    w.list(message.tried.iter(), |w, (subscriber, tried)| {
        w.u64(subscriber.0);
        attempts_to(w, &tried.attempts);
        w.u32(tried.left_out);
        spent_to(w, tried.spent);
    });
    w.u8(u8::from(message.is_namesake));
    w.u32(message.tries_of_expired);
    kind
}

fn receipt_to(w: &mut Writer<'_>, receipt: &ReceiptRecord) -> u8 {
    w.u64(receipt.seq.0);
    w.text(receipt.id.as_str());
    w.text(receipt.tenant.as_str());
    w.text(receipt.hub.as_str());
    w.text(&receipt.target);
    w.u64(receipt.accepted_at.0);
    w.maybe(receipt.expires_at, |w, at| w.u64(at.0));
    w.u64(receipt.settled_at.0);
    let Counts { pending, acknowledged, unconfirmed, expired, dead, purged } = receipt.counts;
    for count in [pending, acknowledged, unconfirmed, expired, dead, purged] {
        w.u64(count);
    }
    w.list(receipt.pairs.iter(), pair_to);
    w.u8(u8::from(receipt.is_namesake));
    w.u32(receipt.tries_of_expired);
    8
}

fn key_to(w: &mut Writer<'_>, key: &KeyRecord) -> u8 {
    w.hash(&key.key);
    w.hash(&key.body_hash);
    w.u64(key.seq.0);
    w.u64(key.targeted);
    w.u64(key.at.0);
    9
}

fn pairs_to(w: &mut Writer<'_>, seq: MessageSeq, subscribers: &[SubscriberId], at: u64) {
    w.u64(seq.0);
    w.list(subscribers.iter(), |w, subscriber| w.u64(subscriber.0));
    w.u64(at);
}

fn pair_to(w: &mut Writer<'_>, (subscriber, status): &(SubscriberId, PairStatus)) {
    w.u64(subscriber.0);
    w.u8(status_code(*status));
}

fn dead_to(w: &mut Writer<'_>, dead: &DeadRecord) {
    identity_to(w, &dead.identity);
    w.u8(reason_code(dead.reason));
    w.u64(dead.at.0);
    attempts_to(w, &dead.attempts);
    w.u32(dead.left_out);
}

fn death_to(w: &mut Writer<'_>, DeathRecord { reader, death }: &DeathRecord) -> u8 {
    let Death { key, id, reason } = death;
    w.text(reader);
    w.u64(key.letter.seq.0);
    w.u64(key.letter.subscriber.0);
    w.u64(key.at.0);
    w.text(id.as_str());
    w.u8(reason_code(*reason));
    21
}

fn attempts_to(w: &mut Writer<'_>, attempts: &[Attempt]) {
    w.list(attempts.iter(), |w, attempt| {
        w.u64(attempt.at.0);
        w.text(&attempt.error);
    });
}

fn spent_to(w: &mut Writer<'_>, spent: Spent) {
    let Spent { attempts, repeats, failures } = spent;
    w.u32(attempts.into());
    w.u8(repeats);
    w.u8(failures);
}

fn content_to(w: &mut Writer<'_>, content: &Content) {
    w.text(&content.target);
    w.u8(match content.encoding {
        Encoding::Json => 0,
        Encoding::MessagePack => 1,
    });
    w.bytes(&content.arguments);
    w.maybe(content.ordering_key.as_ref(), |w, key| w.text(key));
    w.maybe(content.correlation_id.as_ref(), |w, id| w.text(id));
}

fn identity_to(w: &mut Writer<'_>, identity: &Identity) {
    w.maybe(identity.user(), |w, user| w.text(user.as_str()));
}

fn audience_to(w: &mut Writer<'_>, audience: &Audience) {
    match audience {
        Audience::All { except } => {
            w.u8(0);
            w.list(except.iter(), |w, id| w.text(id.as_str()));
        }
        Audience::Group { group, except } => {
            w.u8(1);
            w.text(group.as_str());
            w.list(except.iter(), |w, id| w.text(id.as_str()));
        }
        Audience::Groups(groups) => {
            w.u8(2);
            w.list(groups.iter(), |w, group| w.text(group.as_str()));
        }
        Audience::User(user) => {
            w.u8(3);
            w.text(user.as_str());
        }
        Audience::Users(users) => {
            w.u8(4);
            w.list(users.iter(), |w, user| w.text(user.as_str()));
        }
        Audience::Connection(connection) => {
            w.u8(5);
            w.text(connection.as_str());
        }
        Audience::Connections(connections) => {
            w.u8(6);
            w.list(connections.iter(), |w, id| w.text(id.as_str()));
        }
    }
}

fn status_code(status: PairStatus) -> u8 {
    match status {
        PairStatus::Owed => 0,
        PairStatus::Acknowledged => 1,
        PairStatus::Unconfirmed => 2,
        PairStatus::Expired => 3,
        PairStatus::Dead => 4,
        PairStatus::Purged => 5,
    }
}

fn reason_code(reason: Reason) -> u8 {
    match reason {
        Reason::TimedOut => 0,
        Reason::Nacked => 1,
        Reason::GivenUp => 2,
        Reason::NotWritten => 3,
        Reason::SubscriberGone => 4,
        Reason::AccessRevoked => 5,
        Reason::TooOld => 6,
        Reason::Damaged => 7,
    }
}
