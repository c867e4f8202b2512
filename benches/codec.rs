//! What one message costs in each protocol: reading a call, writing an event, passing values on.
//!
//! Question answered: does anything on the way of a message cost more than its bytes? Reading must
//! stay far below a tree of the same message (`serde_json::Value`, measured beside it), passing
//! raw values on near a copy, and converting for a mixed audience within a few copies.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot prepare has nothing to measure"
)]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use conduit_realtime::protocol::{HubMessage, Protocol, RawArguments, RawValue, encode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Serialize;

/// A progress report of the size and shape that the product sends.
#[derive(Serialize)]
struct Progress {
    task_id: String,
    state: &'static str,
    percent: f64,
    frame: u32,
    started_at: &'static str,
    note: String,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    name: String,
    took_ms: u32,
    done: bool,
}

fn progress() -> Progress {
    Progress {
        task_id: "01929f5e-7c1b-7d0a-9c55-3f1f0b6f4e21".into(),
        state: "rendering",
        percent: 41.25,
        frame: 17,
        started_at: "2026-11-24T08:00:00Z",
        note: "rendering frame \"17\" of 240; the texture cache is warm\n".repeat(8),
        steps: (0..12)
            .map(|index| Step {
                name: format!("step-{index}"),
                took_ms: index * 137,
                done: index < 9,
            })
            .collect(),
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];
const LIMIT: usize = 32_768;

/// A call with the report as its argument, as a client sends it.
fn call(protocol: Protocol) -> Bytes {
    let arguments = (progress(), 42);
    let call = encode::client_invocation(protocol, false, Some("17"), "Report", &arguments, &[]);
    call.unwrap().payload()
}

/// The report as it arrived from a client.
fn raw_arguments(protocol: Protocol) -> RawArguments {
    let mut stream = BytesMut::from(&call(protocol)[..]);
    let message = protocol.split(&mut stream, LIMIT).unwrap().unwrap();
    match protocol.decode(message).unwrap() {
        HubMessage::Invocation(invocation) => invocation.arguments,
        other => panic!("a call is no {other:?}"),
    }
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_call");
    for protocol in PROTOCOLS {
        let bytes = call(protocol);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(protocol.name(), |b| {
            b.iter_batched(
                || BytesMut::from(&bytes[..]),
                |mut stream| {
                    let message = protocol.split(&mut stream, LIMIT).unwrap().unwrap();
                    (protocol.decode(message).unwrap(), stream)
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    let text = call(Protocol::Json);
    let text = &text[..text.len() - 1];
    group.bench_function("json_as_a_tree", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(text)).unwrap());
    });
    let small = Bytes::from_static(
        b"{\"arguments\":[40,2],\"target\":\"Add\",\"invocationId\":\"9\",\"type\":1}",
    );
    group.bench_function("json_small", |b| {
        b.iter(|| Protocol::Json.decode(black_box(small.clone())))
    });
    let small = Bytes::from_static(b"\x96\x01\x80\xa1\x39\xa3Add\x92\x28\x02\x90");
    group.bench_function("messagepack_small", |b| {
        b.iter(|| Protocol::MessagePack.decode(black_box(small.clone())));
    });
    group.finish();
}

fn binding(c: &mut Criterion) {
    let mut group = c.benchmark_group("cut_arguments");
    for protocol in PROTOCOLS {
        let arguments = raw_arguments(protocol);
        group.throughput(Throughput::Bytes(arguments.bytes().len() as u64));
        group.bench_function(protocol.name(), |b| {
            b.iter(|| black_box(&arguments).values().unwrap())
        });
    }
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("write_event");
    let report = (progress(), 42);
    for protocol in PROTOCOLS {
        group.throughput(Throughput::Bytes(call(protocol).len() as u64));
        group.bench_function(protocol.name(), |b| {
            b.iter(|| encode::invocation(protocol, None, "Report", black_box(&report)).unwrap());
        });
    }
    group.finish();
}

fn passing_on(c: &mut Criterion) {
    let mut group = c.benchmark_group("pass_on");
    for from in PROTOCOLS {
        let arguments = raw_arguments(from);
        group.throughput(Throughput::Bytes(arguments.bytes().len() as u64));
        for to in PROTOCOLS {
            group.bench_function(format!("{}_to_{}", from.name(), to.name()), |b| {
                b.iter(|| encode::invocation(to, None, "Report", black_box(&arguments)).unwrap());
            });
        }
    }
    let published = raw_arguments(Protocol::Json).bytes().clone();
    group.bench_function("check_published_json", |b| {
        b.iter(|| RawValue::parse(Protocol::Json, black_box(published.clone())).unwrap());
    });
    group.finish();
}

criterion_group!(benches, reading, binding, writing, passing_on);
criterion_main!(benches);
