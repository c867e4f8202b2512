//! Calls, streams, uploads, events and questions, in both protocols.

use std::time::Duration;

use bytestring::ByteString;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::peer::{Peer, connected, connected_with};
use crate::client::{CallError, EventError, ResultStream, Settings, Upload};
use crate::protocol::{Arguments, Encoded, HubMessage, InvocationKind, Outcome, Protocol, encode};

const BOTH: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

fn event(protocol: Protocol, target: &str, arguments: impl Arguments) -> Encoded {
    encode::invocation(protocol, None, target, &arguments).unwrap()
}

#[tokio::test]
async fn an_invoke_gets_its_value_and_nothing_for_a_method_without_one() {
    for protocol in BOTH {
        let (client, mut peer) = connected(protocol).await;
        let serving = async {
            let asked = peer.hear_invocation().await;
            assert_eq!((&*asked.target, asked.kind), ("Add", InvocationKind::Invoke));
            let values = asked.arguments.values().unwrap();
            let sum = values[0].bind::<i64>().unwrap() + values[1].bind::<i64>().unwrap();
            let id = asked.id.unwrap();
            peer.say(encode::completion_value(protocol, &id, &sum).unwrap()).await;
            let id = peer.hear_invocation().await.id.unwrap();
            peer.say(encode::completion_value(protocol, &id, &()).unwrap()).await;
            let id = peer.hear_invocation().await.id.unwrap();
            peer.say(encode::completion_void(protocol, &id)).await;
        };
        let asking = async {
            assert_eq!(client.invoke::<i64>("Add", (2, 40)).await.unwrap(), 42);
            client.invoke::<()>("Nothing", ()).await.unwrap();
            client.invoke::<()>("Nothing", ()).await.unwrap();
        };
        tokio::join!(serving, asking);
    }
}

#[tokio::test]
async fn an_error_is_told_in_the_servers_words_and_answers_may_come_in_any_order() {
    let (client, mut peer) = connected(Protocol::Json).await;
    let serving = async {
        let first = peer.hear_invocation().await.id.unwrap();
        let second = peer.hear_invocation().await.id.unwrap();
        peer.say(encode::completion_value(Protocol::Json, &second, &"two").unwrap()).await;
        peer.say(encode::completion_error(Protocol::Json, &first, "no")).await;
    };
    let (first, second) = (client.invoke::<String>("A", ()), client.invoke::<String>("B", ()));
    let ((), first, second) = tokio::join!(serving, first, second);
    assert!(matches!(first, Err(CallError::Server(text)) if text == "no"));
    assert_eq!(second.unwrap(), "two");
}

#[tokio::test]
async fn a_send_has_no_id() {
    let (client, mut peer) = connected(Protocol::MessagePack).await;
    client.send("Tell", ("x",)).await.unwrap();
    let sent = peer.hear_invocation().await;
    assert_eq!((sent.id, &*sent.target), (None, "Tell"));
}

#[tokio::test(start_paused = true)]
async fn an_invoke_without_an_answer_ends_at_its_deadline() {
    let (client, mut peer) = connected_with(Protocol::Json, |builder| {
        let invoke_timeout = Duration::from_secs(5);
        builder.settings(Settings { invoke_timeout, ..Settings::default() })
    })
    .await;
    let (result, _) = tokio::join!(client.invoke::<()>("Wait", ()), peer.hear_invocation());
    assert!(matches!(result, Err(CallError::Timeout("invoke_timeout"))));
}

#[tokio::test]
async fn a_stream_gives_its_items_and_then_its_error() {
    for protocol in BOTH {
        let (client, mut peer) = connected(protocol).await;
        let stream = client.stream::<i64>("Counter", (3,)).await.unwrap();
        let asked = peer.hear_invocation().await;
        assert_eq!(asked.kind, InvocationKind::Stream);
        let id = asked.id.unwrap();
        for item in 0..3 {
            peer.say(encode::stream_item(protocol, &id, &item).unwrap()).await;
        }
        peer.say(encode::completion_error(protocol, &id, "broken")).await;
        let items: Vec<_> = stream.map(|item| item.map_err(|e| e.to_string())).collect().await;
        assert_eq!(items, [Ok(0), Ok(1), Ok(2), Err("broken".to_owned())]);
    }
}

