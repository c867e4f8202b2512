//! Acks, nacks, silence, lost links, stalls, restarts and requeues in any order, against a model that
//! knows only the rules.
//!
//! One client with a session. The model is told what the client and the world do, and the time; what
//! it says about each message (copies, retry counts, status, end) must be what is seen.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::world::{Client, Plan, World};
use crate::delivery::acks::{Config, Status};
use crate::store::{DeadFilter, Target};

const ACK_TIMEOUT: Duration = Duration::from_millis(1_000);
const REPEATS_MAX: u8 = 2;
/// Nearer than this to a deadline nobody knows whether it is over.
const BLUR: Duration = Duration::from_millis(25);

#[derive(Clone, Debug)]
enum Step {
    Publish,
    /// About one of the messages that the client has seen on this connection.
    Say(usize, Word),
    Pass(u64),
    /// The link is cut, or the client comes again.
    Link,
    Stall,
    ReadOn,
    /// The gateway is killed and started again.
    Restart,
    Requeue,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Ack,
    Nack(u64),
    StillWorking,
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![
        4 => Just(Word::Ack),
        4 => (0..2_000_u64).prop_map(Word::Nack),
        1 => Just(Word::StillWorking),
        1 => Just(Word::GiveUp),
    ];
    prop_oneof![
        5 => Just(Step::Publish),
        8 => (0..8_usize, word).prop_map(|(which, word)| Step::Say(which, word)),
        6 => (1..1_500_u64).prop_map(Step::Pass),
        3 => Just(Step::Link),
        1 => Just(Step::Stall),
        2 => Just(Step::ReadOn),
        1 => Just(Step::Restart),
        1 => Just(Step::Requeue),
    ]
}

/// Where a message is, by the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nobody is there.
    Owed,
    /// In the outbox of a client that does not read.
    Stuck,
    /// The answer is due.
    Sent(Instant),
    /// It comes again then.
    Refused(Instant),
    Acked,
    Dead,
}

#[derive(Clone, Debug)]
struct Rule {
    phase: Phase,
    attempts: u16,
    repeats: u8,
    /// What a restart gives back: what was spent when an attempt failed last.
    noted: (u16, u8),
    /// Copies that this connection was sent, and the retry count of the newest.
    copies: usize,
    newest: i64,
    /// The retry count of the copy in the outbox of a client that does not read. It is written some
    /// time, whatever becomes of the message.
    stuck: Option<i64>,
}

