//! The crowd: real SignalR connections through our own client, that die and come back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conduit_realtime::client::ack_methods::{ACKNOWLEDGE, ACKNOWLEDGE_MANY, GAP_EVENT};
use conduit_realtime::client::{
    Acks, Builder, Client, ClientId, Memory, Message, Reconnects, Refusal, Settings, State,
    Subscriber,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Problem;
use crate::flags::{Class, Flags, Kit};
use crate::random::Random;
use crate::records::{Note, Records};
use crate::world::World;

/// The event that is published.
pub(crate) const EVENT: &str = "Ledger";
/// Connecting this many at a time keeps a small machine's timeouts out of the picture.
const STARTED_AT_ONCE: usize = 50;

pub(crate) struct Crowd {
    members: Vec<Member>,
    pub(crate) records: Arc<Records>,
    world: Arc<World>,
    url: String,
    settings: Settings,
    class: Class,
    /// Handlers take a while by chance.
    dawdles: bool,
    seed: u64,
    tasks: TaskTracker,
}

struct Member {
    client_id: ClientId,
    memory: Option<Memory>,
    acks: Acks,
    life: Mutex<Option<Life>>,
}

struct Life {
    subscriber: Subscriber,
    over: CancellationToken,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// With faults, one in five acknowledges by result, as a stock client does.
fn acks_of(subscriber: u32, faulty: bool) -> Acks {
    if faulty && subscriber % 5 == 3 { Acks::Result } else { Acks::Method }
}

impl Crowd {
    pub(crate) fn new(
        flags: &Flags,
        seed: u64,
        url: String,
        records: &Arc<Records>,
        world: &Arc<World>,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>, Problem> {
        let faulty = !flags.kinds().is_empty();
        let mut members = Vec::new();
        // Bare ones are nobody's members.
        let whole = if flags.client == Kit::Whole { flags.subscribers } else { 0 };
        for subscriber in 0..whole {
            members.push(Member {
                client_id: ClientId::random()?,
                memory: flags.remembers(subscriber).then(Memory::default),
                acks: acks_of(subscriber, faulty),
                life: Mutex::new(None),
            });
        }
        let mut settings = Settings { ack_delay: flags.ack_delay(), ..Settings::default() };
        if faulty {
            settings.connect_timeout = Duration::from_secs(4);
            settings.invoke_timeout = Duration::from_secs(4);
            settings.server_timeout = Duration::from_secs(5);
            settings.keep_alive = Duration::from_secs(1);
            settings.close_timeout = Duration::from_secs(1);
        }
        Ok(Arc::new(Self {
            members,
            records: records.clone(),
            world: world.clone(),
            url,
            settings,
            class: flags.class,
            dawdles: faulty,
            seed,
            tasks: tasks.clone(),
        }))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Starts everybody, some at a time, and waits until all are there.
    pub(crate) async fn start_all(self: &Arc<Self>, patience: Duration) -> Result<(), Problem> {
        let deadline = Instant::now() + patience;
        let mut numbers = 0..u32::try_from(self.len())?;
        loop {
            let some: Vec<u32> = numbers.by_ref().take(STARTED_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            for subscriber in &some {
                self.start(*subscriber);
            }
            self.all_there(&some, deadline).await?;
        }
    }

    async fn all_there(&self, some: &[u32], deadline: Instant) -> Result<(), Problem> {
        while let Some(absent) = some.iter().find(|one| self.client(**one).is_none()) {
            if Instant::now() > deadline {
                return Err(format!("subscriber {absent} does not get its connection").into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How many are not connected.
    pub(crate) fn absent(&self) -> usize {
        let numbers = 0..u32::try_from(self.len()).unwrap_or(u32::MAX);
        numbers.filter(|subscriber| self.client(*subscriber).is_none()).count()
    }

    pub(crate) fn client(&self, subscriber: u32) -> Option<Client> {
        let life = self.members.get(subscriber as usize)?.life.lock();
        life.as_ref().and_then(|life| life.subscriber.client())
    }

    /// A process begins: with the memory of the one before, where it is kept.
    pub(crate) fn start(self: &Arc<Self>, subscriber: u32) {
        let Some(member) = self.members.get(subscriber as usize) else { return };
        let reconnects = Reconnects {
            memory: member.memory.clone().unwrap_or_else(|| Memory::new(0)),
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_millis(400),
            tasks: self.tasks.clone(),
            ..Reconnects::of(member.client_id.clone())
        };
        let (crowd, acks) = (self.clone(), member.acks);
        let make = move || crowd.builder(subscriber, acks);
        let groups = self.world.groups_of(subscriber);
        let greet = move |client: Client| {
            let groups = groups.clone();
            async move {
                for group in groups {
                    client.invoke::<()>("JoinGroup", (group,)).await?;
                }
                Ok(())
            }
        };
        let lives = Subscriber::start(reconnects, make, greet);
        let over = CancellationToken::new();
        self.tasks.spawn(watch(self.records.clone(), subscriber, lives.watch(), over.clone()));
        *member.life.lock() = Some(Life { subscriber: lives, over });
    }

    /// A process dies: connection, tasks, and what it had not acked.
    pub(crate) fn kill(&self, subscriber: u32) {
        let Some(member) = self.members.get(subscriber as usize) else { return };
        drop(member.life.lock().take());
        self.records.lost(subscriber);
        self.records.journal.note(|| format!("killed s={subscriber}"));
    }

    fn builder(&self, subscriber: u32, acks: Acks) -> Builder {
        let records = self.records.clone();
        let gaps = self.records.clone();
        let mut random = Random::new(self.seed, 1_000 + u64::from(subscriber));
        let dawdles = self.dawdles;
        let lots = Mutex::new(move || dawdles && random.one_in(10)).into();
        let lots: Arc<Mutex<_>> = lots;
        let mut builder = Client::builder(&self.url)
            .settings(self.settings.clone())
            .on(GAP_EVENT, move |_| {
                gaps.gaps.fetch_add(1, Ordering::Relaxed);
            })
            .on_acknowledged(EVENT, move |message| {
                let takes = if (lots.lock())() { Some(Duration::from_millis(15)) } else { None };
                let records = records.clone();
                async move { handle(&records, subscriber, acks, &message, takes).await }
            });
        if self.class == Class::Acknowledged {
            builder = builder.acks(acks);
        }
        builder
    }

    /// Acks again what this subscriber has handled, and what others are owed: no harm may come of it.
    pub(crate) async fn ack_again(&self, subscriber: u32, random: &mut Random) {
        let Some(client) = self.client(subscriber) else { return };
        let ids = self.ids_to_ack(subscriber, random);
        self.records.journal.note(|| format!("ack again s={subscriber} {ids:?}"));
        if let Some(first) = ids.first() {
            // That the connection has just ended is no error here.
            let _ = client.send(ACKNOWLEDGE, (first,)).await;
        }
        let _ = client.send(ACKNOWLEDGE_MANY, (ids,)).await;
    }

    fn ids_to_ack(&self, subscriber: u32, random: &mut Random) -> Vec<String> {
        let Some(seen) = self.records.seen.get(subscriber as usize) else { return Vec::new() };
        let seen = seen.lock();
        let handled = seen.sights.iter().filter(|(_, sight)| sight.handled > 0);
        let mut ids: Vec<String> = handled.take(20).map(|(m, _)| message_id(*m)).collect();
        drop(seen);
        let own = self.world.groups_of(subscriber);
        let messages = self.records.messages.lock();
        for _ in 0..20 {
            let place = usize::try_from(random.below(messages.len() as u64)).unwrap_or_default();
            if let Some(other) = messages.get(place)
                && !own.contains(&World::name(other.note.audience))
            {
                ids.push(message_id(other.note.m));
            }
        }
        ids
    }
}

/// The id of a message: its place.
pub(crate) fn message_id(m: u32) -> String {
    format!("ledger-{m}")
}

async fn handle(
    records: &Records,
    subscriber: u32,
    acks: Acks,
    message: &Message,
    takes: Option<Duration>,
) -> Result<(), Refusal> {
    let (note,) =
        message.bind::<(Note,)>().map_err(|error| Refusal::never(format!("no note: {error}")))?;
    // Acks by result go without base fields, so nobody says how often it was sent. An ordinary
    // event is sent once.
    let retry_count = match (acks, message.id()) {
        (Acks::Method, Some(_)) => Some(message.retry_count()),
        (_, None) => Some(0),
        _ => None,
    };
    records.arrived(subscriber, &note, retry_count);
    if let Some(takes) = takes {
        sleep(takes).await;
    }
    // The last thing, with no await behind it: it has happened, and is remembered at once.
    records.handled(subscriber, &note);
    Ok(())
}

/// Notes when a subscriber is there and when not, until its life is over.
async fn watch(
    records: Arc<Records>,
    subscriber: u32,
    mut state: tokio::sync::watch::Receiver<State>,
    over: CancellationToken,
) {
    let mut was_there = false;
    loop {
        let is_there = matches!(&*state.borrow_and_update(), State::Connected(_));
        if over.is_cancelled() {
            return;
        }
        if is_there {
            records.joined(subscriber);
        } else if was_there {
            records.lost(subscriber);
        }
        was_there = is_there;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = over.cancelled() => return,
        }
    }
}
