//! A server of the tests' own with a defect of choice: the ledger has to find it, and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use clap::Parser;

use crate::bare::{Crowded, start_all};
use crate::flags::{Flags, Kit};
use crate::journal::Journal;
use crate::judge::{Findings, Stats, broken, find, lost};
use crate::publishers::Press;
use crate::records::{Records, Seen};
use crate::subscribers::Crowd;
use crate::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// Some are never sent, and called acknowledged.
    Loses,
    /// Everything is sent twice.
    Repeats,
    /// Some are sent again as if they were others.
    Doubles,
    /// Some overtake the one before.
    Reorders,
    /// Some are refused, and sent.
    RefusesAndSends,
}

struct Simulation {
    defect: Defect,
    state: Mutex<State>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    /// Client id → where its frames go.
    connected: HashMap<String, mpsc::Sender<String>>,
    groups: HashMap<String, BTreeSet<String>>,
    pairs: HashMap<(String, String), bool>,
    held: HashMap<String, String>,
    accepted: u64,
}

impl Simulation {
    async fn start(defect: Defect, tasks: &TaskTracker) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let simulation = Arc::new(Self { defect, state: Mutex::default(), tasks: tasks.clone() });
        let accepting = simulation.clone();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.tasks.spawn(accepting.clone().serve(stream));
            }
        });
        (simulation, address)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut first = [0; 10];
        while stream.peek(&mut first).await.unwrap_or(10) < 10 {}
        if first.starts_with(b"GET /hubs/") {
            return self.converse(stream).await;
        }
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8(std::mem::take(&mut head)).unwrap().to_lowercase();
            let length = text.split("content-length: ").nth(1).unwrap_or("0");
            let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            let answer = self.answer(&text, &body).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).await.unwrap();
        }
    }

    fn answer(&self, head: &str, body: &[u8]) -> Value {
        if head.starts_with("post /hubs/bench/negotiate") {
            return json!({"negotiateVersion": 1, "connectionId": "c", "connectionToken": "t",
                "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}]});
        }
        assert!(head.starts_with("post /api/v1/hubs/bench/messages/batch"), "{head}");
        let batch: Value = serde_json::from_slice(body).unwrap();
        let messages = batch["messages"].as_array().unwrap();
        let mut state = self.state.lock();
        json!({"results": messages.iter().map(|one| self.publish(&mut state, one)).collect::<Vec<_>>()})
    }

    fn publish(&self, state: &mut State, message: &Value) -> Value {
        let id = message["messageId"].as_str().unwrap().to_owned();
        assert_eq!(message["class"], "acknowledged");
        let number: u64 = id.rsplit('-').next().unwrap().parse().unwrap();
        let chosen = number.is_multiple_of(7);
        let group = message["audience"]["group"].as_str().unwrap();
        let members = state.groups.get(group).cloned().unwrap_or_default();
        let refused = self.defect == Defect::RefusesAndSends && chosen;
        for member in &members {
            let pair = (id.clone(), member.clone());
            if self.defect == Defect::Loses && chosen {
                state.pairs.insert(pair, true);
                continue;
            }
            if !refused {
                state.pairs.insert(pair, false);
            }
            let copy = event(message, &id, 0);
            if self.defect == Defect::Reorders && chosen && !state.held.contains_key(member) {
                state.held.insert(member.clone(), copy);
                continue;
            }
            let Some(to) = state.connected.get(member).cloned() else { continue };
            to.try_send(copy).unwrap();
            if self.defect == Defect::Repeats {
                to.try_send(event(message, &id, 1)).unwrap();
            }
            if self.defect == Defect::Doubles && chosen {
                to.try_send(event(message, &format!("{id}-again"), 0)).unwrap();
            }
            if let Some(held) = state.held.remove(member) {
                to.try_send(held).unwrap();
            }
        }
        if refused {
            return json!({"status": 503, "type": "urn:conduit-realtime:problem:pending_full"});
        }
        state.accepted += 1;
        json!({"status": 202, "messageId": id, "targeted": members.len(), "mode": "memory"})
    }

    #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let mut client_id = String::new();
        let seen = |request: &Request, response: Response| {
            let query = request.uri().query().unwrap_or_default();
            assert!(query.contains("acks=method"), "{query}");
            let mut parts = query.split('&').filter_map(|part| part.strip_prefix("clientId="));
            client_id = parts.next().unwrap().to_owned();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, seen).await.unwrap();
        let (mut out, mut incoming) = socket.split();
        let (say, mut said) = mpsc::channel::<String>(100_000);
        self.tasks.spawn(async move {
            while let Some(text) = said.recv().await {
                if out.send(Message::text(format!("{text}\u{1e}"))).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Ok(message)) = incoming.next().await {
            let Message::Text(text) = message else { continue };
            for one in text.split('\u{1e}').filter(|one| !one.is_empty()) {
                let heard: Value = serde_json::from_str(one).unwrap();
                self.hear(&client_id, &heard, &say);
            }
        }
    }

    fn hear(&self, client_id: &str, heard: &Value, say: &mpsc::Sender<String>) {
        let mut state = self.state.lock();
        let first = &heard["arguments"][0];
        let acked = match heard["target"].as_str() {
            None if heard.get("protocol").is_some() => {
                state.connected.insert(client_id.into(), say.clone());
                return say.try_send("{}".into()).unwrap();
            }
            Some("JoinGroup") => {
                let group = first.as_str().unwrap().to_owned();
                state.groups.entry(group).or_default().insert(client_id.into());
                let done =
                    json!({"type": 3, "invocationId": heard["invocationId"], "result": null});
                return say.try_send(done.to_string()).unwrap();
            }
            Some("AcknowledgeMessage") => vec![first.clone()],
            Some("AcknowledgeMessages") => first.as_array().unwrap().clone(),
            _ => return,
        };
        for id in acked {
            let pair = (id.as_str().unwrap().to_owned(), client_id.to_owned());
            state.pairs.entry(pair).and_modify(|acked| *acked = true);
        }
    }

    fn stats(&self) -> Stats {
        let state = self.state.lock();
        let acknowledged = state.pairs.values().filter(|acked| **acked).count() as u64;
        let targeted = state.pairs.len() as u64;
        Stats {
            targeted,
            acknowledged,
            pending: targeted - acknowledged,
            accepted: state.accepted,
            settled: state.accepted,
            ..Stats::default()
        }
    }
}

fn event(message: &Value, id: &str, retry_count: u32) -> String {
    let mut argument = message["arguments"][0].clone();
    argument["messageId"] = id.into();
    argument["retryCount"] = retry_count.into();
    json!({"type": 1, "target": message["target"], "arguments": [argument]}).to_string()
}

/// What the ledger finds of a server with this defect.
async fn tried(defect: Defect) -> (Findings, u64, Vec<String>) {
    tried_by("whole", defect).await
}

async fn tried_by(client: &str, defect: Defect) -> (Findings, u64, Vec<String>) {
    let words = ["ledger", "--faults", "none", "--subscribers", "30", "--rate", "500"];
    let flags = Flags::try_parse_from(words.iter().chain(&["--client", client])).unwrap();
    let tasks = TaskTracker::new();
    let (simulation, address) = Simulation::start(defect, &tasks).await;
    let journal = Journal::create(std::path::Path::new("unused"), false).unwrap();
    let records = Records::new(journal, flags.subscribers);
    let world = Arc::new(World::new(flags.shape, flags.subscribers));
    let url = format!("http://{address}/hubs/bench");
    let crowd = Crowd::new(&flags, 7, url, &records, &world, &tasks).unwrap();
    crowd.start_all(Duration::from_secs(20)).await.unwrap();
    let over = CancellationToken::new();
    let _ends_the_bare = over.clone().drop_guard();
    if flags.client == Kit::Bare {
        let bare = Crowded { flags: &flags, address: &address, records: &records, world: &world };
        start_all(bare, &over).await.unwrap();
    }
    let press = Arc::new(Press {
        flags: flags.clone(),
        seed: 7,
        address,
        key: "key",
        records: records.clone(),
        world: world.clone(),
        tasks: tasks.clone(),
        closing: CancellationToken::new(),
        over,
    });
    press.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    press.closing.cancel();
    for _ in 0..100 {
        if simulation.stats().pending == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let messages = records.messages.lock();
    let locked: Vec<_> = records.seen.iter().map(|seen| seen.lock()).collect();
    let seen: Vec<&Seen> = locked.iter().map(|seen| &**seen).collect();
    let found = find(&messages, &seen, &*world, |one| flags.remembers(one));
    let stats = simulation.stats();
    let lost = lost(&found, &Default::default(), Some(&stats));
    let broken = broken(&found, &stats);
    assert!(found.accepted > 100, "{found:?}");
    assert_eq!(found.unanswered, 0);
    (found, lost, broken)
}

#[tokio::test]
async fn a_good_server_is_believed() {
    let (found, lost, broken) = tried(Defect::None).await;
    assert_eq!(broken, Vec::<String>::new());
    assert_eq!((lost, found.handled_twice, found.redelivered, found.reordered), (0, 0, 0, 0));
    assert_eq!((found.refused, found.handled_pairs), (0, found.targeted));
}

#[tokio::test]
async fn bare_subscribers_find_the_same() {
    for (defect, loses) in [(Defect::None, false), (Defect::Loses, true)] {
        let (found, lost, _) = tried_by("bare", defect).await;
        assert_eq!(lost, found.targeted - found.handled_pairs);
        assert_eq!((lost > 0, found.handled_twice, found.reordered), (loses, 0, 0), "{found:?}");
    }
}

#[tokio::test]
async fn a_lost_message_is_lost_whatever_the_server_counts() {
    let (found, lost, broken) = tried(Defect::Loses).await;
    assert!(lost > 0 && lost == found.targeted - found.handled_pairs, "{lost} {found:?}");
    assert!(broken.iter().any(|words| words.contains("only")), "{broken:?}");
}

#[tokio::test]
async fn repeats_are_run_again_only_without_a_memory_and_refute_nothing() {
    let (found, lost, broken) = tried(Defect::Repeats).await;
    assert_eq!((lost, found.handled_twice, found.reordered), (0, 0, 0));
    assert!(found.redelivered > 0);
    assert_eq!(broken, Vec::<String>::new());
}

#[tokio::test]
async fn a_message_that_is_handled_twice_in_spite_of_a_memory_is_found() {
    let (found, lost, _) = tried(Defect::Doubles).await;
    assert!(found.handled_twice > 0);
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn a_first_delivery_out_of_its_order_is_found() {
    let (found, _, _) = tried(Defect::Reorders).await;
    assert!(found.reordered > 0);
    assert_eq!(found.handled_twice, 0);
}

#[tokio::test]
async fn a_refused_message_that_arrives_is_found() {
    let (found, lost, _) = tried(Defect::RefusesAndSends).await;
    assert!(found.refused > 0 && found.refused_but_handled > 0, "{found:?}");
    assert_eq!(lost, 0);
}
