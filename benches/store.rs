//! What the store costs: `cargo bench --bench store`. Prints a table; needs 1 GiB of disk.
//!
//! Questions answered: how many messages a second are accepted and acknowledged when a commit holds
//! a hundred, what a group of a thousand makes of that, how long a store with a million pairs takes
//! to open, and what a pair costs in memory. The disk's own sync stands beside, from the same run.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use conduit_realtime::model::{
    Audience, ConnectionId, HubName, MessageId, Priority, Tenant, UserId,
};
use conduit_realtime::store::{
    Acceptance, ClientKey, Config, Content, Encoding, Identity, LocalStore, Metrics, Moment,
    NewMessage, Open, Outcome, SessionKey, Settle, Store, SubscriberId, Which,
};
use futures_util::future::join_all;

const RUN: Duration = Duration::from_secs(5);
/// Publishes that wait at the same time, as in a batch over HTTP.
const BATCH: usize = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = std::env::temp_dir().join("conduit-bench-store");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    sync_of_the_disk(&folder);
    runtime.block_on(async {
        // First, while the memory of the process says something about them.
        million(&folder.join("1000x1000"), 1_000, 1_000).await;
        million(&folder.join("1000000x1"), 1_000_000, 1).await;
        for embedded in [false, true] {
            let name = if embedded { "embedded" } else { "memory" };
            let store = opened(embedded, &folder.join("single"));
            println!("{name:9} single  {:>9.0} accepted and acked/s", single(&*store).await);
            drop(store);
            let store = opened(embedded, &folder.join("group"));
            println!("{name:9} group   {:>9.0} pairs accepted and acked/s", group(&*store).await);
        }
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What writing and syncing 30 KB, a hundred small messages, costs without us.
fn sync_of_the_disk(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&[7; 30_000]).unwrap();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    println!(
        "disk      30 KB + fdatasync p50 {:?} p99 {:?}, {:.0}/s",
        times[250],
        times[495],
        500.0 / total.as_secs_f64()
    );
}

/// Each message to one of a thousand, a hundred at a time; acks ride with the next hundred.
async fn single(store: &dyn Store) -> f64 {
    let subscribers = subscribers(store, 1_000).await;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < RUN {
        let accepted = join_all((0..BATCH).map(|_| {
            count += 1;
            let user = Audience::User(UserId::from(format!("u{}", count % subscribers.len())));
            store.accept(message(count, user), now())
        }))
        .await;
        let settles = accepted.into_iter().map(|accepted| match accepted.unwrap() {
            Acceptance::Accepted(accepted) => Settle {
                subscriber: accepted.subscribers[0],
                message: Which::Seq(accepted.seq),
                outcome: Outcome::Acknowledged,
            },
            other => panic!("{other:?}"),
        });
        drop(store.settle(settles.collect(), now()));
    }
    count as f64 / start.elapsed().as_secs_f64()
}

/// Each message to one group of a thousand, whose members each ack it in a call of their own.
async fn group(store: &dyn Store) -> f64 {
    let subscribers = subscribers(store, 1_000).await;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < RUN {
        count += 1;
        let accepted = store.accept(message(count, Audience::group("g")), now()).await.unwrap();
        let Acceptance::Accepted(accepted) = accepted else { panic!("{accepted:?}") };
        for &subscriber in &accepted.subscribers {
            let message = Which::Seq(accepted.seq);
            let settle = Settle { subscriber, message, outcome: Outcome::Acknowledged };
            drop(store.settle(vec![settle], now()));
        }
    }
    (count * subscribers.len()) as f64 / start.elapsed().as_secs_f64()
}

/// Memory of a million owed pairs, and how long they take to be there again.
async fn million(folder: &Path, messages: usize, each: usize) {
    let before = resident_bytes();
    let store = opened(true, folder);
    subscribers(&*store, each).await;
    let start = Instant::now();
    for first in (0..messages).step_by(BATCH) {
        let batch = first..(first + BATCH).min(messages);
        let accepted =
            join_all(batch.map(|n| store.accept(message(n, Audience::group("g")), now())));
        assert!(accepted.await.iter().all(|found| matches!(found, Ok(Acceptance::Accepted(_)))));
    }
    let taken = start.elapsed();
    let used = resident_bytes().saturating_sub(before);
    drop(store);
    let start = Instant::now();
    let store = opened(true, folder);
    let again = start.elapsed();
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.pairs.pending, (messages * each) as u64);
    println!(
        "embedded  {messages} x {each}: taken in {taken:.1?}, {} MB resident ({} bytes a message), \
         there again in {again:.1?}",
        used / 1_000_000,
        used / messages as u64,
    );
}

fn opened(embedded: bool, path: &Path) -> Arc<dyn Store> {
    let config = Config {
        path: PathBuf::from(path),
        pending_per_tenant_max: 2_000_000,
        pending_max: 2_000_000,
        idempotency_keys_max: 10_000_000,
        mib_per_tenant_max: 8_192,
        mib_max: 8_192,
        ..Config::default()
    };
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    if embedded {
        Arc::new(LocalStore::open(config, metrics, now()).unwrap())
    } else {
        Arc::new(LocalStore::in_memory(config, metrics))
    }
}

async fn subscribers(store: &dyn Store, count: usize) -> Vec<SubscriberId> {
    let opened = join_all((0..count).map(|n| {
        let name = format!("u{n}");
        let identity = Identity::Named(name.as_str().into());
        let client = Some(ClientKey::of(&identity, "tab").unwrap());
        let key = SessionKey { hub: HubName::from("tasks"), identity, client };
        let connection = ConnectionId::from(format!("c{n}"));
        store.open(Open { key, connection, caller: name.into() }, now())
    }))
    .await;
    let ids: Vec<SubscriberId> =
        opened.into_iter().map(|found| found.unwrap().subscriber).collect();
    join_all(ids.iter().map(|id| store.join(*id, "g".into(), now()))).await;
    ids
}

fn message(n: usize, audience: Audience) -> NewMessage {
    NewMessage {
        id: MessageId::new_v7(),
        tenant: Tenant::from("bench"),
        hub: HubName::from("tasks"),
        audience,
        priority: Priority::default(),
        critical: false,
        expires_at: None,
        content: Content {
            target: "TaskProgress".into(),
            encoding: Encoding::Json,
            arguments: Bytes::from(format!("[\"{n:0>252}\"]")),
            ordering_key: None,
            correlation_id: None,
        },
        body_hash: [0; 16],
        require_audience: true,
    }
}

fn now() -> Moment {
    Moment::from(SystemTime::now())
}

/// Of this process, as Linux says.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4_096
}