#[tokio::test]
async fn dropping_a_stream_cancels_it_after_its_invocation_and_an_ended_one_is_not_cancelled() {
    let (client, mut peer) = connected(Protocol::Json).await;
    let finished = client.stream::<i64>("Counter", ()).await.unwrap();
    let id = peer.hear_invocation().await.id.unwrap();
    peer.say(encode::completion_void(Protocol::Json, &id)).await;
    assert_eq!(finished.count().await, 0);

    drop(client.stream::<i64>("Counter", ()).await.unwrap());
    let id = peer.hear_invocation().await.id.unwrap();
    match peer.hear().await {
        HubMessage::CancelInvocation { id: cancelled } => assert_eq!(cancelled, id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_nobody_reads_is_cancelled_and_the_connection_lives_on() {
    let (client, mut peer) = connected_with(Protocol::Json, |builder| {
        builder.settings(Settings { stream_items_max: 2, ..Settings::default() })
    })
    .await;
    let stream: ResultStream<i64> = client.stream("Counter", ()).await.unwrap();
    let id = peer.hear_invocation().await.id.unwrap();
    for item in 0..3 {
        peer.say(encode::stream_item(Protocol::Json, &id, &item).unwrap()).await;
    }
    assert_eq!(peer.hear().await, HubMessage::CancelInvocation { id });
    let items: Vec<_> = stream.collect().await;
    assert!(matches!(items[..], [Ok(0), Ok(1), Err(CallError::NotConsumed)]), "{items:?}");
    assert!(echoes(&client, &mut peer).await);
}

async fn echoes(client: &crate::client::Client, peer: &mut Peer) -> bool {
    let serving = async {
        let id = peer.hear_invocation().await.id.unwrap();
        peer.say(encode::completion_value(client.protocol(), &id, &true).unwrap()).await;
    };
    tokio::join!(client.invoke::<bool>("Echo", ()), serving).0.unwrap()
}

#[tokio::test]
async fn uploads_follow_their_invocation_and_end_with_a_completion() {
    for protocol in BOTH {
        let (client, mut peer) = connected(protocol).await;
        let uploads = vec![
            Upload::new(stream::iter([1, 2])),
            Upload::fallible(stream::iter([Err::<i64, _>("broken".to_owned())])),
        ];
        let serving = async {
            let asked = peer.hear_invocation().await;
            assert_eq!(asked.stream_ids.len(), 2);
            let (mut items, mut ends) = (0, Vec::new());
            while ends.len() < 2 {
                match peer.hear().await {
                    HubMessage::StreamItem { id, item } => {
                        assert_eq!(id, asked.stream_ids[0]);
                        items += item.bind::<i64>().unwrap();
                    }
                    HubMessage::Completion(completion) => ends.push(completion),
                    other => panic!("{other:?}"),
                }
            }
            ends.sort_by_key(|end| end.id != asked.stream_ids[0]);
            assert_eq!(ends[0].outcome, Outcome::Void);
            assert_eq!(ends[1].outcome, Outcome::Error(ByteString::from_static("broken")));
            let id = asked.id.unwrap();
            peer.say(encode::completion_value(protocol, &id, &items).unwrap()).await;
        };
        let asking = client.invoke_with_uploads::<i64>("Sum", (), uploads);
        assert_eq!(tokio::join!(asking, serving).0.unwrap(), 3);
    }
}

#[tokio::test]
async fn an_upload_ends_when_its_call_does() {
    let (client, mut peer) = connected(Protocol::Json).await;
    let uploads = vec![Upload::new(stream::pending::<i64>())];
    let serving = async {
        let asked = peer.hear_invocation().await;
        let id = asked.id.unwrap();
        peer.say(encode::completion_void(Protocol::Json, &id)).await;
        match peer.hear().await {
            HubMessage::Completion(end) => assert_eq!(end.id, asked.stream_ids[0]),
            other => panic!("{other:?}"),
        }
    };
    let asking = client.invoke_with_uploads::<()>("First", (), uploads);
    tokio::join!(asking, serving).0.unwrap();
}

#[tokio::test]
async fn handlers_hear_events_in_any_letter_case_until_their_registration_ends() {
    for protocol in BOTH {
        let (client, mut peer) = connected(protocol).await;
        let (heard_tx, mut heard) = mpsc::channel(8);
        let registration = client.on("message", move |event| {
            heard_tx.try_send(event.bind::<(String, i64)>().unwrap()).unwrap();
        });
        peer.say(event(protocol, "Message", ("a", 1))).await;
        assert_eq!(heard.recv().await, Some(("a".to_owned(), 1)));
        drop(registration);
        assert_eq!(heard.recv().await, None, "the handler is gone");
        peer.say(event(protocol, "Message", ("b", 2))).await;
        assert!(echoes(&client, &mut peer).await, "an unknown event does no harm");
    }
}

#[tokio::test]
async fn a_full_receiver_loses_the_oldest_and_says_how_many() {
    let (client, mut peer) = connected_with(Protocol::Json, |builder| {
        builder.settings(Settings { events_max: 2, ..Settings::default() })
    })
    .await;
    let mut events = client.events("n");
    for n in 0..5 {
        peer.say(event(Protocol::Json, "n", (n,))).await;
    }
    assert!(echoes(&client, &mut peer).await);
    assert_eq!(events.recv().await.unwrap_err(), EventError::Missed(3));
    for n in [3, 4] {
        assert_eq!(events.recv().await.unwrap().bind::<(i64,)>().unwrap(), (n,));
    }
    assert!(events.try_recv().is_none());
    drop(peer);
    assert_eq!(events.recv().await.unwrap_err(), EventError::Closed);
}

#[tokio::test]
async fn questions_are_answered_with_a_value_an_error_or_the_lack_of_a_handler() {
    for protocol in BOTH {
        let (client, mut peer) = connected(protocol).await;
        client
            .on_ask("Ask", |event| async move {
                let (question,) = event.bind::<(String,)>().map_err(|error| error.to_string())?;
                if question == "why" { Err("because".to_owned()) } else { Ok(question.len()) }
            })
            .keep();
        for (target, question, expected) in [
            ("ask", "four", Ok(4)),
            ("ask", "why", Err("because")),
            ("other", "four", Err("Client didn't provide a result.")),
        ] {
            let asking = encode::invocation(protocol, Some("s1"), target, &(question,));
            peer.say(asking.unwrap()).await;
            let HubMessage::Completion(answer) = peer.hear().await else { panic!() };
            assert_eq!(answer.id, "s1");
            match (answer.outcome, expected) {
                (Outcome::Value(value), Ok(length)) => {
                    assert_eq!(value.bind::<i64>().unwrap(), length);
                }
                (Outcome::Error(text), Err(expected)) => assert_eq!(text, expected),
                (other, _) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_question_whose_answer_takes_long_holds_up_nothing() {
    let (client, mut peer) = connected(Protocol::Json).await;
    client.on_ask("Ask", |_| std::future::pending::<Result<(), String>>()).keep();
    peer.say(encode::invocation(Protocol::Json, Some("s1"), "Ask", &()).unwrap()).await;
    assert!(echoes(&client, &mut peer).await);
}
