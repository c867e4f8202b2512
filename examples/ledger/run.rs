//! One run from the first start to the verdict.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Problem;
use crate::backlog::{Backlog, Parts};
use crate::bare::{Crowded, start_all};
use crate::disk::{Disk, SyncCost, sync_cost};
use crate::faults::{Counts, Saboteur};
use crate::flags::{Class, Flags, Kit, Rate, Shape};
use crate::http::Http;
use crate::journal::Journal;
use crate::judge::{Findings, Receipt, Stats, broken, find, lost};
use crate::plan::{Kind, plan};
use crate::proxy::Proxy;
use crate::publishers::Press;
use crate::random::Random;
use crate::records::{Records, Seen};
use crate::report::Report;
use crate::say;
use crate::server::{KEY, Server};
use crate::subscribers::{Crowd, message_id};
use crate::world::World;

/// Receipts that are asked for; a run that needs more has failed anyway.
const RECEIPTS_MAX: usize = 20_000;
const LOOK: Duration = Duration::from_millis(100);

/// What is running.
struct Run<'f> {
    flags: &'f Flags,
    seed: u64,
    records: Arc<Records>,
    world: Arc<World>,
    press: Arc<Press>,
    saboteur: Saboteur,
    http: Http,
    sync: SyncCost,
    backlog: Option<Backlog>,
}

/// How long things took, and what was so far when publishing ended.
struct Times {
    publishing: Duration,
    handled_meanwhile: u64,
    settling: Duration,
    /// Seconds of a core.
    server_cpu: f64,
    ledger_cpu: f64,
}

pub(crate) async fn run(flags: &Flags, seed: u64, directory: &Path) -> Result<Report, Problem> {
    let mut run = prepare(flags, seed, directory).await?;
    let planned = plan(seed, &flags.kinds(), Duration::from_secs(flags.seconds));
    say(&format!("plan: {} faults", planned.len()));
    let started = Instant::now();
    let (server, own) = (run.saboteur.server.clone(), std::process::id());
    // Since its last start, if it is killed.
    let cpu = || (Server::cpu_seconds(server.pid().unwrap_or(own)), Server::cpu_seconds(own));
    let cpu_before = cpu();
    if let Some(messages) = flags.backlog {
        run.backlog = Some(run.pile_up(messages).await?);
    } else {
        run.press.start();
        run.saboteur.run(&planned).await?;
        tokio::time::sleep_until(started + Duration::from_secs(flags.seconds)).await;
    }
    run.press.closing.cancel();
    let handled_meanwhile = run.records.handled.load(Ordering::Relaxed);
    let publishing = started.elapsed();
    let (stats, settling) = run.settle().await;
    run.press.over.cancel();
    let cpu = cpu();
    let times = Times {
        publishing,
        handled_meanwhile,
        settling,
        server_cpu: (cpu.0 - cpu_before.0).max(0.0),
        ledger_cpu: cpu.1 - cpu_before.1,
    };
    let report = run.judge(stats, &times).await;
    let kept = run.records.journal.close(!report.proves());
    if let Some(path) = kept {
        say(&format!("event log: {}", path.display()));
    }
    run.saboteur.server.kill().await?;
    if !report.proves()
        && let Some(disk) = &run.saboteur.disk
    {
        disk.keep(&directory.join("store-kept"))?;
    }
    Ok(report)
}

async fn prepare<'f>(flags: &'f Flags, seed: u64, directory: &Path) -> Result<Run<'f>, Problem> {
    let tasks = TaskTracker::new();
    let store = directory.join("store");
    std::fs::create_dir_all(&store)?;
    let sync = sync_cost(&store)?;
    let disk = flags.kinds().contains(&Kind::FullDisk).then(|| Disk::prepare(&store)).map(Arc::new);
    if let Some(disk) = &disk {
        say(&disk.describe());
    }
    let (server, configuration) = Server::prepare(flags, directory, &tasks).await?;
    say(&format!("configuration of the server:\n{configuration}"));
    server.start().await?;
    // Measuring is not to wait for a log.
    let is_logged = flags.rate != Rate::Max && flags.shape == Shape::Mixed;
    let journal = Journal::create(&directory.join("events.log"), is_logged)?;
    let records = Records::new(journal, flags.subscribers);
    let world = Arc::new(World::new(flags.shape, flags.subscribers));
    let proxy = Proxy::start(&server.address, &tasks).await?;
    // What nothing happens to needs no proxy, which would only take the core.
    let address = if flags.kinds().is_empty() { &server.address } else { &proxy.address };
    let url = format!("http://{address}/hubs/bench");
    let crowd = Crowd::new(flags, seed, url, &records, &world, &tasks)?;
    crowd.start_all(Duration::from_secs(60)).await?;
    let over = CancellationToken::new();
    if flags.client == Kit::Bare {
        let address = &server.address;
        let crowded = Crowded { flags, address, records: &records, world: &world };
        start_all(crowded, &over).await?;
    }
    let press = Arc::new(Press {
        flags: flags.clone(),
        seed,
        address: server.address.clone(),
        key: KEY,
        records: records.clone(),
        world: world.clone(),
        tasks: tasks.clone(),
        closing: CancellationToken::new(),
        over,
    });
    let http = Http::new(&server.address, KEY, &tasks);
    let random = Random::new(seed, 2);
    let saboteur =
        Saboteur { server, proxy, crowd, disk, random, tasks, counts: Counts::default() };
    Ok(Run { flags, seed, records, world, press, saboteur, http, sync, backlog: None })
}

