//! Messages: handled in order, acknowledged together, once each for as long as they are remembered.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::peer::{Peer, Server, connected_with};
use crate::client::{Acks, Builder, ClientId, Memory, Refusal};
use crate::protocol::{Encoded, HubMessage, Outcome, Protocol, encode};

const BOTH: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

/// The numbers of the messages that were handled, in their order.
type Handled = Arc<Mutex<Vec<u32>>>;

#[derive(Deserialize)]
struct Order {
    n: u32,
}

fn order(protocol: Protocol, n: u32, retry_count: u32) -> Encoded {
    let order = json!({"n": n, "messageId": format!("m{n}"), "retryCount": retry_count});
    encode::invocation(protocol, None, "Order", &(order,)).unwrap()
}

fn handles(handled: &Handled) -> impl Fn(Builder) -> Builder + use<> {
    let handled = handled.clone();
    move |builder| {
        let handled = handled.clone();
        builder.on_acknowledged("order", move |message| {
            let order = message.bind::<(Order,)>();
            let handled = handled.clone();
            async move {
                handled.lock().push(order.map_err(|error| error.to_string())?.0.n);
                Ok(())
            }
        })
    }
}

impl Peer {
    /// The next invocation: its target and its arguments.
    async fn hear_call(&mut self) -> (String, Vec<Value>) {
        let call = self.hear_invocation().await;
        assert_eq!(call.id, None, "nobody waits for an answer to an ack");
        let values = call.arguments.values().unwrap();
        (call.target.to_string(), values.iter().map(|value| value.bind().unwrap()).collect())
    }

    /// All acks until so many ids were acknowledged.
    async fn hear_acks(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let (target, arguments) = self.hear_call().await;
            match (&*target, &arguments[0]) {
                ("AcknowledgeMessage", Value::String(id)) => ids.push(id.clone()),
                ("AcknowledgeMessages", Value::Array(batch)) => {
                    ids.extend(batch.iter().map(|id| id.as_str().unwrap().to_owned()));
                }
                other => panic!("{other:?}"),
            }
        }
        ids
    }
}

