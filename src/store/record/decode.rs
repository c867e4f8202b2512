//! Bytes to a record; none when they say anything a record cannot say.

use super::{
    DeadRecord, DeathRecord, KeyRecord, MessageRecord, ReceiptRecord, Record, SubscriberRecord,
    Sums, Tried,
};
use crate::model::{
    Audience, ConnectionId, GroupName, HubName, MessageId, Priority, Tenant, UserId,
};
use crate::store::bytes::Reader;
use crate::store::dead_letter::{Attempt, DeadKey, Death, DeathKey, Reason, Spent};
use crate::store::message::{Content, Encoding, PairStatus};
use crate::store::names::{ClientKey, Identity, MessageSeq, Moment, SessionKey, SubscriberId};
use crate::store::receipt::{Counts, Totals};

/// Reads the values of a record of that kind in that layout, to their last byte.
pub(in crate::store) fn decode(layout: u8, kind: u8, bytes: &[u8]) -> Option<Record> {
    let counts = layout >= 2;
    let r = &mut Reader(bytes);
    let record = match kind {
        1 => Record::Sums(sums(r)?),
        2 => Record::Subscriber(subscriber_record(r)?),
        3 => Record::Joined { subscriber: subscriber(r)?, group: GroupName::from(r.text()?) },
        4 => Record::Left { subscriber: subscriber(r)?, group: GroupName::from(r.text()?) },
        5 => Record::Gone { subscriber: subscriber(r)?, at: r.moment()? },
        6 => Record::Accepted(Box::new(message(r, counts)?)),
        7 => Record::Kept(Box::new(message(r, counts)?)),
        8 => Record::Receipt(Box::new(receipt(r, counts)?)),
        9 => Record::Key(KeyRecord {
            key: r.hash()?,
            body_hash: r.hash()?,
            seq: seq(r)?,
            targeted: r.u64()?,
            at: r.moment()?,
        }),
        10 => {
            let (seq, subscribers, at) = pairs(r)?;
            Record::Settled { seq, subscribers, at, status: status(r)? }
        }
        11 => {
            let (seq, subscribers, at) = pairs(r)?;
            Record::Died { seq, subscribers, at, reason: reason(r)? }
        }
        12 => {
            let (seq, subscribers, at) = pairs(r)?;
            Record::Requeued { seq, subscribers, at }
        }
        13 => {
            let (seq, subscribers, at) = pairs(r)?;
            Record::Targeted { seq, subscribers, at }
        }
        14 => {
            let (seq, subscribers, at) = pairs(r)?;
            Record::Retired { seq, subscriber: *subscribers.first()?, at }
        }
        15 => Record::Adopted { from: subscriber(r)?, to: subscriber(r)?, seqs: r.list(seq)? },
        16 => Record::Snapshot { task: r.shared()?, snapshot: r.bytes()?, at: r.moment()? },
        17 => Record::Closed,
        19 => Record::Mended,
        20 => Record::Bookmark { reader: r.shared()?, place: r.moment()? },
        22 => Record::Former { subscriber: subscriber(r)?, identity: identity(r)? },
        23 => Record::Unread { reader: r.shared()? },
        21 => Record::Death(Box::new(death(r)?)),
        18 => Record::Attempted {
            seq: seq(r)?,
            subscriber: subscriber(r)?,
            attempt: attempts(r)?.into_iter().next()?,
            spent: spent(r)?,
        },
        _ => return None,
    };
    r.is_done().then_some(record)
}

fn sums(r: &mut Reader<'_>) -> Option<Sums> {
    let totals = Totals {
        messages: r.u64()?,
        targeted: r.u64()?,
        acknowledged: r.u64()?,
        unconfirmed: r.u64()?,
        expired: r.u64()?,
        purged: r.u64()?,
        retired: r.u64()?,
        requeued: r.u64()?,
        nobody: r.u64()?,
        keys_forgotten: r.u64()?,
        receipts_forgotten: r.u64()?,
    };
    Some(Sums { totals, next_seq: r.u64()?, next_subscriber: r.u64()? })
}

fn subscriber_record(r: &mut Reader<'_>) -> Option<SubscriberRecord> {
    Some(SubscriberRecord {
        subscriber: subscriber(r)?,
        key: SessionKey {
            hub: HubName::from(r.text()?),
            identity: identity(r)?,
            client: r.maybe(Reader::hash)?.map(ClientKey),
        },
        caller: r.shared()?,
        groups: r.list(|r| r.text().map(GroupName::from))?,
    })
}

fn message(r: &mut Reader<'_>, counts: bool) -> Option<MessageRecord> {
    Some(MessageRecord {
        seq: seq(r)?,
        id: MessageId::from(r.text()?),
        tenant: Tenant::from(r.text()?),
        hub: HubName::from(r.text()?),
        audience: audience(r)?,
        priority: Priority::new(r.u8()?)?,
        critical: r.flag()?,
        accepted_at: r.moment()?,
        age_from: r.moment()?,
        settled_at: r.maybe(Reader::moment)?,
        expires_at: r.maybe(Reader::moment)?,
        body_hash: r.hash()?,
        content: content(r)?,
        pairs: r.list(pair)?,
        dead: r.list(|r| Some((subscriber(r)?, dead(r, counts)?)))?,
        tried: r.list(|r| {
            let subscriber = subscriber(r)?;
            let (attempts, left_out) = (attempts(r)?, count(r, counts)?);
            Some((subscriber, Tried { attempts, left_out, spent: spent(r)? }))
        })?,
        is_namesake: r.flag()?,
        tries_of_expired: count(r, counts)?,
    })
}

