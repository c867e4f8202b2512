//! Publishers: every message is repeated with the same id until the server has answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::flags::{Class, Flags, Rate, Shape};
use crate::http::{Answer as HttpAnswer, Http};
use crate::random::Random;
use crate::records::{Answer, Audience, Note, Records};
use crate::subscribers::{EVENT, message_id};
use crate::world::World;

/// Pairs that may be on their way with `--rate max`: enough for full batches, few enough that the
/// store's bounds are never met.
const ON_THEIR_WAY_MAX: u64 = 40_000;
/// Before a publish without an answer is repeated.
const AGAIN: Duration = Duration::from_millis(100);

/// A timer of the runtime is late by a millisecond or so.
const TIMER_LATE_MAX: Duration = Duration::from_millis(2);

/// Completes when it is time, to some ten microseconds: a late publisher would count as latency.
async fn on_time(due: Instant) {
    if let Some(early) = due.checked_sub(TIMER_LATE_MAX) {
        sleep_until(early).await;
    }
    let rest = due.saturating_duration_since(Instant::now());
    if !rest.is_zero() {
        // It cannot fail: a thread that only sleeps does not panic.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
    }
}

/// What all publishers have in common.
pub(crate) struct Press {
    pub(crate) flags: Flags,
    pub(crate) seed: u64,
    pub(crate) address: String,
    pub(crate) key: &'static str,
    pub(crate) records: Arc<Records>,
    pub(crate) world: Arc<World>,
    pub(crate) tasks: TaskTracker,
    /// No new messages; what has begun goes on.
    pub(crate) closing: CancellationToken,
    /// Nobody waits any longer.
    pub(crate) over: CancellationToken,
}

struct Publisher {
    press: Arc<Press>,
    number: u32,
    http: Http,
    random: Random,
    /// The next number of each audience and lane.
    numbers: HashMap<(Audience, u8), u32>,
    has_refused: bool,
}

impl Press {
    pub(crate) fn start(self: &Arc<Self>) {
        for number in 0..self.flags.publishers {
            let publisher = Publisher {
                press: self.clone(),
                number,
                http: Http::new(&self.address, self.key, &self.tasks),
                random: Random::new(self.seed, 100 + u64::from(number)),
                numbers: HashMap::new(),
                has_refused: false,
            };
            self.tasks.spawn(publisher.run());
        }
    }

    /// How many messages are still to be published.
    fn left(&self) -> u32 {
        let begun = self.records.messages.lock().len();
        let begun = u32::try_from(begun).unwrap_or(u32::MAX);
        self.flags.backlog.map_or(u32::MAX, |all| all.saturating_sub(begun))
    }

    fn is_faulty(&self) -> bool {
        !self.flags.kinds().is_empty()
    }
}

impl Publisher {
    async fn run(mut self) {
        let press = self.press.clone();
        let start = Instant::now();
        let mut published = 0_u32;
        while !press.closing.is_cancelled() {
            let batch = self.batch().min(press.left());
            if batch == 0 {
                return;
            }
            let due = match press.flags.rate {
                Rate::Max => self.wait_for_room().await,
                Rate::PerSecond(rate) => {
                    let own = rate / f64::from(press.flags.publishers);
                    // Publishers take turns; all at once would be a burst.
                    let turn = f64::from(self.number) * f64::from(batch) / rate;
                    let own_time = f64::from(published) / own;
                    let due = start + Duration::from_secs_f64(own_time + turn);
                    tokio::select! {
                        () = on_time(due) => due,
                        () = press.closing.cancelled() => return,
                    }
                }
            };
            let late = Instant::now().saturating_duration_since(due);
            let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            let due_us = press.records.journal.now_us().saturating_sub(late_us);
            let notes: Vec<Note> = (0..batch).map(|_| self.next_note(due_us)).collect();
            self.publish(&notes).await;
            published += batch;
        }
    }

    fn batch(&mut self) -> u32 {
        let by_chance = 1 + u32::try_from(self.random.below(8)).unwrap_or_default();
        match (self.press.flags.batch, self.press.flags.class, self.press.flags.shape) {
            (_, Class::Ordinary, _) => 1,
            (Some(batch), ..) => batch,
            (None, _, Shape::Mixed) => by_chance,
            (None, _, Shape::Group) => 1,
            (None, _, Shape::Single) => 100,
        }
    }

    async fn wait_for_room(&self) -> Instant {
        while self.press.flags.backlog.is_none()
            && self.press.records.on_their_way() > ON_THEIR_WAY_MAX
            && !self.press.closing.is_cancelled()
        {
            sleep(Duration::from_millis(1)).await;
        }
        Instant::now()
    }

