//! The session's half of stateful reconnect.

use std::time::Duration;

use crate::connections::End;
use crate::hub::tests_support::World;
use crate::model::Caller;

const COUNT: &str = r#"{"type":1,"target":"Count","arguments":[]}"#;

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_doubled_or_done_twice_over_a_cut_link() {
    let world = World::new();
    let mut a = world.connect_stateful("a").await;
    assert_eq!(a.call("Count", "[]").await["result"], 1);
    assert_eq!(a.call("Count", "[]").await["result"], 2);
    a.send(r#"{"type":8,"sequenceId":1}"#);
    // Half a message is void when its socket is lost.
    a.send_bytes(br#"{"type":1,"target":"Cou"#);
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.lose();
    tokio::time::sleep(Duration::from_secs(5)).await;
    a.resume();
    a.expect(&[r#"{"type":9,"sequenceId":2}"#, r#"{"type":3,"invocationId":"c","result":2}"#])
        .await;
    // The client was never acked, so it sends all again, and one more.
    let call = r#"{"type":1,"invocationId":"c","target":"Count","arguments":[]}"#;
    a.send_all(&[r#"{"type":9,"sequenceId":1}"#, call, call, call]);
    a.expect(&[r#"{"type":3,"invocationId":"c","result":3}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn everything_tracked_is_counted_and_acked_whatever_became_of_it() {
    let world = World::new();
    let mut a = world.connect_stateful("a").await;
    a.send_all(&[
        COUNT,
        r#"{"type":6}"#,
        r#"{"type":1,"target":"Nope","arguments":[]}"#,
        r#"{"type":8,"sequenceId":0}"#,
        r#"{"type":5,"invocationId":"x"}"#,
        r#"{"type":2,"invocationId":"x","item":1}"#,
        r#"{"type":1,"target":"Add","arguments":["x"]}"#,
    ]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.expect(&[r#"{"type":8,"sequenceId":5}"#]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    a.expect(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_announces_what_it_never_sent_is_disconnected() {
    let world = World::with(|options| options.detailed_errors = true);
    let mut a = world.connect_stateful("a").await;
    a.send_all(&[COUNT, r#"{"type":9,"sequenceId":100}"#]);
    a.expect_close(r#"{"type":7,"error":"Connection closed with an error. InvalidOperationException: Sequence ID greater than amount of messages we've received.","allowReconnect":true}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_call_survives_a_cut_link_and_runs_once() {
    let world = World::new();
    let mut a = world.connect_stateful("a").await;
    let add = r#"{"type":1,"invocationId":"2","target":"Add","arguments":[1,1]}"#;
    let wait = r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[2000]}"#;
    a.send_all(&[wait, add, COUNT]);
    a.expect(&[]).await;
    a.lose();
    tokio::time::sleep(Duration::from_millis(500)).await;
    a.resume();
    a.expect(&[r#"{"type":9,"sequenceId":1}"#]).await;
    // Two were counted; what waited behind them uncounted is sent again.
    a.send_all(&[r#"{"type":9,"sequenceId":1}"#, wait, add, COUNT]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let received = a.received().await;
    let answers: Vec<_> = received.iter().filter(|message| message["type"] == 3).collect();
    assert_eq!(answers.len(), 2, "{received:?}");
    assert_eq!(a.call("Count", "[]").await["result"], 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_question_works_after_a_resumption() {
    let world = World::new();
    let mut a = world.connect_stateful("a").await;
    a.send(r#"{"type":1,"invocationId":"1","target":"Ask","arguments":["a"]}"#);
    let question = a.received().await.remove(0);
    a.lose();
    tokio::time::sleep(Duration::from_secs(1)).await;
    a.resume();
    let again = a.received().await;
    assert_eq!(again[1], question);
    let id = question["invocationId"].as_str().unwrap();
    a.send(r#"{"type":9,"sequenceId":2}"#);
    a.send(&format!(r#"{{"type":3,"invocationId":"{id}","result":"yes"}}"#));
    a.expect(&[r#"{"type":3,"invocationId":"1","result":"yes"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_new_socket_the_hub_is_told_after_the_disconnect_timeout() {
    let world = World::new();
    let a = world.connect_stateful("a").await;
    a.lose();
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert!(world.log().is_empty());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.log().len(), 1);
    assert_eq!(a.connection.ended(), Some(&End::NotResumed));
}

#[tokio::test(start_paused = true)]
async fn version_one_or_the_option_switches_it_off() {
    let world = World::new();
    let a = world.connect("a").await;
    assert!(!a.connection.is_stateful());
    let without = World::with(|options| options.stateful_reconnect = false);
    let mut b = without.open("b", Caller::default(), "");
    b.send(r#"{"protocol":"json","version":2}"#);
    b.expect(&["{}"]).await;
    assert!(!b.connection.is_stateful());
    // Ack and Sequence mean nothing then.
    b.send_all(&[r#"{"type":8,"sequenceId":9}"#, r#"{"type":9,"sequenceId":9}"#]);
    assert_eq!(b.call("Add", "[1,2]").await["result"], 3);
}
