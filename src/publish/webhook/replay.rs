//! What a tenant was not told, found again in the store.

use crate::auth::Tenant;
use crate::delivery::{
    DeadFilter, DeadKey, DeadLetter, Delivery, MessageSeq, Moment, NotAccepted, PairStatus, Receipt,
};

use super::event::{Event, Kind};

/// Dead letters or receipts that are read at a time.
const PAGE: usize = 100;

/// How far the reading has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    since: Moment,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Dead(Option<DeadKey>),
    Settled(Moment, Option<MessageSeq>),
    End,
}

impl Replay {
    /// Everything that ended then or later, and is still known.
    pub(super) fn since(since: Moment) -> Self {
        Self { since, place: Place::Dead(None) }
    }

    /// The next events and what is to be read after them; none at the end. A page may be empty.
    pub(super) async fn next(
        self,
        delivery: &Delivery,
        tenant: &Tenant,
        settled: bool,
    ) -> Result<Option<(Vec<Event>, Self)>, NotAccepted> {
        let since = self.since;
        let (events, place) = match self.place {
            Place::Dead(after) => {
                let filter = DeadFilter {
                    tenant: Some(tenant.clone()),
                    died_from: Some(since),
                    ..DeadFilter::default()
                };
                let page = delivery.dead_letters(filter, after, PAGE).await?;
                let events = of_dead(delivery, tenant, settled, &page.letters).await?;
                let next = page.next.map(|key| Place::Dead(Some(key)));
                (events, next.unwrap_or(Place::Settled(since, None)))
            }
            Place::Settled(from, after) => {
                let receipts = delivery.settled_since(from, after, PAGE).await?;
                let last = receipts.last().filter(|_| receipts.len() == PAGE);
                let place = match last.and_then(|last| Some((last.settled_at?, last.seq))) {
                    Some((at, seq)) => Place::Settled(at, Some(seq)),
                    None => Place::End,
                };
                let own = receipts.iter().filter(|receipt| receipt.tenant == *tenant);
                (own.flat_map(|receipt| of_settled(receipt, settled)).collect(), place)
            }
            Place::End => return Ok(None),
        };
        Ok(Some((events, Self { since, place })))
    }
}

/// Each death, and the end of messages of which nothing is owed: their receipts are not among the
/// settled ones while there are dead letters.
async fn of_dead(
    delivery: &Delivery,
    tenant: &Tenant,
    settled: bool,
    letters: &[DeadLetter],
) -> Result<Vec<Event>, NotAccepted> {
    let mut events = Vec::new();
    let mut last = None;
    for letter in letters {
        let kind = Kind::Dead(Some(letter.reason));
        let mut event = Event::new(letter.id.clone(), kind, letter.died_at);
        event.add(letter.key.subscriber);
        events.push(event);
        if !settled || last == Some(letter.key.seq) {
            continue;
        }
        last = Some(letter.key.seq);
        let receipts = delivery.receipts(letter.id.clone(), Some(tenant.clone())).await?;
        let own = receipts.into_iter().find(|own| own.seq == letter.key.seq);
        events.extend(own.and_then(|own| settled_event(&own)));
    }
    Ok(events)
}

fn of_settled(receipt: &Receipt, settled: bool) -> Vec<Event> {
    let at = receipt.settled_at.unwrap_or(receipt.accepted_at);
    let mut events = Vec::new();
    if receipt.counts.expired > 0 {
        let mut event = Event::new(receipt.id.clone(), Kind::Expired, at);
        let expired = receipt.pairs.iter().filter(|pair| pair.status == PairStatus::Expired);
        expired.for_each(|pair| event.add(pair.subscriber));
        event.count_at_least(receipt.counts.expired);
        events.push(event);
    }
    if settled {
        events.extend(settled_event(receipt));
    }
    events
}

fn settled_event(receipt: &Receipt) -> Option<Event> {
    let at = receipt.settled_at.filter(|_| receipt.counts.pending == 0)?;
    Some(Event::new(receipt.id.clone(), Kind::Settled(receipt.counts), at))
}