fn receipt(r: &mut Reader<'_>, counts: bool) -> Option<ReceiptRecord> {
    Some(ReceiptRecord {
        seq: seq(r)?,
        id: MessageId::from(r.text()?),
        tenant: Tenant::from(r.text()?),
        hub: HubName::from(r.text()?),
        target: r.shared()?,
        accepted_at: r.moment()?,
        expires_at: r.maybe(Reader::moment)?,
        settled_at: r.moment()?,
        counts: Counts {
            pending: r.u64()?,
            acknowledged: r.u64()?,
            unconfirmed: r.u64()?,
            expired: r.u64()?,
            dead: r.u64()?,
            purged: r.u64()?,
        },
        pairs: r.list(pair)?,
        is_namesake: r.flag()?,
        tries_of_expired: count(r, counts)?,
    })
}

/// A count that older layouts do not have.
fn count(r: &mut Reader<'_>, counts: bool) -> Option<u32> {
    if counts { r.u32() } else { Some(0) }
}

fn seq(r: &mut Reader<'_>) -> Option<MessageSeq> {
    r.u64().map(MessageSeq)
}

fn subscriber(r: &mut Reader<'_>) -> Option<SubscriberId> {
    r.u64().map(SubscriberId)
}

fn pairs(r: &mut Reader<'_>) -> Option<(MessageSeq, Vec<SubscriberId>, Moment)> {
    Some((seq(r)?, r.list(subscriber)?, r.moment()?))
}

fn pair(r: &mut Reader<'_>) -> Option<(SubscriberId, PairStatus)> {
    Some((subscriber(r)?, status(r)?))
}

fn dead(r: &mut Reader<'_>, counts: bool) -> Option<DeadRecord> {
    Some(DeadRecord {
        identity: identity(r)?,
        reason: reason(r)?,
        at: r.moment()?,
        attempts: attempts(r)?,
        left_out: count(r, counts)?,
    })
}

fn death(r: &mut Reader<'_>) -> Option<DeathRecord> {
    let reader = r.shared()?;
    let letter = DeadKey { seq: seq(r)?, subscriber: subscriber(r)? };
    let key = DeathKey { letter, at: r.moment()? };
    let death = Death { key, id: MessageId::from(r.text()?), reason: reason(r)? };
    Some(DeathRecord { reader, death })
}

fn attempts(r: &mut Reader<'_>) -> Option<Vec<Attempt>> {
    r.list(|r| Some(Attempt { at: r.moment()?, error: r.shared()? }))
}

fn spent(r: &mut Reader<'_>) -> Option<Spent> {
    Some(Spent { attempts: u16::try_from(r.u32()?).ok()?, repeats: r.u8()?, failures: r.u8()? })
}

fn content(r: &mut Reader<'_>) -> Option<Content> {
    Some(Content {
        target: r.shared()?,
        encoding: match r.u8()? {
            0 => Encoding::Json,
            1 => Encoding::MessagePack,
            _ => return None,
        },
        arguments: r.bytes()?,
        ordering_key: r.maybe(Reader::shared)?,
        correlation_id: r.maybe(Reader::shared)?,
    })
}

fn identity(r: &mut Reader<'_>) -> Option<Identity> {
    let user = r.maybe(|r| r.text().map(UserId::from))?;
    Some(user.map_or(Identity::Anonymous, Identity::Named))
}

fn audience(r: &mut Reader<'_>) -> Option<Audience> {
    let connection = |r: &mut Reader<'_>| r.text().map(ConnectionId::from);
    Some(match r.u8()? {
        0 => Audience::All { except: r.list(connection)? },
        1 => Audience::Group { group: GroupName::from(r.text()?), except: r.list(connection)? },
        2 => Audience::Groups(r.list(|r| r.text().map(GroupName::from))?),
        3 => Audience::User(UserId::from(r.text()?)),
        4 => Audience::Users(r.list(|r| r.text().map(UserId::from))?),
        5 => Audience::Connection(connection(r)?),
        6 => Audience::Connections(r.list(connection)?),
        _ => return None,
    })
}

fn status(r: &mut Reader<'_>) -> Option<PairStatus> {
    Some(match r.u8()? {
        0 => PairStatus::Owed,
        1 => PairStatus::Acknowledged,
        2 => PairStatus::Unconfirmed,
        3 => PairStatus::Expired,
        4 => PairStatus::Dead,
        5 => PairStatus::Purged,
        _ => return None,
    })
}

fn reason(r: &mut Reader<'_>) -> Option<Reason> {
    Some(match r.u8()? {
        0 => Reason::TimedOut,
        1 => Reason::Nacked,
        2 => Reason::GivenUp,
        3 => Reason::NotWritten,
        4 => Reason::SubscriberGone,
        5 => Reason::AccessRevoked,
        6 => Reason::TooOld,
        7 => Reason::Damaged,
        _ => return None,
    })
}