impl Rule {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Acked | Phase::Dead)
    }

    fn send(&mut self, link: Link, now: Instant) {
        match link {
            Link::Cut => self.phase = Phase::Owed,
            Link::Stalled => {
                self.stuck = Some(self.attempts.into());
                self.phase = Phase::Stuck;
            }
            Link::Reads => {
                self.copies += 1;
                self.newest = self.attempts.into();
                self.attempts += 1;
                self.phase = Phase::Sent(now + ACK_TIMEOUT);
            }
        }
    }

    fn read(&mut self, now: Instant) {
        let Some(retry_count) = self.stuck.take() else { return };
        self.copies += 1;
        self.newest = retry_count;
        if self.phase == Phase::Stuck {
            self.attempts += 1;
            self.phase = Phase::Sent(now + ACK_TIMEOUT);
        }
    }

    /// An attempt was in vain; what is left of the budget decides.
    fn fail(&mut self, then: Phase) {
        let is_spent = self.repeats >= REPEATS_MAX;
        self.repeats += u8::from(!is_spent);
        self.noted = (self.attempts, self.repeats);
        self.phase = if is_spent { Phase::Dead } else { then };
    }

    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Sent(due) | Phase::Refused(due) => Some(due),
            _ => None,
        }
    }

    fn pass(&mut self, link: Link, now: Instant) {
        while let Some(due) = self.due().filter(|due| *due <= now) {
            if let Phase::Sent(_) = self.phase {
                self.fail(Phase::Refused(due));
            } else {
                self.send(link, due);
            }
        }
    }

    fn hear(&mut self, word: Word, now: Instant) {
        match (word, self.phase) {
            (Word::Ack, _) => self.phase = Phase::Acked,
            (_, Phase::Acked | Phase::Dead) => {}
            (Word::GiveUp, _) => self.phase = Phase::Dead,
            (Word::Nack(ms), Phase::Sent(_)) => {
                self.fail(Phase::Refused(now + Duration::from_millis(ms)));
            }
            (Word::StillWorking, Phase::Sent(_)) => self.phase = Phase::Sent(now + ACK_TIMEOUT),
            _ => {}
        }
    }

    fn status(&self) -> Status {
        match self.phase {
            Phase::Owed | Phase::Stuck | Phase::Sent(_) => Status::Pending,
            Phase::Refused(_) => Status::Nacked,
            Phase::Acked => Status::Acknowledged,
            Phase::Dead => Status::Dead,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Link {
    Cut,
    Stalled,
    Reads,
}

struct Story {
    world: World,
    client: Option<Client>,
    link: Link,
    rules: Vec<Rule>,
    /// What is requeued comes behind what was sent since.
    has_requeued: bool,
}

impl Story {
    async fn begin() -> Self {
        let config = Config {
            ack_timeout_ms: 1_000,
            retry_attempts_max: REPEATS_MAX,
            // The waits of the policy are over at once; those that clients ask for are not.
            backoff_ms_min: 1,
            backoff_ms_max: 1,
            processing_interval_ms: 1,
            // Breakers have stories of their own.
            breaker_failures_max: 1_000_000,
            breaker_outcomes_min: 1_000_000,
            ..Config::default()
        };
        let world = World::with(Plan { config, ..Plan::default() }).await;
        let client = Some(world.client("a").await);
        Self { world, client, link: Link::Reads, rules: Vec::new(), has_requeued: false }
    }

    async fn play(mut self, step: &Step) -> Self {
        let now = Instant::now();
        match *step {
            Step::Publish => {
                let id = format!("m{}", self.rules.len());
                self.world.publish(&id).await;
                let mut rule = Rule {
                    phase: Phase::Owed,
                    attempts: 0,
                    repeats: 0,
                    noted: (0, 0),
                    copies: 0,
                    newest: -1,
                    stuck: None,
                };
                rule.send(self.link, now);
                self.rules.push(rule);
            }
            Step::Say(which, word) => self.say(which, word).await,
            Step::Pass(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Link => match self.client.take() {
                Some(client) => {
                    self.cut();
                    client.leave(&self.world).await;
                }
                None => self.come_back().await,
            },
            Step::Stall => {
                if let Some(client) = &self.client {
                    client.socket.stop_reading();
                    self.link = Link::Stalled;
                }
            }
            Step::ReadOn => {
                if let Some(client) = &self.client {
                    client.socket.read_on();
                    self.link = Link::Reads;
                    self.rules.iter_mut().for_each(|rule| rule.read(now));
                }
            }
            Step::Restart => {
                for rule in self.rules.iter_mut().filter(|rule| !rule.is_over()) {
                    rule.phase = Phase::Owed;
                    (rule.attempts, rule.repeats) = rule.noted;
                }
                self.link = Link::Cut;
                self.client = None;
                self.world = self.world.restart().await;
            }
            // A copy that waits in an outbox would be one of two.
            Step::Requeue if self.link == Link::Stalled => {}
            Step::Requeue => {
                self.has_requeued = true;
                let (filter, target) = (DeadFilter::default(), Target::SameSubscriber);
                self.world.dead().await;
                self.world.delivery.requeue(filter, target, 100).await.unwrap();
                for rule in self.rules.iter_mut().filter(|rule| rule.phase == Phase::Dead) {
                    rule.phase = Phase::Owed;
                    (rule.attempts, rule.repeats, rule.noted) = (0, 0, (0, 0));
                }
                self.send_all(|rule| rule.phase == Phase::Owed);
            }
        }
        self
    }

    async fn say(&mut self, which: usize, word: Word) {
        // After a requeue an answer to the life before would be taken for one to the first copy.
        let is_seen = |rule: &Rule| rule.copies > 0 && (rule.attempts > 0 || rule.is_over());
        let seen = self.rules.iter().enumerate().filter(|(_, rule)| is_seen(rule));
        let seen: Vec<usize> = seen.map(|(index, _)| index).collect();
        let (Some(client), Some(&index)) = (&self.client, seen.get(which % seen.len().max(1)))
        else {
            return;
        };
        let (id, own) = (format!("m{index}"), &client.subscription);
        match word {
            Word::Ack => _ = client.ack(&id).await,
            Word::Nack(ms) => _ = own.nack(&id, None, Some(Duration::from_millis(ms))),
            Word::StillWorking => _ = own.still_working(&id),
            Word::GiveUp => _ = own.give_up(&id, None),
        }
        self.rules[index].hear(word, Instant::now());
    }

    /// Whatever was out counts for nothing, and nothing is spent.
    fn cut(&mut self) {
        self.link = Link::Cut;
        for rule in self.rules.iter_mut().filter(|rule| !rule.is_over()) {
            if let Phase::Sent(_) = rule.phase {
                rule.noted = (rule.attempts, rule.repeats);
            }
            rule.phase = Phase::Owed;
        }
    }

    async fn come_back(&mut self) {
        self.link = Link::Reads;
        for rule in &mut self.rules {
            (rule.copies, rule.newest, rule.stuck) = (0, -1, None);
        }
        self.client = Some(self.world.client("a").await);
        self.send_all(|rule| rule.phase == Phase::Owed);
    }

    fn send_all(&mut self, which: impl Fn(&Rule) -> bool) {
        let (link, now) = (self.link, Instant::now());
        self.rules.iter_mut().filter(|rule| which(rule)).for_each(|rule| rule.send(link, now));
    }

    /// Everything is where the rules say it is.
    async fn look(&mut self) {
        // Long enough for tasks, and until no deadline is near.
        loop {
            tokio::time::sleep(BLUR).await;
            let now = Instant::now();
            let is_near =
                |rule: &Rule| rule.due().is_some_and(|due| due < now + BLUR && now < due + BLUR);
            if self.rules.iter().any(is_near) {
                continue;
            }
            self.rules.iter_mut().for_each(|rule| rule.pass(self.link, now));
            if !self.rules.iter().any(is_near) {
                break;
            }
        }
        let count = |phase: Phase| self.rules.iter().filter(|rule| rule.phase == phase).count();
        let pairs = self.world.pairs().await;
        let expected = (count(Phase::Acked) as u64, count(Phase::Dead) as u64);
        assert_eq!((pairs.acknowledged, pairs.dead), expected, "{:#?}", self.rules);
        assert_eq!(pairs.targeted(), self.rules.len() as u64);
        let Some(client) = &self.client else { return };
        let mut copies = vec![(0, -1); self.rules.len()];
        let mut firsts = Vec::new();
        for message in client.socket.messages() {
            let told = &message["arguments"][0];
            let Some(id) = told["messageId"].as_str() else { continue };
            let index: usize = id[1..].parse().unwrap();
            if copies[index].0 == 0 {
                firsts.push(index);
            }
            copies[index] = (copies[index].0 + 1, told["retryCount"].as_i64().unwrap());
        }
        assert!(self.has_requeued || firsts.is_sorted(), "{firsts:?}");
        let expected: Vec<_> = self.rules.iter().map(|rule| (rule.copies, rule.newest)).collect();
        assert_eq!(copies, expected, "copies and retry counts: {:#?}", self.rules);
        for (index, rule) in self.rules.iter().enumerate() {
            let status = client.subscription.status(&format!("m{index}")).await.unwrap();
            assert_eq!(status, Some(rule.status()), "m{index}: {rule:?}");
        }
    }
}

async fn story(steps: Vec<Step>) {
    let mut story = Story::begin().await;
    for step in &steps {
        story = story.play(step).await;
        story.look().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_what_can_happen_ends_where_the_rules_say(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(story(steps));
    }
}
