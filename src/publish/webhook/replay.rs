//! What a tenant was not told, found again in the store.

use crate::auth::Tenant;
use crate::delivery::{
    Death, DeathKey, Delivery, MessageSeq, Moment, NotAccepted, PairStatus, Receipt,
};

use super::event::{Event, Kind};

/// Deaths or receipts that are read at a time.
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
    Dead(Option<DeathKey>),
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
                let page = delivery.deaths(tenant, since, after, PAGE).await?;
                let mut deaths = self.deaths.clone();
                let mut events = Vec::new();
                for death in &page {
                    let seq = death.key.letter.seq;
                    if deaths.first().is_some_and(|own: &Event| own.seq != seq) {
                        events.extend(of_dead(delivery, tenant, settled, &mut deaths).await?);
                    }
                    add_death(&mut deaths, death);
                }
                let last = page.last().filter(|_| page.len() == PAGE);
                let next = last.map(|last| Place::Dead(Some(last.key)));
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
fn add_death(deaths: &mut Vec<Event>, death: &Death) {
    let DeathKey { letter, at } = death.key;
    if let Some(event) = deaths.iter_mut().find(|event| event.is_death(death.reason, at)) {
        return event.add(letter.subscriber);
    }
    let mut event = Event::new((letter.seq, death.id.clone()), Kind::Dead(Some(death.reason)), at);
    event.add(letter.subscriber);
    deaths.push(event);
}

/// The deaths of one message, and its end when nothing of it is owed while there are dead letters:
/// its receipt is not among the settled ones then. None are left.
async fn of_dead(
    delivery: &Delivery,
    tenant: &Tenant,
    settled: bool,
    deaths: &mut Vec<Event>,
) -> Result<Vec<Event>, NotAccepted> {
    let mut events = Vec::new();
    if let Some(first) = deaths.first() {
        let receipts = delivery.receipts(first.message.clone(), Some(tenant.clone())).await?;
        let is_meant = |own: &&Receipt| own.seq == first.seq && own.counts.dead > 0;
        let own = receipts.iter().find(is_meant);
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
