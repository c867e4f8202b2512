//! Client results.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::tests_support::{Client, World};
use crate::model::Caller;

/// The id of the one question that has come.
async fn asked(client: &mut Client) -> String {
    let received = client.received().await;
    let [question] = &received[..] else { panic!("{received:?}") };
    assert_eq!(question["target"], "Question");
    question["invocationId"].as_str().unwrap().to_owned()
}

fn answer(client: &Client, id: &str, result: Value) {
    client.send(&json!({"type":3,"invocationId":id,"result":result}).to_string());
}

const ASK_A: &str = r#"{"type":1,"invocationId":"1","target":"Ask","arguments":["a"]}"#;

#[tokio::test(start_paused = true)]
async fn a_method_with_the_only_permit_can_ask_its_own_caller() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(ASK_A);
    let id = asked(&mut a).await;
    assert_eq!(a.call("Add", "[1,2]").await["result"], 3, "the permit is free meanwhile");
    answer(&a, &id, json!("yes"));
    a.expect(&[r#"{"type":3,"invocationId":"1","result":"yes"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_type_fails_the_call() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(ASK_A);
    let id = asked(&mut a).await;
    answer(&a, &id, json!(5));
    let received = a.received().await;
    let error = received[0]["error"].as_str().unwrap();
    assert!(error.contains("HubException: Error trying to deserialize result to String. "));
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_without_being_asked_is_disconnected() {
    let world = World::with(|options| options.detailed_errors = true);
    let (mut a, mut b) = (world.connect("a").await, world.connect("b").await);
    a.send(ASK_A);
    let id = asked(&mut a).await;
    answer(&b, &id, json!("no"));
    let close = json!({
        "type":7,
        "error":format!("Connection closed with an error. InvalidOperationException: Connection ID 'b' is not valid for invocation ID '{id}'."),
        "allowReconnect":true
    });
    b.expect_close(&close.to_string()).await;
    answer(&a, &id, json!("yes"));
    a.expect(&[r#"{"type":3,"invocationId":"1","result":"yes"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_somebody_that_leaves_or_is_silent_learns_it() {
    let world = World::with(|options| options.detailed_errors = true);
    let (mut a, mut b) = (world.connect("a").await, world.connect("b").await);
    b.send(ASK_A);
    asked(&mut a).await;
    a.lose();
    let received = b.received().await;
    let error = received[0]["error"].as_str().unwrap();
    assert!(error.ends_with("IOException: Connection 'a' disconnected."), "{error}");
    let error = b.call("Ask", r#"["a"]"#).await["error"].clone();
    assert!(error.as_str().unwrap().ends_with("Connection 'a' does not exist."), "{error}");
    b.send(r#"{"type":1,"invocationId":"1","target":"Ask","arguments":["b"]}"#);
    asked(&mut b).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let received = b.received().await;
    let error = received[0]["error"].as_str().unwrap();
    assert!(error.ends_with("Invocation canceled by the server."), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nobody_can_be_asked_before_the_hub_has_greeted_it() {
    let world = World::with(|options| options.detailed_errors = true);
    let mut a = world.open("a", Caller::default(), "hello=ask");
    a.send(r#"{"protocol":"json","version":1}"#);
    a.expect(&[
        "{}",
        r#"{"type":7,"error":"Connection closed with an error. InvalidOperationException: Client results inside OnConnectedAsync Hub methods are not allowed."}"#,
    ])
    .await;
}
