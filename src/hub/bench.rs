//! The hub of load tests: echoes, broadcasts, groups, questions and a stream.

use std::time::Duration;

use futures_util::{Stream, stream};

use super::context::Context;
use super::definition::Hub;
use super::error::HubResult;
use super::methods::Methods;
use crate::protocol::RawValue;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// Who may call it may speak to everybody on it, so it is only for measuring.
#[derive(Clone, Copy, Debug, Default)]
pub struct BenchHub;

impl Hub for BenchHub {
    type State = ();

    fn methods(&self, methods: &mut Methods<Self>) {
        methods.add("Echo", Self::echo);
        methods.add("Broadcast", Self::broadcast);
        methods.add("JoinGroup", Self::join_group);
        methods.add("LeaveGroup", Self::leave_group);
        methods.add("SendToGroup", Self::send_to_group);
        methods.add("Wait", Self::wait);
        methods.add("AskClient", Self::ask_client);
        methods.stream("Counter", Self::counter);
    }
}

impl BenchHub {
    async fn echo(_: Context<Self>, payload: RawValue) -> HubResult<RawValue> {
        Ok(payload)
    }

    async fn broadcast(context: Context<Self>, payload: RawValue) -> HubResult<()> {
        context.clients().all().send("Broadcast", (payload,)).await
    }

    async fn join_group(context: Context<Self>, group: String) -> HubResult<()> {
        context.join(group).await
    }

    async fn leave_group(context: Context<Self>, group: String) -> HubResult<()> {
        context.leave(group).await
    }

    async fn send_to_group(
        context: Context<Self>,
        group: String,
        payload: RawValue,
    ) -> HubResult<()> {
        context.clients().group(group).send("Broadcast", (payload,)).await
    }

    /// A call that takes its time, at most a minute.
    async fn wait(_: Context<Self>, ms: u64) -> HubResult<()> {
        tokio::time::sleep(Duration::from_millis(ms).min(WAIT_MAX)).await;
        Ok(())
    }

    async fn ask_client(
        context: Context<Self>,
        connection_id: String,
        question: RawValue,
    ) -> HubResult<RawValue> {
        Ok(context.clients().connection(connection_id).ask("Ask", (question,)).await?)
    }

    async fn counter(
        _: Context<Self>,
        count: u32,
        delay_ms: u64,
    ) -> HubResult<impl Stream<Item = HubResult<u32>> + Send> {
        // A pause after each item.
        Ok(stream::unfold(0, move |number| async move {
            if number > 0 && delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            (number < count).then(|| (Ok(number), number + 1))
        }))
    }
}
