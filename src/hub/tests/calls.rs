//! Plain invocations: answers, order, permits, roles, handshake.

use std::time::Duration;

use serde_json::json;

use crate::hub::tests_support::World;
use crate::model::Caller;

#[tokio::test(start_paused = true)]
async fn a_call_has_one_answer_in_any_letter_case() {
    let world = World::new();
    let mut a = world.connect("a").await;
    assert_eq!(a.call("aDD", "[1,2]").await, json!({"type":3,"invocationId":"c","result":3}));
    let void = json!({"type":3,"invocationId":"c","result":null});
    assert_eq!(a.call("Nothing", "[]").await, void);
    let raw = json!({"type":3,"invocationId":"c","result":{"x":[1.50]}});
    assert_eq!(a.call("Echo", r#"[{"x":[1.50]}]"#).await, raw);
}

#[tokio::test(start_paused = true)]
async fn errors_are_told_in_the_words_of_dotnet() {
    let world = World::new();
    let mut a = world.connect("a").await;
    let mut told = async |target: &str, arguments: &str| {
        a.call(target, arguments).await["error"].as_str().unwrap().to_owned()
    };
    let unknown = "Failed to invoke 'nope' due to an error on the server. HubException: Method does not exist.";
    assert_eq!(told("nope", "[]").await, unknown);
    let bad = "Failed to invoke 'ADD' due to an error on the server.";
    assert_eq!(told("ADD", "[1]").await, bad);
    assert_eq!(told("ADD", r#"["x",1]"#).await, bad);
    let failed = "An unexpected error occurred invoking 'Fail' on the server.";
    assert_eq!(told("Fail", "[]").await, failed);
    let roles = "Failed to invoke 'AdminOnly' because user is unauthorized";
    assert_eq!(told("AdminOnly", "[]").await, roles);
    let kind = "The client attempted to invoke the streaming 'Counter' method with a non-streaming invocation.";
    assert_eq!(told("Counter", "[1,1]").await, kind);
}

#[tokio::test(start_paused = true)]
async fn detailed_errors_name_type_and_text() {
    let world = World::with(|options| options.detailed_errors = true);
    let mut a = world.connect("a").await;
    let error = a.call("Parse", r#"["x"]"#).await["error"].clone();
    assert_eq!(
        error,
        "An unexpected error occurred invoking 'Parse' on the server. ParseIntError: invalid digit found in string"
    );
    let error = a.call("Add", "[1]").await["error"].clone();
    assert_eq!(
        error,
        "Failed to invoke 'Add' due to an error on the server. InvalidDataException: Invocation provides 1 argument(s) but target expects 2."
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_call_and_nothing_else() {
    let world = World::new();
    let mut a = world.connect("a").await;
    let error = a.call("Panic", "[]").await["error"].clone();
    assert_eq!(error, "An unexpected error occurred invoking 'Panic' on the server.");
    assert_eq!(a.call("Add", "[1,2]").await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn without_an_id_nothing_is_answered() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":1,"target":"Add","arguments":[1,2]}"#,
        r#"{"type":1,"target":"Nope","arguments":[]}"#,
        r#"{"type":1,"target":"Fail","arguments":[]}"#,
        r#"{"type":99}"#,
    ]);
    a.expect(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn with_one_permit_calls_run_one_at_a_time_in_order() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[300]}"#,
        r#"{"type":1,"invocationId":"2","target":"Wait","arguments":[100]}"#,
        r#"{"type":1,"invocationId":"3","target":"Add","arguments":[1,1]}"#,
    ]);
    tokio::time::sleep(Duration::from_millis(350)).await;
    a.expect(&[r#"{"type":3,"invocationId":"1","result":300}"#]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    a.expect(&[
        r#"{"type":3,"invocationId":"2","result":100}"#,
        r#"{"type":3,"invocationId":"3","result":2}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn with_two_permits_the_quicker_call_is_answered_first() {
    let world = World::with(|options| options.parallel_invocations_max = 2);
    let mut a = world.connect("a").await;
    a.send_all(&[
        r#"{"type":1,"invocationId":"1","target":"Wait","arguments":[300]}"#,
        r#"{"type":1,"invocationId":"2","target":"Wait","arguments":[100]}"#,
    ]);
    tokio::time::sleep(Duration::from_millis(400)).await;
    a.expect(&[
        r#"{"type":3,"invocationId":"2","result":100}"#,
        r#"{"type":3,"invocationId":"1","result":300}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_calls_need_not_wait_for_a_hundred_thousand_turns() {
    let world = World::new();
    let mut a = world.connect("a").await;
    let one = r#"{"type":1,"target":"Count","arguments":[]}"#;
    a.send_all(&[one; 1_000]);
    assert_eq!(a.call("Count", "[]").await["result"], 1_001);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_queued_before_the_completion_of_its_call() {
    let world = World::new();
    let (mut a, mut b) = (world.connect("a").await, world.connect("b").await);
    a.send(r#"{"type":1,"invocationId":"1","target":"SendToAll","arguments":["x"]}"#);
    let event = r#"{"type":1,"target":"Message","arguments":["x"]}"#;
    a.expect(&[event, r#"{"type":3,"invocationId":"1","result":null}"#]).await;
    b.expect(&[event]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_session_says_to_its_own_client_waits_for_room() {
    let world = World::new();
    let mut a = world.connect("a").await;
    a.socket.stop_reading();
    a.send(r#"{"type":1,"invocationId":"1","target":"SendMany","arguments":[500]}"#);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(a.connection.ended().is_none());
    a.socket.read_on();
    assert_eq!(a.received().await.len(), 501);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_the_send_timeout_is_gone() {
    let world = World::new();
    let a = world.connect("a").await;
    a.socket.stop_reading();
    a.send(r#"{"type":1,"invocationId":"1","target":"SendMany","arguments":[500]}"#);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.log().len(), 1, "{:?}", world.log());
    assert_eq!(world.node.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_role_opens_a_method() {
    let world = World::new();
    let admin = Caller { roles: vec!["admin".into()], ..Caller::default() };
    let mut a = world.open("a", admin, "");
    a.send(r#"{"protocol":"json","version":1}"#);
    a.expect(&["{}"]).await;
    assert_eq!(a.call("adminonly", "[]").await["result"], "done");
}

#[tokio::test(start_paused = true)]
async fn early_messages_wait_until_the_hub_has_greeted_the_client() {
    let world = World::new();
    let mut a = world.open("a", Caller::default(), "hello=late");
    a.send_all(&[
        r#"{"protocol":"json","version":1}"#,
        r#"{"type":1,"invocationId":"1","target":"Add","arguments":[1,1]}"#,
    ]);
    a.expect(&["{}"]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    a.expect(&[
        r#"{"type":1,"target":"Welcome","arguments":[]}"#,
        r#"{"type":3,"invocationId":"1","result":2}"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_cannot_be_is_answered_and_closed_without_a_close_message() {
    let world = World::new();
    for (request, answer) in [
        (r#"{"protocol":"xyz","version":1}"#, "The protocol 'xyz' is not supported."),
        (
            r#"{"protocol":"json","version":3}"#,
            "The server does not support version 3 of the 'json' protocol.",
        ),
        (r#"{"type":6}"#, "An unexpected error occurred during connection handshake."),
        (
            r#"{"protocol":"messagepack","version":1}"#,
            "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.",
        ),
    ] {
        let mut a = world.open("a", Caller::default(), "text-only");
        a.send(request);
        assert_eq!(a.received().await, [json!({ "error": answer })]);
        assert!(a.socket.is_closed());
        a.close();
    }
    let mut silent = world.open("b", Caller::default(), "");
    tokio::time::sleep(Duration::from_secs(17)).await;
    silent.expect_close(r#"{"error":"Handshake was canceled."}"#).await;
    assert!(world.log().is_empty(), "nobody was ever connected");
}

#[tokio::test(start_paused = true)]
async fn more_calls_at_once_than_allowed_are_refused() {
    let world = World::with(|options| options.calls_max = 2);
    let mut a = world.connect("a").await;
    for id in 1..=3 {
        a.send(&format!(
            r#"{{"type":4,"invocationId":"{id}","target":"Counter","arguments":[2,50]}}"#
        ));
    }
    let received = a.received().await;
    assert_eq!(received.len(), 3);
    assert!(received[2]["error"].as_str().unwrap().contains("HubException: Too many calls"));
}