#[tokio::test]
async fn messages_are_handled_in_order_and_acknowledged_when_their_handler_is_done() {
    for protocol in BOTH {
        let handled = Handled::default();
        let (_client, mut peer) = connected_with(protocol, handles(&handled)).await;
        for n in 0..50 {
            peer.say(order(protocol, n, 0)).await;
        }
        let ids = peer.hear_acks(50).await;
        assert_eq!(ids, (0..50).map(|n| format!("m{n}")).collect::<Vec<_>>());
        assert_eq!(*handled.lock(), (0..50).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn messages_that_came_together_are_acknowledged_together() {
    let handled = Handled::default();
    let (_client, mut peer) = connected_with(Protocol::Json, handles(&handled)).await;
    let all: Vec<u8> =
        (0..20).flat_map(|n| order(Protocol::Json, n, 0).payload().to_vec()).collect();
    peer.say_text(std::str::from_utf8(&all).unwrap()).await;
    let (target, arguments) = peer.hear_call().await;
    assert_eq!(target, "AcknowledgeMessages");
    assert_eq!(arguments[0].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_repeat_of_what_was_handled_is_acknowledged_without_a_run_on_any_connection() {
    let memory = Memory::default();
    let handled = Handled::default();
    let with = |builder: Builder| handles(&handled)(builder).memory(&memory);
    let (_client, mut peer) = connected_with(Protocol::Json, with).await;
    peer.say(order(Protocol::Json, 7, 0)).await;
    assert_eq!(peer.hear_acks(1).await, ["m7"]);
    peer.say(order(Protocol::Json, 7, 1)).await;
    assert_eq!(peer.hear_acks(1).await, ["m7"]);

    let (_client, mut peer) = connected_with(Protocol::MessagePack, with).await;
    peer.say(order(Protocol::MessagePack, 7, 2)).await;
    assert_eq!(peer.hear_acks(1).await, ["m7"]);
    assert_eq!(*handled.lock(), [7]);
}

#[tokio::test]
async fn another_message_of_an_id_that_was_used_before_is_handled() {
    let handled = Handled::default();
    let (_client, mut peer) = connected_with(Protocol::Json, handles(&handled)).await;
    for (n, day, retry_count) in [(1, 24, 0), (2, 25, 0), (2, 25, 1)] {
        let at = format!("2026-11-{day}T12:00:00.000Z");
        let order = json!({"n": n, "messageId": "m", "timestamp": at, "retryCount": retry_count});
        peer.say(encode::invocation(Protocol::Json, None, "Order", &(order,)).unwrap()).await;
        assert_eq!(peer.hear_acks(1).await, ["m"]);
    }
    assert_eq!(*handled.lock(), [1, 2], "and its repeat is none");
}

#[tokio::test]
async fn a_repeat_of_what_is_still_handled_does_nothing_and_its_server_is_told_of_the_work() {
    let runs = Arc::new(Semaphore::new(0));
    let (began, mut begins) = mpsc::channel(4);
    let (client, mut peer) = connected_with(Protocol::Json, |builder| {
        let runs = runs.clone();
        builder.on_acknowledged("order", move |message| {
            let (runs, began) = (runs.clone(), began.clone());
            async move {
                began.send(message.retry_count()).await.unwrap();
                message.still_working();
                runs.acquire().await.unwrap().forget();
                Ok(())
            }
        })
    })
    .await;
    peer.say(order(Protocol::Json, 1, 0)).await;
    assert_eq!(begins.recv().await, Some(0));
    peer.say(order(Protocol::Json, 1, 1)).await;
    peer.say(order(Protocol::Json, 2, 0)).await;
    let mut marks = client.events("mark");
    peer.say(encode::invocation(Protocol::Json, None, "Mark", &()).unwrap()).await;
    marks.recv().await.unwrap(); // so the repeat has come, too
    assert_eq!(peer.hear_call().await, ("ExtendMessage".into(), vec![json!("m1")]));
    runs.add_permits(1);
    assert_eq!(peer.hear_acks(1).await, ["m1"]);
    assert_eq!(peer.hear_call().await.0, "ExtendMessage", "of m2, which waited for its turn");
    runs.add_permits(1);
    assert_eq!(peer.hear_acks(1).await, ["m2"], "the repeat of m1 came to nothing");
    assert_eq!(begins.recv().await, Some(0));
}

#[tokio::test]
async fn a_refused_message_is_forgotten_and_each_way_of_refusing_has_its_method() {
    let (_client, mut peer) = connected_with(Protocol::Json, |builder| {
        builder.on_acknowledged("order", |message| async move {
            match (message.id(), message.retry_count()) {
                (_, 1) => Ok(()),
                (Some("m1"), _) => Err("busy".into()),
                (Some("m2"), _) => Err(Refusal::again_after(Duration::from_secs(3), "later")),
                _ => Err(Refusal::never("unknown order")),
            }
        })
    })
    .await;
    for (n, expected) in [
        (1, ("NackMessage", vec![json!("m1"), json!("busy")])),
        (2, ("NackMessageAfter", vec![json!("m2"), json!("later"), json!(3_000)])),
        (3, ("GiveUpMessage", vec![json!("m3"), json!("unknown order")])),
    ] {
        peer.say(order(Protocol::Json, n, 0)).await;
        let (target, arguments) = peer.hear_call().await;
        assert_eq!((&*target, arguments), expected);
    }
    peer.say(order(Protocol::Json, 1, 1)).await;
    assert_eq!(peer.hear_acks(1).await, ["m1"]);
}

#[tokio::test]
async fn in_the_mode_result_the_completion_says_it_and_a_repeat_is_completed_without_a_run() {
    for protocol in BOTH {
        let handled = Handled::default();
        let (_client, mut peer) = connected_with(protocol, handles(&handled)).await;
        for (id, argument, expected) in [
            ("m1", json!({"n": 1}), None),
            ("m1", json!({"n": 1}), None),
            ("m2", json!("no order"), Some(())),
        ] {
            let asked = encode::invocation(protocol, Some(id), "Order", &(argument,)).unwrap();
            peer.say(asked).await;
            let HubMessage::Completion(completion) = peer.hear().await else { panic!() };
            assert_eq!(&*completion.id, id);
            match completion.outcome {
                Outcome::Value(value) => {
                    assert_eq!(value.bind::<Option<u8>>().unwrap(), None);
                    assert_eq!(expected, None);
                }
                Outcome::Error(_) => assert_eq!(expected, Some(())),
                Outcome::Void => panic!("a stock client would have said null"),
            }
        }
        assert_eq!(*handled.lock(), [1]);
    }
}

#[tokio::test]
async fn an_event_that_is_no_message_is_handled_each_time_and_not_acknowledged() {
    let handled = Handled::default();
    let (client, mut peer) = connected_with(Protocol::Json, handles(&handled)).await;
    let plain = encode::invocation(Protocol::Json, None, "Order", &(json!({"n": 5}),)).unwrap();
    peer.say(plain.clone()).await;
    peer.say(plain).await;
    peer.say(order(Protocol::Json, 6, 0)).await;
    assert_eq!(peer.hear_acks(1).await, ["m6"]);
    assert_eq!(*handled.lock(), [5, 5, 6]);
    drop(client);
}

#[tokio::test]
async fn a_handler_that_has_begun_ends_after_its_connection_and_is_remembered() {
    let memory = Memory::default();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (client, mut peer) = connected_with(Protocol::Json, |builder| {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        builder.memory(&memory).on_acknowledged("order", move |_| {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(())
            }
        })
    })
    .await;
    peer.say(order(Protocol::Json, 1, 0)).await;
    peer.say(order(Protocol::Json, 2, 0)).await;
    begun.notified().await;
    peer.close().await;
    client.closed().await;
    assert!(!client.is_finished());
    go_on.notify_one();
    while !client.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(memory.len(), 1, "the second had not begun and comes again");
}

#[tokio::test]
async fn a_dropped_client_forgets_what_it_had_not_finished() {
    let memory = Memory::default();
    let begun = Arc::new(Notify::new());
    let with = |builder: Builder| {
        let begun = begun.clone();
        builder.memory(&memory).on_acknowledged("order", move |_| {
            let begun = begun.clone();
            async move {
                begun.notify_one();
                std::future::pending().await
            }
        })
    };
    let (client, mut peer) = connected_with(Protocol::Json, with).await;
    peer.say(order(Protocol::Json, 1, 0)).await;
    begun.notified().await;
    drop(client);
    let (_client, mut peer) = connected_with(Protocol::Json, with).await;
    peer.say(order(Protocol::Json, 1, 1)).await;
    begun.notified().await;
    assert!(memory.is_empty());
}

#[tokio::test]
async fn the_client_id_and_the_way_of_acknowledging_are_on_both_requests() {
    let server = Server::start().await;
    let id = ClientId::kept("abcdefghijklmnopqrstuvwxyz012345");
    let connecting = server.client().client_id(id).acks(Acks::Method).connect();
    let serving = async { (server.negotiate().await, server.welcome(Protocol::Json).await) };
    let (client, (head, peer)) = tokio::join!(connecting, serving);
    client.unwrap();
    let expected = "?clientId=abcdefghijklmnopqrstuvwxyz012345&acks=method&";
    assert!(head.contains(expected), "{head}");
    assert!(peer.request.uri().to_string().contains(expected), "{}", peer.request.uri());
}
