//! Streams from the client.

use std::time::Duration;

use crate::hub::tests_support::{Client, World};

fn items(client: &Client, numbers: impl IntoIterator<Item = i32>) {
    for number in numbers {
        client.send(&format!(r#"{{"type":2,"invocationId":"u","item":{number}}}"#));
    }
}

const SUM: &str =
    r#"{"type":1,"invocationId":"1","target":"Sum","arguments":[],"streamIds":["u"]}"#;
const END: &str = r#"{"type":3,"invocationId":"u"}"#;

#[tokio::test(start_paused = true)]
async fn a_method_reads_what_is_uploaded_and_answers_once() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(SUM);
    items(&a, 0..100);
    a.send(END);
    a.expect(&[r#"{"type":3,"invocationId":"1","result":4950}"#]).await;
    items(&a, [1]);
    a.send(END);
    a.expect(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_number_of_uploads_that_does_not_fit_is_told() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(r#"{"type":1,"invocationId":"1","target":"Add","arguments":[1,2],"streamIds":["u"]}"#);
    a.expect(&[r#"{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Add' on the server. HubException: Client sent 1 stream(s), Hub method expects 0."}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn the_clients_error_fails_the_reader() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(SUM);
    items(&a, [1]);
    a.send(r#"{"type":3,"invocationId":"u","error":"unplugged"}"#);
    a.expect(&[r#"{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Sum' on the server. HubException: unplugged"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn an_item_of_the_wrong_type_fails_the_upload_and_nothing_else() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(SUM);
    a.send(r#"{"type":2,"invocationId":"u","item":"x"}"#);
    a.expect(&[r#"{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Sum' on the server. HubException: Failed to bind Stream message."}"#]).await;
    assert_eq!(a.call("Add", "[1,2]").await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_upload_holds_back_all_that_follows_until_there_is_room() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(
        r#"{"type":1,"invocationId":"1","target":"TakeOne","arguments":[500],"streamIds":["u"]}"#,
    );
    items(&a, 0..11);
    a.send(r#"{"type":1,"invocationId":"2","target":"Add","arguments":[1,1]}"#);
    a.expect(&[]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    a.expect(&[
        r#"{"type":3,"invocationId":"1","result":0}"#,
        r#"{"type":3,"invocationId":"2","result":2}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn items_come_back_while_the_upload_is_open() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(
        r#"{"type":4,"invocationId":"1","target":"EchoStream","arguments":[],"streamIds":["u"]}"#,
    );
    items(&a, [1]);
    a.expect(&[r#"{"type":2,"invocationId":"1","item":1}"#]).await;
    a.send(END);
    a.expect(&[r#"{"type":3,"invocationId":"1"}"#]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_fails_its_uploads() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send(SUM);
    items(&a, [1]);
    a.expect(&[]).await;
    a.close();
    a.expect(&[]).await;
    assert_eq!(
        world.log(),
        ["sum: OperationCanceledException: The underlying connection was closed.", "a left: None"]
    );
}
