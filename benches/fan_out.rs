//! What one event costs, from the envelope to the outboxes and on through the flusher.
//!
//! Question answered: what does a receiver cost when sockets cost nothing? `to_outboxes` is what a
//! publisher waits for before its 202: encode once for each protocol, append to each outbox, mark
//! it dirty. `through_flusher` is the same and the writes, into sockets in memory. Both must grow
//! with the receivers alone, stay far below the 5 µs that the kernel takes for a write on loopback
//! (decision 0001), and be alike for both classes. `to_stuck_readers` is what readers cost that
//! take nothing, whose outboxes are at their bound and keep the newest: about as much as others.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot prepare has nothing to measure"
)]

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conduit_realtime::backplane::InProcess;
use conduit_realtime::connections::Config;
use conduit_realtime::delivery::{Delivery, Metrics, event_from_json};
use conduit_realtime::model::{Audience, Class, Envelope};
use conduit_realtime::protocol::{Event, Protocol};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

use world::{HUB, Member, Reading, World};

const READERS: [usize; 3] = [1, 100, 10_000];
const CLASSES: [(&str, Class); 2] = [("ordinary", Class::Ordinary), ("volatile", Class::Volatile)];
/// 256 bytes of arguments, as the load client sends.
const PAYLOAD_BYTES: usize = 252;

/// A hub with readers of both protocols.
struct Hub {
    runtime: Runtime,
    world: World,
    delivery: Arc<Delivery>,
    readers: Vec<Member>,
    arguments: Bytes,
}

impl Hub {
    fn with_readers(count: usize, reading: Reading) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let config = Config { outbox_messages_max: 64, ..Config::default() };
        let world = World::new(&config);
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let backplane = Arc::new(InProcess);
        let delivery =
            Delivery::new(&world.node, backplane, [HUB.into()], metrics, world.tasks.clone());
        let readers = (0..count).map(|number| {
            let protocol = [Protocol::Json, Protocol::MessagePack][number % 2];
            world.member(&format!("c{number}"), protocol, reading)
        });
        let readers: Vec<_> = readers.collect();
        runtime.block_on(async {
            world.start();
            for reader in &readers {
                delivery.connected(&reader.connection).await.unwrap();
            }
        });
        let arguments = format!("[\"{}\"]", "x".repeat(PAYLOAD_BYTES)).into();
        Self { runtime, world, delivery, readers, arguments }
    }

    fn envelope(&self, class: Class) -> Envelope<Event> {
        let event = event_from_json("Broadcast", self.arguments.clone()).unwrap();
        Envelope { class, ..Envelope::ordinary(HUB.into(), Audience::all(), Arc::new(event)) }
    }

    async fn publish(&self, class: Class) {
        self.delivery.publish(self.envelope(class)).await.unwrap();
    }

    /// What the sockets take of one event.
    fn bytes_of_event(&self) -> usize {
        let event = self.envelope(Class::Ordinary).event;
        let bytes = |reader: &Member| {
            let protocol = reader.connection.protocol().unwrap();
            event.encoded(protocol).unwrap().frame().len()
        };
        self.readers.iter().map(bytes).sum()
    }

    /// Publishes so often, each time waiting for the last write; the time until the outboxes have
    /// the events, and the time until all is written.
    fn measure(&self, class: Class, times: u64) -> (Duration, Duration) {
        let bytes = self.bytes_of_event();
        let (mut to_outboxes, mut written) = (Duration::ZERO, Duration::ZERO);
        self.runtime.block_on(async {
            for _ in 0..times {
                let until = self.world.written() + bytes;
                let begin = Instant::now();
                self.publish(class).await;
                to_outboxes += begin.elapsed();
                self.world.until_written(until).await;
                written += begin.elapsed();
            }
        });
        (to_outboxes, written)
    }
}

fn reading(c: &mut Criterion) {
    for count in READERS {
        let hub = Hub::with_readers(count, Reading::All);
        for (name, class) in CLASSES {
            let mut benches = c.benchmark_group("to_outboxes");
            benches.throughput(Throughput::Elements(count as u64));
            benches.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter_custom(|times| hub.measure(class, times).0);
            });
            benches.finish();
            let mut benches = c.benchmark_group("through_flusher");
            benches.throughput(Throughput::Elements(count as u64));
            benches.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter_custom(|times| hub.measure(class, times).1);
            });
            benches.finish();
        }
    }
}

/// Ordinary events end such readers, so only volatile ones can be sent again and again.
fn stuck(c: &mut Criterion) {
    let mut benches = c.benchmark_group("to_stuck_readers");
    for count in READERS {
        let hub = Hub::with_readers(count, Reading::Nothing);
        benches.throughput(Throughput::Elements(count as u64));
        benches.bench_function(BenchmarkId::new("volatile", count), |b| {
            b.iter_custom(|times| {
                let begin = Instant::now();
                hub.runtime.block_on(async {
                    for _ in 0..times {
                        hub.publish(Class::Volatile).await;
                    }
                });
                begin.elapsed()
            });
        });
        assert!(hub.readers.iter().all(|reader| reader.connection.ended().is_none()));
    }
    benches.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = reading, stuck
}
criterion_main!(benches);
