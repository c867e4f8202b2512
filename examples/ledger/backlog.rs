//! A run of its own kind: everything is accepted while everybody is away, the server is killed, and
//! everybody comes back to it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::Problem;
use crate::http::Http;
use crate::publishers::Press;
use crate::random::Random;
use crate::records::{Answer, Records};
use crate::server::Server;
use crate::subscribers::Crowd;

/// Looking so often is precise enough for what takes seconds, and costs the core nothing.
const LOOK: Duration = Duration::from_millis(20);
/// Clients come back at a moment by chance within this, as stock clients with jitter do.
const SPREAD_MS: u64 = 5_000;

/// What such a run measures.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Backlog {
    /// Pairs that were owed when the server was killed.
    owed_pairs: u64,
    owed_messages: u64,
    /// Resident memory with all sessions and nothing owed, and with everything owed.
    empty_rss_kib: u64,
    owed_rss_kib: u64,
    restarted_rss_kib: u64,
    /// From the start of the process until it says that it is ready.
    ready_ms: u64,
    /// From there until the first client that comes back at once has handled its first message.
    first_served_ms: u64,
    /// From the start of the process until a client had handled all it was owed.
    caught_up_ms_p50: u64,
    caught_up_ms_p99: u64,
    caught_up_ms_max: u64,
}

/// Who takes part.
pub(crate) struct Parts<'r> {
    pub(crate) server: &'r Server,
    pub(crate) crowd: &'r std::sync::Arc<Crowd>,
    pub(crate) press: &'r std::sync::Arc<Press>,
    pub(crate) http: &'r mut Http,
    pub(crate) random: &'r mut Random,
    pub(crate) patience: Duration,
}

impl Parts<'_> {
    /// Publishes `messages` to nobody's face, kills the server, and sees everybody catch up.
    pub(crate) async fn run(mut self, messages: u32) -> Result<Backlog, Problem> {
        let everybody = 0..u32::try_from(self.crowd.len())?;
        for subscriber in everybody.clone() {
            self.crowd.kill(subscriber);
        }
        self.until_nobody_is_connected().await?;
        let mut measured = Backlog { empty_rss_kib: self.server.rss_kib(), ..Backlog::default() };
        self.press.start();
        self.until_answered(messages).await;
        let records = self.crowd.records.clone();
        measured.owed_messages = u64::from(messages);
        measured.owed_pairs = records.targeted.load(Ordering::Relaxed);
        measured.owed_rss_kib = self.server.rss_kib();
        let owed = owed_by_each(&records, self.press, everybody.len());

        self.server.kill().await?;
        let began = Instant::now();
        self.server.start().await?;
        measured.ready_ms = ms(began.elapsed());
        measured.restarted_rss_kib = self.server.rss_kib();
        let ready = Instant::now();
        self.crowd.start(0);
        while records.handled_first.load(Ordering::Relaxed) == 0 && ready.elapsed() < self.patience
        {
            sleep(Duration::from_millis(1)).await;
        }
        measured.first_served_ms = ms(ready.elapsed());
        for subscriber in everybody.skip(1) {
            let (crowd, wait) = (self.crowd.clone(), self.random.between_ms(0, SPREAD_MS));
            self.press.tasks.spawn(async move {
                sleep(wait).await;
                crowd.start(subscriber);
            });
        }
        let mut caught_up = self.catch_up(&owed, began).await;
        caught_up.sort_unstable();
        let place = |share: f64| {
            let place = (caught_up.len() as f64 * share).ceil() as usize;
            caught_up.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        measured.caught_up_ms_p50 = place(0.5);
        measured.caught_up_ms_p99 = place(0.99);
        measured.caught_up_ms_max = place(1.0);
        if caught_up.len() < owed.len() {
            let missing = owed.len() - caught_up.len();
            records.odd(format!("{missing} subscribers have not caught up"));
        }
        Ok(measured)
    }

    async fn until_nobody_is_connected(&mut self) -> Result<(), Problem> {
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            let answer = self.http.call(Method::GET, "/health/signalr", Vec::new()).await?;
            if answer.json()["connections"]["active"] == 0 {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err("the connections of the crowd do not end".into())
    }

    async fn until_answered(&self, messages: u32) {
        loop {
            sleep(LOOK).await;
            let records = &self.crowd.records;
            let answered = {
                let all = records.messages.lock();
                all.len() >= messages as usize
                    && all.iter().rev().all(|one| one.answer != Answer::None)
            };
            if answered {
                return;
            }
        }
    }

    /// When each subscriber had handled as much as it was owed, in milliseconds after `began`.
    async fn catch_up(&self, owed: &[u64], began: Instant) -> Vec<u64> {
        let mut waiting: Vec<usize> = (0..owed.len()).collect();
        let mut caught_up = Vec::new();
        while !waiting.is_empty() && began.elapsed() < self.patience {
            sleep(LOOK).await;
            let now = ms(began.elapsed());
            waiting.retain(|subscriber| {
                let handled = self.crowd.records.seen[*subscriber].lock().first_handled;
                if handled >= owed[*subscriber] {
                    caught_up.push(now);
                }
                handled < owed[*subscriber]
            });
        }
        caught_up
    }
}

fn owed_by_each(records: &Records, press: &Press, subscribers: usize) -> Vec<u64> {
    use crate::judge::Members;
    let mut owed = vec![0; subscribers];
    for message in records.messages.lock().iter() {
        if matches!(message.answer, Answer::Accepted { .. }) {
            for member in press.world.of(message.note.audience) {
                owed[*member as usize] += 1;
            }
        }
    }
    owed
}

fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
