//! What a tenant was not told, found again in the store.

use crate::auth::Tenant;
use crate::delivery::{
    DeadFilter, DeadKey, DeadLetter, Delivery, MessageSeq, Moment, NotAccepted, PairStatus, Receipt,
};

use super::event::{Event, Kind};

/// Dead letters or receipts that are read at a time.
const PAGE: usize = 100;

/// How far the reading has come.
#[derive(Debug)]
pub(super) struct Replay {
    since: Moment,
    place: Place,
    /// Deaths of the last message that was read; more of them may come.
    deaths: Vec<Event>,
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
        Self { since, place: Place::Dead(None), deaths: Vec::new() }
    }

    /// The next events and what is to be read after them; none at the end. A page may be empty.
    pub(super) async fn next(
        &mut self,
        delivery: &Delivery,
        tenant: &Tenant,
        settled: bool,
    ) -> Result<Option<Vec<Event>>, NotAccepted> {
        let since = self.since;
        let (events, place) = match self.place {
            Place::Dead(after) => {
                let filter = DeadFilter {
                    tenant: Some(tenant.clone()),
                    died_from: Some(since),
                    ..DeadFilter::default()
                };
                let page = delivery.dead_letters(filter, after, PAGE).await?;
                let mut deaths = self.deaths.clone();
                let mut events = Vec::new();
                for letter in &page.letters {
                    if deaths.first().is_some_and(|own: &Event| own.seq != letter.key.seq) {
                        events.extend(of_dead(delivery, tenant, settled, &mut deaths).await?);
                    }
                    add_death(&mut deaths, letter);
                }
                let next = page.next.map(|key| Place::Dead(Some(key)));
                if next.is_none() {
                    events.extend(of_dead(delivery, tenant, settled, &mut deaths).await?);
                }
                self.deaths = deaths;
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
        self.place = place;
        Ok(Some(events))
    }
}

/// Those who died together of the same are told together, as they were when it happened.
fn add_death(deaths: &mut Vec<Event>, letter: &DeadLetter) {
    let (reason, at) = (letter.reason, letter.died_at);
    if let Some(event) = deaths.iter_mut().find(|event| event.is_death(reason, at)) {
        return event.add(letter.key.subscriber);
    }
    let news = (letter.key.seq, letter.id.clone());
    let mut event = Event::new(news, Kind::Dead(Some(reason)), at);
    event.add(letter.key.subscriber);
    deaths.push(event);
}

/// The deaths of one message, and its end when nothing of it is owed: its receipt is not among the
/// settled ones while there are dead letters. None are left.
async fn of_dead(
    delivery: &Delivery,
    tenant: &Tenant,
    settled: bool,
    deaths: &mut Vec<Event>,
) -> Result<Vec<Event>, NotAccepted> {
    let mut events = Vec::new();
    if let Some(first) = deaths.first() {
        let receipts = delivery.receipts(first.message.clone(), Some(tenant.clone())).await?;
        let own = receipts.iter().find(|own| own.seq == first.seq);
        events.extend(own.into_iter().flat_map(|own| of_settled(own, settled)));
    }
    // In the order in which they are told of at once.
    events.splice(..0, deaths.drain(..));
    Ok(events)
}

fn of_settled(receipt: &Receipt, settled: bool) -> Vec<Event> {
    let at = receipt.settled_at.unwrap_or(receipt.accepted_at);
    let mut events = Vec::new();
    if receipt.counts.expired > 0 && receipt.counts.pending == 0 {
        let news = (receipt.seq, receipt.id.clone());
        let mut event = Event::new(news, Kind::Expired, at);
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
    let news = (receipt.seq, receipt.id.clone());
    Some(Event::new(news, Kind::Settled(receipt.counts), at))
}
