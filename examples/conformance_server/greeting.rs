//! A hub that greets its clients, or turns them away.

use conduit_realtime::hub::{Context, Hub, HubError, HubResult, Methods};

use crate::conformance::SECRET;

pub(crate) struct GreetingHub;

impl Hub for GreetingHub {
    type State = ();

    fn methods(&self, _methods: &mut Methods<Self>) {}

    async fn on_connected(context: Context<Self>) -> HubResult<()> {
        if context.query_value("reject").as_deref() == Some("1") {
            return Err(HubError::internal(SECRET));
        }
        let id = context.connection_id().to_string();
        context.clients().caller().send("Welcome", (id,)).await
    }
}
