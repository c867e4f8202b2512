//! What it costs to join a group, to leave one, and to go, on a hub with few and with many groups.
//!
//! Question answered: does a disconnect cost only the connection's own groups? It must not grow
//! with the groups or the connections of the hub: the times for 10 and for 10 000 groups, with
//! 10 000 connections in them, must be alike; it may grow with what the connection itself joined.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot prepare has nothing to measure"
)]

mod world;

use std::time::{Duration, Instant};

use conduit_realtime::connections::{Config, Registry};
use conduit_realtime::model::GroupName;
use conduit_realtime::protocol::Protocol;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use world::{Member, Reading, World};

/// Connections that are on the hub before anything is measured.
const CROWD: usize = 10_000;
const GROUPS: [usize; 2] = [10, 10_000];
/// Groups of the connection that goes; 4 is what a client of the product has.
const OWN_GROUPS: [usize; 3] = [1, 4, 16];

/// A hub whose crowd is spread evenly over its groups, and somebody who is not on it yet.
struct Hub {
    registry: Registry,
    newcomer: Member,
    _crowd: Vec<Member>,
}

impl Hub {
    fn with_groups(count: usize) -> Self {
        let world = World::new(&Config::default());
        let registry = Registry::new(world.node.clone());
        let crowd: Vec<_> = (0..CROWD)
            .map(|number| {
                let member = world.member(&format!("c{number}"), Protocol::Json, Reading::All);
                registry.add(&member.connection);
                registry.join(member.connection.id(), &group(number % count)).unwrap();
                member
            })
            .collect();
        let newcomer = world.member("newcomer", Protocol::Json, Reading::All);
        Self { registry, newcomer, _crowd: crowd }
    }

    fn join(&self, group: &GroupName) {
        self.registry.join(self.newcomer.connection.id(), group).unwrap();
    }

    fn leave(&self, group: &GroupName) {
        self.registry.leave(self.newcomer.connection.id(), group);
    }
}

fn group(number: usize) -> GroupName {
    GroupName::from(format!("task-{number}"))
}

/// Into a group of the crowd, or a group that is new, and out of it again.
fn join_and_leave(c: &mut Criterion) {
    let mut benches = c.benchmark_group("join_and_leave");
    for count in GROUPS {
        let hub = Hub::with_groups(count);
        hub.registry.add(&hub.newcomer.connection);
        for (kind, group) in [("known", group(0)), ("new", group(count))] {
            benches.bench_function(BenchmarkId::new(kind, count), |b| {
                b.iter(|| {
                    hub.join(&group);
                    hub.leave(&group);
                });
            });
        }
    }
    benches.finish();
}

/// The end of a connection; its coming and joining are not measured.
fn disconnect(c: &mut Criterion) {
    let mut benches = c.benchmark_group("disconnect");
    for count in GROUPS {
        let hub = Hub::with_groups(count);
        for own in OWN_GROUPS {
            // Half of them are groups of the crowd, the others die with the connection.
            let own_groups: Vec<_> = (count - own / 2..).take(own).map(group).collect();
            benches.bench_function(BenchmarkId::new(format!("own_{own}"), count), |b| {
                b.iter_custom(|times| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        hub.registry.add(&hub.newcomer.connection);
                        own_groups.iter().for_each(|group| hub.join(group));
                        let begin = Instant::now();
                        hub.registry.remove(&hub.newcomer.connection);
                        took += begin.elapsed();
                    }
                    took
                });
            });
        }
    }
    benches.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = join_and_leave, disconnect
}
criterion_main!(benches);
