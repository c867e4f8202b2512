//! The three promises, each with a server of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    reader::{End, Reader},
    server::{Plan, Server},
};

pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Telling = Pin<Box<dyn Future<Output = Result<String, Problem>>>>;

const READERS: usize = 200;
const OUTBOX_KIB: u64 = 1_024;
const SLACK_KIB: u64 = 16 * 1_024;
const ENDED_WITHIN: Duration = Duration::from_secs(15);
/// What the kernel takes for the one that does not read (it doubles the number).
const RECEIVE_BUFFER_BYTES: usize = 65_536;
const TOO_SLOW: &str =
    r#"{"type":7,"error":"Connection closed: the client reads too slowly.","allowReconnect":true}"#;
/// Kernel buffers and outbox are full after about two seconds; the reset comes five seconds later.
const READS_ON_AFTER: Duration = Duration::from_secs(4);
const FINISH: Duration = Duration::from_secs(60);

pub(crate) fn one_stops() -> Telling {
    Box::pin(async {
        let server = Server::start()?;
        let plan = Plan { events: 20_000, per_second: 500, bytes: 2_048, class: "ordinary" };
        let others = Crowd::connect(&server, READERS).await?;
        let (id, token) = server.negotiate().await?;
        let mut slow =
            Reader::connect(&server.address, Some(&token), Some(RECEIVE_BUFFER_BYTES)).await?;
        let memory = Memory::watch(&server);
        let reading = others.read(plan.events);
        let publishing = server.publish(&plan);
        let ended = async {
            let started = Instant::now();
            while server.is_ours() && server.knows(&id).await? {
                if started.elapsed() > ENDED_WITHIN {
                    return Err(Problem::from(format!(
                        "the slow one is there after {ENDED_WITHIN:?}"
                    )));
                }
                sleep(Duration::from_millis(100)).await;
            }
            Ok(started.elapsed())
        };
        let (took, ended, grown) =
            memory.during(async { tokio::try_join!(publishing, ended) }).await?;
        reading.finish(plan.events).await?;
        if server.is_ours() && grown >= OUTBOX_KIB + SLACK_KIB {
            return Err(format!("the server's memory grew by {grown} KiB").into());
        }
        let end = timeout(FINISH, slow.read_to_end()).await??;
        if server.is_ours() && end == End::CloseFrame && slow.close.as_deref() != Some(TOO_SLOW) {
            return Err(format!("the slow one was told {:?}", slow.close).into());
        }
        if slow.count >= plan.events || !slow.rising {
            return Err(format!("the slow one got {} events", slow.count).into());
        }
        Ok(format!(
            "{READERS} readers got {} events each at {:.0}/s; the slow one ended after {:.1} s ({end:?}, {} events); memory grew by {grown} KiB",
            plan.events,
            plan.events as f64 / took.as_secs_f64(),
            ended.as_secs_f64(),
            slow.count
        ))
    })
}

pub(crate) fn one_reads_on() -> Telling {
    Box::pin(async {
        let server = Server::start()?;
        let plan = Plan { events: 2_500, per_second: 500, bytes: 2_048, class: "ordinary" };
        let others = Crowd::connect(&server, 5).await?;
        let mut slow = Reader::connect(&server.address, None, Some(RECEIVE_BUFFER_BYTES)).await?;
        let reading = others.read(plan.events);
        let reads_on = async {
            sleep(READS_ON_AFTER).await;
            timeout(FINISH, slow.read_to_end()).await?
        };
        let (_, end) = tokio::try_join!(server.publish(&plan), reads_on)?;
        reading.finish(plan.events).await?;
        if (&end, slow.close.as_deref(), slow.close_code)
            != (&End::CloseFrame, Some(TOO_SLOW), Some(1008))
        {
            return Err(format!("{end:?}, {:?}, code {:?}", slow.close, slow.close_code).into());
        }
        if !slow.rising || slow.newest != slow.count.checked_sub(1) {
            return Err(format!(
                "{} events before the end, the newest {:?}",
                slow.count, slow.newest
            )
            .into());
        }
        Ok(format!("{} events without a gap, then Close and 1008", slow.count))
    })
}

pub(crate) fn one_keeps_the_newest() -> Telling {
    Box::pin(async {
        let server = Server::start()?;
        let plan = Plan { events: 2_500, per_second: 500, bytes: 2_048, class: "volatile" };
        let others = Crowd::connect(&server, 5).await?;
        let mut slow = Reader::connect(&server.address, None, Some(RECEIVE_BUFFER_BYTES)).await?;
        let reading = others.read(plan.events);
        server.publish(&plan).await?;
        reading.finish(plan.events).await?;
        slow.send(
            "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Echo\",\"arguments\":[0]}\u{1e}",
        )
        .await?;
        let reads_on = async {
            while slow.completions == 0 || slow.newest != Some(plan.events - 1) {
                if let Some(end) = slow.step().await? {
                    return Err(Problem::from(format!("ended ({end:?}): {:?}", slow.close)));
                }
            }
            Ok(())
        };
        timeout(FINISH, reads_on).await.map_err(|_| "the newest never came")??;
        if !slow.rising || slow.count >= plan.events {
            return Err(format!("{} events came, rising: {}", slow.count, slow.rising).into());
        }
        Ok(format!(
            "{} of {} events, the newest among them, and a call is answered",
            slow.count, plan.events
        ))
    })
}

/// The readers that do read.
struct Crowd(Vec<Reader>);

impl Crowd {
    async fn connect(server: &Server, count: usize) -> Result<Self, Problem> {
        let mut readers = Vec::with_capacity(count);
        for _ in 0..count {
            readers.push(Reader::connect(&server.address, None, None).await?);
        }
        Ok(Self(readers))
    }

    fn read(self, events: u64) -> Reading {
        let read = |mut reader: Reader| async move {
            reader.read_events(events).await?;
            let complete =
                reader.rising && reader.newest == Some(events - 1) && reader.count == events;
            if complete { Ok(()) } else { Err("events were lost, doubled or out of order".into()) }
        };
        Reading(self.0.into_iter().map(|reader| tokio::spawn(read(reader))).collect())
    }
}

struct Reading(Vec<tokio::task::JoinHandle<Result<(), Problem>>>);

impl Reading {
    async fn finish(self, events: u64) -> Result<(), Problem> {
        let all = async {
            for (number, reader) in self.0.into_iter().enumerate() {
                reader.await?.map_err(|problem| format!("reader {number}: {problem}"))?;
            }
            Ok::<(), Problem>(())
        };
        timeout(FINISH, all).await.map_err(|_| format!("not all readers got {events} events"))?
    }
}

/// The growth of the server's resident memory.
struct Memory<'a> {
    server: &'a Server,
    before_kib: u64,
    most_kib: Arc<AtomicU64>,
}

impl<'a> Memory<'a> {
    fn watch(server: &'a Server) -> Self {
        let before_kib = server.rss_kib();
        Self { server, before_kib, most_kib: Arc::new(AtomicU64::new(before_kib)) }
    }

    async fn during<A, B>(
        &self,
        act: impl Future<Output = Result<(A, B), Problem>>,
    ) -> Result<(A, B, u64), Problem> {
        let watching = async {
            loop {
                self.most_kib.fetch_max(self.server.rss_kib(), Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            done = act => {
                let (a, b) = done?;
                Ok((a, b, self.most_kib.load(Ordering::Relaxed) - self.before_kib))
            }
            never = watching => never,
        }
    }
}