    fn next_note(&mut self, due_us: u64) -> Note {
        let audience = self.press.world.draw(&mut self.random);
        let lane = if self.press.is_faulty() && self.random.one_in(5) { 9 } else { 0 };
        let number = self.numbers.entry((audience, lane)).or_default();
        *number += 1;
        let note = Note { m: 0, publisher: self.number, audience, lane, number: *number, due_us };
        self.press.records.begin(note)
    }

    /// Until each of them is accepted or refused.
    async fn publish(&mut self, notes: &[Note]) {
        let single = self.press.flags.class == Class::Ordinary;
        let bodies: Vec<Value> = notes.iter().map(|note| self.body(note)).collect();
        let (path, body) = match &bodies[..] {
            [only] if single => ("/api/v1/hubs/bench/messages", only.clone()),
            all => ("/api/v1/hubs/bench/messages/batch", json!({ "messages": all })),
        };
        let body = body.to_string().into_bytes();
        let mut repeated = false;
        loop {
            let answer = self.http.call(Method::POST, path, body.clone()).await;
            let answered = match &answer {
                Ok(answer) => self.read(notes, single, answer, repeated).await,
                Err(error) => {
                    let m = notes.first().map(|note| note.m);
                    self.press.records.journal.note(|| format!("no answer m={m:?}…: {error}"));
                    false
                }
            };
            if answered || self.press.over.is_cancelled() {
                return;
            }
            repeated = true;
            self.press.records.unanswered_tries.fetch_add(1, Ordering::Relaxed);
            sleep(AGAIN).await;
        }
    }

    fn body(&mut self, note: &Note) -> Value {
        let mut argument = json!(note);
        let length = argument.to_string().len() + 9;
        let pad = (self.press.flags.bytes as usize).saturating_sub(length);
        argument["pad"] = "x".repeat(pad).into();
        let mut body = json!({
            "audience": { "group": World::name(note.audience) },
            "target": EVENT,
            "arguments": [argument],
            "class": self.press.flags.class.name(),
            "messageId": message_id(note.m),
            "priority": note.lane,
        });
        if self.press.flags.class == Class::Acknowledged {
            body["orderingKey"] = format!("p{}", note.publisher).into();
            // A few expire before a subscriber that is away comes back: the receipt has to say so.
            if self.press.is_faulty() && self.random.one_in(50) {
                let end = Utc::now() + chrono::TimeDelta::milliseconds(1_500);
                body["expiresAt"] = end.to_rfc3339_opts(SecondsFormat::Millis, true).into();
            }
            if self.press.is_faulty() && self.random.one_in(10) {
                body["requireAudience"] = true.into();
            }
        }
        body
    }

    /// Notes what the server says of each message. False: of this request nobody knows what became.
    async fn read(
        &mut self,
        notes: &[Note],
        single: bool,
        answer: &HttpAnswer,
        repeated: bool,
    ) -> bool {
        let body = answer.json();
        let results: Vec<Value> = match answer.status {
            200 | 202 if single => vec![body],
            200 | 202 | 207 => match body["results"].as_array() {
                Some(results) if results.len() == notes.len() => results.clone(),
                _ => {
                    self.press.records.odd(format!("a batch answer without its results: {body}"));
                    return false;
                }
            },
            // Nobody knows (500, 504), or not now and not counted (429).
            429 | 500 | 504 => {
                sleep(Duration::from_secs(answer.retry_after_seconds.unwrap_or(0).min(1))).await;
                return false;
            }
            status => {
                let refusal = json!({ "status": status, "type": body["type"] });
                vec![refusal; notes.len()]
            }
        };
        let answers: Vec<Answer> = results.iter().map(|result| self.one(result)).collect();
        let refused = answers.contains(&Answer::Refused);
        self.has_refused |= refused;
        // What was refused at first and accepted when repeated lost its place, unknown to us.
        let order_known = !(repeated && self.has_refused);
        for (note, answer) in notes.iter().zip(answers) {
            self.press.records.answered(note.m, answer, order_known);
        }
        if refused {
            // Full is full for a while; the next ones are other messages.
            sleep(self.random.between_ms(20, 200)).await;
        }
        true
    }

    fn one(&self, result: &Value) -> Answer {
        let kind = result["type"].as_str().unwrap_or_default();
        let status = result["status"].as_u64().unwrap_or(if kind.is_empty() { 202 } else { 503 });
        match status {
            200 | 202 => {
                let targeted = result["targeted"].as_u64().and_then(|all| u32::try_from(all).ok());
                if targeted.is_none() && self.press.flags.class == Class::Acknowledged {
                    self.press.records.odd(format!("a 202 without targeted: {result}"));
                }
                Answer::Accepted { targeted: targeted.unwrap_or_default() }
            }
            // Full, stopping, or nobody there (requireAudience, 409).
            503 => Answer::Refused,
            409 if !kind.ends_with("message_id_reused") => Answer::Refused,
            _ => {
                self.press.records.odd(format!("a publish was answered with {result}"));
                Answer::Refused
            }
        }
    }
}
