//! The hub of these tests.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use parking_lot::Mutex;

use crate::hub::{Context, Hub, HubError, HubResult, Methods, Upload};
use crate::model::GroupName;
use crate::protocol::RawValue;

/// Writes down what happens to it.
#[derive(Default)]
pub(in crate::hub) struct TestHub {
    pub(in crate::hub) log: Mutex<Vec<String>>,
    /// Groups that returning sessions may not be in any more.
    pub(in crate::hub) closed: Mutex<Vec<String>>,
}

type Caller = Context<TestHub>;

impl Hub for TestHub {
    type State = Mutex<u32>;

    fn methods(&self, methods: &mut Methods<Self>) {
        methods.add("Echo", async |_: Caller, value: RawValue| HubResult::Ok(value));
        methods.add("Add", async |_: Caller, a: i32, b: i32| HubResult::Ok(a + b));
        methods.add("Nothing", async |_: Caller| HubResult::Ok(()));
        methods.add("Fail", async |_: Caller| HubResult::<()>::Err(HubError::internal("secret")));
        methods.add("Panic", async |_: Caller| -> HubResult<()> { panic!("oh") });
        methods.add("Parse", async |_: Caller, text: String| text.parse::<i32>());
        methods.add("Wait", wait);
        methods.add("Count", count);
        methods.add("SendToAll", send_to_all);
        methods.add("SendMany", send_many);
        methods.add("Ask", ask);
        methods.add("Abort", async |caller: Caller| {
            caller.abort();
            HubResult::Ok(())
        });
        methods.add("Join", async |caller: Caller, group: String| caller.join(group).await);
        methods.add("Sum", sum);
        methods.add("TakeOne", take_one);
        methods.stream("Counter", counter);
        methods.stream("Endless", endless);
        methods.stream("FailingStream", failing_stream);
        methods
            .stream("EchoStream", async |_: Caller, items: Upload<RawValue>| HubResult::Ok(items));
        methods.add("AdminOnly", async |_: Caller| HubResult::Ok("done")).roles(["admin"]);
    }

    async fn on_connected(context: Context<Self>) -> HubResult<()> {
        match &*context.query_value("hello").unwrap_or_default() {
            "fail" => Err(HubError::internal("secret")),
            "ask" => Ok(context.clients().caller().ask("Ask", ()).await?),
            "late" => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                context.clients().caller().send("Welcome", ()).await
            }
            _ => Ok(()),
        }
    }

    async fn may_rejoin(context: Context<Self>, group: GroupName) -> bool {
        !context.hub().closed.lock().iter().any(|closed| closed == group.as_str())
    }

    async fn on_disconnected(context: Context<Self>, error: Option<String>) {
        let line = format!("{} left: {error:?}", context.connection_id());
        context.hub().log.lock().push(line);
    }
}

async fn wait(caller: Caller, ms: u64) -> HubResult<u64> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    caller.hub().log.lock().push(format!("waited {ms}"));
    Ok(ms)
}

async fn count(caller: Caller) -> HubResult<u32> {
    let mut count = caller.state().lock();
    *count += 1;
    Ok(*count)
}

async fn send_to_all(caller: Caller, text: String) -> HubResult<()> {
    caller.clients().all().send("Message", (text,)).await
}

async fn send_many(caller: Caller, count: u32) -> HubResult<()> {
    for number in 0..count {
        caller.clients().caller().send("Message", (number,)).await?;
    }
    Ok(())
}

async fn ask(caller: Caller, id: String) -> HubResult<String> {
    let client = caller.clients().connection(id);
    Ok(client.ask_within("Question", ("?",), Duration::from_secs(5)).await?)
}

async fn sum(caller: Caller, mut numbers: Upload<i32>) -> HubResult<i32> {
    let mut sum = 0;
    while let Some(number) = numbers.next().await {
        match number {
            Ok(number) => sum += number,
            Err(error) => {
                caller.hub().log.lock().push(format!("sum: {error}"));
                return Err(error);
            }
        }
    }
    Ok(sum)
}

async fn take_one(_: Caller, ms: u64, mut numbers: Upload<i32>) -> HubResult<Option<i32>> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    numbers.next().await.transpose()
}

async fn counter(
    caller: Caller,
    count: u32,
    delay_ms: u64,
) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    let guard = Dropped(caller);
    Ok(stream::unfold((guard, 0), move |(guard, number)| async move {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        (number < count).then(|| (Ok(number), (guard, number + 1)))
    }))
}

async fn endless(_: Caller) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    Ok(stream::iter(0..).map(Ok))
}

async fn failing_stream(_: Caller) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    Ok(stream::iter([Ok(0), Err(HubError::internal("secret"))]))
}

struct Dropped(Caller);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.hub().log.lock().push("stream dropped".to_owned());
    }
}
