//! Filters around invocations.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::hub::tests_support::World;
use crate::hub::{Call, CallError, Filter, HubError, Next, Reply};

/// Writes down what passes, and lets nobody call `Echo`.
struct Doorman(&'static str, Arc<Mutex<Vec<String>>>);

impl Filter for Doorman {
    fn invoke<'a>(
        &'a self,
        call: &'a Call<'a>,
        next: Next<'a>,
    ) -> BoxFuture<'a, Result<Reply, CallError>> {
        Box::pin(async move {
            let Self(name, book) = self;
            book.lock().push(format!("{name}> {} as {:?}", call.target(), call.method()));
            if call.method() == Some("Echo") {
                return Err(HubError::client("not today").into());
            }
            let outcome = next.run().await;
            book.lock().push(format!("{name}< {}", outcome.is_ok()));
            outcome
        })
    }
}

#[tokio::test(start_paused = true)]
async fn filters_surround_every_call_in_their_order_and_may_refuse() {
    let book = Arc::new(Mutex::new(Vec::new()));
    let world = World::with(|options| {
        options.filters =
            vec![Arc::new(Doorman("a", book.clone())), Arc::new(Doorman("b", book.clone()))];
    });
    let mut a = world.connect("a").await;
    assert_eq!(a.call("add", "[1,2]").await["result"], 3);
    let passed = std::mem::take(&mut *book.lock());
    assert_eq!(
        passed,
        [r#"a> add as Some("Add")"#, r#"b> add as Some("Add")"#, "b< true", "a< true"]
    );
    a.call("nope", "[]").await;
    a.call("Add", "[]").await;
    a.call("AdminOnly", "[]").await;
    let passed = std::mem::take(&mut *book.lock());
    assert_eq!(passed.len(), 12, "{passed:?}");
    assert_eq!(passed[0], "a> nope as None");
    assert!(passed.iter().filter(|line| line.contains('<')).all(|line| line.ends_with("false")));
    let refused = a.call("Echo", "[1]").await;
    assert_eq!(
        refused["error"],
        "An unexpected error occurred invoking 'Echo' on the server. HubException: not today"
    );
    a.send(r#"{"type":4,"invocationId":"s","target":"Counter","arguments":[1,0]}"#);
    assert_eq!(a.received().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_answers_is_not_read_on_for_ever_even_if_all_are_refusals() {
    let book = Arc::new(Mutex::new(Vec::new()));
    let world = World::with(|options| {
        options.filters = vec![Arc::new(Doorman("a", book.clone()))];
        options.calls_max = 4;
    });
    let mut a = world.connect("a").await;
    a.socket.stop_reading();
    for _ in 0..300 {
        a.send(r#"{"type":1,"invocationId":"1","target":"Nope","arguments":[]}"#);
    }
    a.expect(&[]).await;
    let begun = book.lock().iter().filter(|line| line.starts_with("a>")).count();
    // The outbox of this world has 64 places; beside it the calls and some refusals wait.
    assert!((64..=64 + 4 + 16).contains(&begun), "{begun}");
    a.socket.read_on();
    assert_eq!(a.received().await.len(), 300);
}
