//! Last words.

use std::time::Duration;

use crate::connections::End;
use crate::hub::tests_support::World;
use crate::model::Caller;

#[tokio::test(start_paused = true)]
async fn an_abort_is_a_close_and_nothing_after_it() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":1,"invocationId":"1","target":"Abort","arguments":[]}"#,
        r#"{"type":1,"invocationId":"2","target":"Add","arguments":[1,1]}"#,
    ]);
    a.expect_close(r#"{"type":7}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_clients_close_is_answered_and_its_error_told_to_the_hub_only() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":7,"error":"tired"}"#,
        r#"{"type":1,"invocationId":"2","target":"Add","arguments":[1,1]}"#,
    ]);
    a.expect_close(r#"{"type":7}"#).await;
    assert_eq!(world.log(), [r#"a left: Some("tired")"#]);
    assert_eq!(a.connection.ended(), Some(&End::ClientClosed));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_told_to_the_hub_once_and_without_error() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.close();
    a.expect(&[]).await;
    assert_eq!(world.log(), ["a left: None"]);
    assert_eq!(world.node.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn broken_rules_close_the_connection_with_the_detail_only_where_wanted() {
    for (detailed, close) in [
        (false, r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#),
        (
            true,
            r#"{"type":7,"error":"Connection closed with an error. InvalidDataException: Missing required property 'type'.","allowReconnect":true}"#,
        ),
    ] {
        let world = World::with(|options| options.detailed_errors = detailed);
        let mut a = world.connect("a").await;
        a.send("{}");
        a.expect_close(close).await;
        assert_eq!(a.connection.ended(), Some(&End::ClientFault));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_before_an_oversize_one_are_handled() {
    let world = World::with(|options| {
        options.message_bytes_max = 100;
        options.detailed_errors = true;
    });
    let mut a = world.connect("a").await;
    let long = "x".repeat(200);
    a.send_all(&[r#"{"type":1,"invocationId":"1","target":"Add","arguments":[1,1]}"#, &long]);
    a.expect(&[
        r#"{"type":3,"invocationId":"1","result":2}"#,
        r#"{"type":7,"error":"Connection closed with an error. InvalidDataException: The maximum message size of 100B was exceeded. The message size can be configured in AddHubOptions.","allowReconnect":true}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_welcome_is_closed_and_never_said_to_have_left() {
    let world = World::new();
    let mut a = world.open("a", Caller::default(), "hello=fail");
    a.send(r#"{"protocol":"json","version":1}"#);
    a.expect(&["{}", r#"{"type":7,"error":"Connection closed with an error."}"#]).await;
    assert!(a.socket.is_closed());
    assert_eq!(a.connection.ended(), Some(&End::Unwelcome));
    a.close();
    a.expect(&[]).await;
    assert!(world.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_reason_has_its_close() {
    for (end, close) in [
        (End::Expired, r#"{"type":7,"allowReconnect":true}"#),
        (End::Stopping, r#"{"type":7,"allowReconnect":true}"#),
        (
            End::ClientTimedOut,
            r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#,
        ),
        (
            End::Asked { reason: Some("begone".into()), allow_reconnect: false },
            r#"{"type":7,"error":"begone"}"#,
        ),
    ] {
        let world = World::new();
        let mut a = world.connect("a").await;
        a.connection.end(end);
        a.expect_close(close).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_lets_calls_answer_for_a_while_and_cuts_streams_off() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":4,"invocationId":"s","target":"Counter","arguments":[9,3000]}"#);
    a.expect(&[r#"{"type":2,"invocationId":"s","item":0}"#]).await;
    a.send(r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[2000]}"#);
    a.expect(&[]).await;
    a.connection.end(End::Stopping);
    a.expect(&[]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.expect(&[
        r#"{"type":3,"invocationId":"1","result":2000}"#,
        r#"{"type":7,"allowReconnect":true}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_may_finish_after_its_client_has_left() {
    let world = World::new();
    let a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[2000]}"#,
        r#"{"type":1,"invocationId":"2","target":"Wait","arguments":[1]}"#,
    ]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.close();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The second had not begun.
    assert_eq!(world.log(), ["waited 2000", "a left: None"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_calls_wait_for_a_permit_is_noticed_at_once() {
    let world = World::new();
    let a = world.connect("a").await;
    let wait = r#"{"type":1,"target":"Wait","arguments":[60000]}"#;
    a.send_all(&[wait, wait]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.lose();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.log().len(), 1, "the call was dropped after its grace: {:?}", world.log());
}
