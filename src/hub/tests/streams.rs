//! Streams to the client.

use std::time::Duration;

use crate::hub::tests_support::World;

#[tokio::test(start_paused = true)]
async fn items_come_in_order_then_a_completion_without_result() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"7","target":"Counter","arguments":[2,0]}"#);
    a.expect(&[
        r#"{"type":2,"invocationId":"7","item":0}"#,
        r#"{"type":2,"invocationId":"7","item":1}"#,
        r#"{"type":3,"invocationId":"7"}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_keeps_its_items_and_its_secret() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"7","target":"FailingStream","arguments":[]}"#);
    a.expect(&[
        r#"{"type":2,"invocationId":"7","item":0}"#,
        r#"{"type":3,"invocationId":"7","error":"An error occurred on the server while streaming results."}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_stream_is_dropped_and_ends_without_error() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"7","target":"Counter","arguments":[100,1000]}"#);
    a.expect(&[r#"{"type":2,"invocationId":"7","item":0}"#]).await;
    a.send_all(&[r#"{"type":5,"invocationId":"nope"}"#, r#"{"type":5,"invocationId":"7"}"#]);
    a.expect(&[r#"{"type":3,"invocationId":"7"}"#]).await;
    assert_eq!(world.log(), ["stream dropped"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_refused_and_the_first_stream_goes_on() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"7","target":"Counter","arguments":[2,100]}"#);
    a.send(r#"{"type":4,"invocationId":"7","target":"Counter","arguments":[2,0]}"#);
    a.expect(&[
        r#"{"type":2,"invocationId":"7","item":0}"#,
        r#"{"type":3,"invocationId":"7","error":"Invocation ID '7' is already in use."}"#,
    ])
    .await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    a.expect(&[r#"{"type":2,"invocationId":"7","item":1}"#, r#"{"type":3,"invocationId":"7"}"#])
        .await;
    a.send(r#"{"type":4,"invocationId":"7","target":"Counter","arguments":[0,0]}"#);
    a.expect(&[r#"{"type":3,"invocationId":"7"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn streams_run_beside_a_slow_call() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[1000]}"#);
    a.send(r#"{"type":4,"invocationId":"2","target":"Counter","arguments":[1,0]}"#);
    a.expect(&[r#"{"type":2,"invocationId":"2","item":0}"#, r#"{"type":3,"invocationId":"2"}"#])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_end_waits_for_its_reader_and_can_be_cancelled() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.socket.stop_reading();
    a.send(r#"{"type":4,"invocationId":"7","target":"Endless","arguments":[]}"#);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (waiting, _) = a.connection.waiting();
    assert_eq!(waiting, 64, "as many as the outbox holds");
    a.send(r#"{"type":5,"invocationId":"7"}"#);
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.socket.read_on();
    let received = a.received().await;
    assert_eq!(received.last().unwrap()["type"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_waits_lets_its_session_read() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"7","target":"Endless","arguments":[]}"#);
    a.send(r#"{"type":1,"invocationId":"8","target":"Add","arguments":[1,1]}"#);
    a.send(r#"{"type":5,"invocationId":"7"}"#);
    let received = a.received().await;
    assert!(received.iter().any(|message| message["invocationId"] == "8"));
    assert!(received.iter().any(|message| message["invocationId"] == "7" && message["type"] == 3));
    assert!(received.len() < 1_000, "the cancel was read soon: {}", received.len());
}