impl Run<'_> {
    async fn pile_up(&mut self, messages: u32) -> Result<Backlog, Problem> {
        let saboteur = &mut self.saboteur;
        let parts = Parts {
            server: &saboteur.server,
            crowd: &saboteur.crowd,
            press: &self.press,
            http: &mut self.http,
            random: &mut saboteur.random,
            patience: Duration::from_secs(self.flags.settle_seconds),
        };
        parts.run(messages).await
    }

    /// Until nothing is pending, unanswered or away, at most so long as is allowed.
    async fn settle(&mut self) -> (Option<Stats>, Duration) {
        let start = Instant::now();
        let deadline = start + Duration::from_secs(self.flags.settle_seconds);
        loop {
            let stats = self.stats().await;
            let is_settled = match (self.flags.class, &stats) {
                (Class::Acknowledged, Some(stats)) => stats.pending == 0 && stats.open == 0,
                (Class::Acknowledged, None) => false,
                (Class::Ordinary, _) => true,
            };
            let is_answered = {
                let messages = self.records.messages.lock();
                messages.iter().rev().all(|one| one.answer != crate::records::Answer::None)
            };
            let is_there = self.saboteur.crowd.absent() == 0;
            if (is_settled && is_answered && is_there) || Instant::now() > deadline {
                let took = start.elapsed();
                // What is on its way to a handler needs no server any more.
                sleep(LOOK * 5).await;
                return (stats, took);
            }
            sleep(LOOK).await;
        }
    }

    async fn stats(&mut self) -> Option<Stats> {
        if self.flags.class == Class::Ordinary {
            return None;
        }
        let answer =
            self.http.call(Method::GET, "/api/v1/delivery/stats", Vec::new()).await.ok()?;
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)
    }

    async fn receipts(&mut self, found: &Findings) -> BTreeMap<u32, Receipt> {
        let mut receipts = BTreeMap::new();
        if self.flags.class == Class::Ordinary {
            return receipts;
        }
        for m in found.missing.keys().take(RECEIPTS_MAX) {
            let path = format!("/api/v1/messages/{}", message_id(*m));
            let Ok(answer) = self.http.call(Method::GET, &path, Vec::new()).await else { continue };
            if let Ok(receipt) = serde_json::from_slice(&answer.body)
                && answer.status == 200
            {
                receipts.insert(*m, receipt);
            }
        }
        receipts
    }

    fn find(&self) -> Findings {
        let messages = self.records.messages.lock();
        let locked: Vec<_> = self.records.seen.iter().map(|seen| seen.lock()).collect();
        let seen: Vec<&Seen> = locked.iter().map(|seen| &**seen).collect();
        find(&messages, &seen, &*self.world, |one| self.flags.remembers(one))
    }

    async fn judge(&mut self, stats: Option<Stats>, times: &Times) -> Report {
        let found = self.find();
        let receipts = self.receipts(&found).await;
        for (m, missing) in &found.missing {
            let receipt = receipts.get(m);
            self.records.journal.note(|| format!("MISSING m={m} pairs={missing} {receipt:?}"));
        }
        let lost = lost(&found, &receipts, stats.as_ref());
        let mut broken_sums = self.records.odd_answers.lock().clone();
        match (&stats, self.flags.class) {
            (Some(stats), _) => broken_sums.extend(broken(&found, stats)),
            (None, Class::Acknowledged) => broken_sums.push("the server gives no counts".into()),
            (None, Class::Ordinary) => {}
        }
        self.report(&found, lost, stats.unwrap_or_default(), broken_sums, times)
    }

    fn report(
        &self,
        found: &Findings,
        lost: u64,
        stats: Stats,
        broken: Vec<String>,
        times: &Times,
    ) -> Report {
        let records = &self.records;
        let server = &self.saboteur.server;
        let (to_ack, to_answer) = (records.to_ack.lock(), records.to_answer.lock());
        let all = times.publishing + times.settling;
        Report {
            seed: self.seed,
            accepted: found.accepted,
            refused: found.refused,
            unanswered: found.unanswered,
            targeted: stats.targeted,
            acknowledged: stats.acknowledged,
            unconfirmed: stats.unconfirmed,
            expired: stats.expired,
            dead: stats.dead,
            pending: stats.pending,
            lost,
            handled_twice: found.handled_twice,
            redelivered: found.redelivered,
            reordered: found.reordered,
            refused_but_handled: found.refused_but_handled,
            handled: found.handled_pairs,
            unchecked: found.unchecked,
            absent: self.saboteur.crowd.absent() as u64,
            faults: self.saboteur.counted(),
            repeated: records.unanswered_tries.load(Ordering::Relaxed),
            disconnects: records.losses.load(Ordering::Relaxed),
            gaps: records.gaps.load(Ordering::Relaxed),
            settle_ms: u64::try_from(times.settling.as_millis()).unwrap_or(u64::MAX),
            failed_starts: server.failed_starts.load(Ordering::Relaxed),
            ready_ms_max: server.ready_ms_max.load(Ordering::Relaxed),
            away_ms_p99: records.away.lock().quantile_ms(0.99),
            acknowledged_per_second: stats.acknowledged as f64 / all.as_secs_f64(),
            server_cpu: times.server_cpu / all.as_secs_f64(),
            ledger_cpu: times.ledger_cpu / all.as_secs_f64(),
            handled_per_second: times.handled_meanwhile as f64 / times.publishing.as_secs_f64(),
            answer_ms_p50: to_answer.quantile_ms(0.5),
            answer_ms_p99: to_answer.quantile_ms(0.99),
            ack_ms_p50: to_ack.quantile_ms(0.5),
            ack_ms_p99: to_ack.quantile_ms(0.99),
            fdatasync_ms_p50: self.sync.p50_ms,
            fdatasync_ms_p99: self.sync.p99_ms,
            fdatasyncs_per_second: self.sync.per_second,
            server_rss_mib: server.rss_kib_max() / 1_024,
            backlog: self.backlog,
            broken,
        }
    }
}
