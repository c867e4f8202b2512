//! The hub that the conformance cases talk to.

use std::time::Duration;

use conduit_realtime::hub::{Context, Hub, HubError, HubResult, Methods, Upload};
use conduit_realtime::protocol::RawValue;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

/// The event that every `SendTo…` sends.
const EVENT: &str = "Message";
/// The text that nobody may see without detailed errors.
pub(crate) const SECRET: &str = "secret detail";

#[derive(Clone, Copy)]
pub(crate) struct ConformanceHub;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Who {
    connection_id: String,
    user_id: Option<String>,
}

type Caller = Context<ConformanceHub>;

impl Hub for ConformanceHub {
    type State = ();

    fn methods(&self, methods: &mut Methods<Self>) {
        methods.add("Echo", echo);
        methods.add("Add", add);
        methods.add("Nothing", nothing);
        methods.add("Fail", fail);
        methods.add("FailHub", fail_hub);
        methods.add("Wait", wait);
        methods.stream("Counter", counter);
        methods.stream("FailingStream", failing_stream);
        methods.add("Sum", sum);
        methods.stream("EchoStream", echo_stream);
        methods.add("JoinGroup", async |caller: Caller, group: String| caller.join(group).await);
        methods.add("LeaveGroup", leave_group);
        methods.add("SendToGroup", send_to_group);
        methods.add("SendToGroupExceptMe", send_to_group_except_me);
        methods.add("SendToAll", send_to_all);
        methods.add("SendToOthers", send_to_others);
        methods.add("SendToCaller", send_to_caller);
        methods.add("SendToUser", send_to_user);
        methods.add("SendToConnection", send_to_connection);
        methods.add("SendMany", send_many);
        methods.add("AskMe", ask_me);
        methods.add("AskConnection", ask_connection);
        methods.add("Abort", abort);
        methods.add("WhoAmI", who_am_i);
        methods.add("BigMessage", big_message);
    }
}

async fn echo(_: Caller, value: RawValue) -> HubResult<RawValue> {
    Ok(value)
}

async fn add(_: Caller, a: i32, b: i32) -> HubResult<i32> {
    Ok(a.wrapping_add(b))
}

async fn nothing(_: Caller) -> HubResult<()> {
    Ok(())
}

async fn fail(_: Caller) -> HubResult<()> {
    Err(HubError::internal(SECRET))
}

async fn fail_hub(_: Caller, message: String) -> HubResult<()> {
    Err(HubError::client(message))
}

async fn wait(_: Caller, ms: u64) -> HubResult<u64> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(ms)
}

/// A pause after each item, as in the recorded server.
async fn counter(
    _: Caller,
    count: u32,
    delay_ms: u64,
) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    Ok(stream::unfold(0, move |number| async move {
        if number > 0 && delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        (number < count).then(|| (Ok(number), number + 1))
    }))
}

async fn failing_stream(
    _: Caller,
    count: u32,
) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
    let failure = stream::once(async { Err(HubError::internal(SECRET)) });
    Ok(stream::iter((0..count).map(Ok)).chain(failure))
}

async fn sum(_: Caller, mut numbers: Upload<i32>) -> HubResult<i32> {
    let mut sum = 0_i32;
    while let Some(number) = numbers.next().await {
        sum = sum.wrapping_add(number?);
    }
    Ok(sum)
}

async fn echo_stream(
    _: Caller,
    items: Upload<RawValue>,
) -> HubResult<impl Stream<Item = HubResult<RawValue>> + Send> {
    Ok(items)
}

async fn leave_group(caller: Caller, group: String) -> HubResult<()> {
    caller.leave(group).await
}

async fn send_to_group(caller: Caller, group: String, payload: RawValue) -> HubResult<()> {
    caller.clients().group(group).send(EVENT, (payload,)).await
}

async fn send_to_group_except_me(
    caller: Caller,
    group: String,
    payload: RawValue,
) -> HubResult<()> {
    caller.clients().others_in_group(group).send(EVENT, (payload,)).await
}

async fn send_to_all(caller: Caller, payload: RawValue) -> HubResult<()> {
    caller.clients().all().send(EVENT, (payload,)).await
}

async fn send_to_others(caller: Caller, payload: RawValue) -> HubResult<()> {
    caller.clients().others().send(EVENT, (payload,)).await
}

async fn send_to_caller(caller: Caller, payload: RawValue) -> HubResult<()> {
    caller.clients().caller().send(EVENT, (payload,)).await
}

async fn send_to_user(caller: Caller, user: String, payload: RawValue) -> HubResult<()> {
    caller.clients().user(user).send(EVENT, (payload,)).await
}

async fn send_to_connection(caller: Caller, id: String, payload: RawValue) -> HubResult<()> {
    caller.clients().connection(id).send(EVENT, (payload,)).await
}

async fn send_many(caller: Caller, count: u32) -> HubResult<()> {
    for number in 0..count {
        caller.clients().caller().send(EVENT, (number,)).await?;
    }
    Ok(())
}

async fn ask_me(caller: Caller, question: RawValue) -> HubResult<String> {
    Ok(caller.clients().caller().ask("Ask", (question,)).await?)
}

async fn ask_connection(caller: Caller, id: String, question: RawValue) -> HubResult<String> {
    Ok(caller.clients().connection(id).ask("Ask", (question,)).await?)
}

async fn abort(caller: Caller) -> HubResult<()> {
    caller.abort();
    Ok(())
}

async fn who_am_i(caller: Caller) -> HubResult<Who> {
    Ok(Who {
        connection_id: caller.connection_id().to_string(),
        user_id: caller.user_id().map(ToString::to_string),
    })
}

async fn big_message(_: Caller, size: usize) -> HubResult<String> {
    if size > 64 << 20 {
        return Err(HubError::client("too big"));
    }
    Ok("x".repeat(size))
}
