//! What a hub's author implements.

use std::future::Future;

use super::context::Context;
use super::error::HubResult;
use super::methods::Methods;
use crate::model::GroupName;

/// A hub: methods that clients call, and what happens when a client comes and goes.
///
/// ```
/// use conduit_realtime::hub::{Context, Hub, HubResult, Methods};
///
/// struct Chat;
///
/// impl Hub for Chat {
///     type State = ();
///
///     fn methods(&self, methods: &mut Methods<Self>) {
///         methods.add("Say", Self::say);
///     }
/// }
///
/// impl Chat {
///     async fn say(context: Context<Self>, room: String, text: String) -> HubResult<()> {
///         context.clients().group(room).send("Said", (text,)).await
///     }
/// }
/// ```
pub trait Hub: Sized + Send + Sync + 'static {
    /// What is remembered about one connection while it lives.
    type State: Default + Send + Sync + 'static;

    /// Names the methods; asked once, when the hub is hosted.
    fn methods(&self, methods: &mut Methods<Self>);

    /// A client has come; its first messages wait until this is done. An error closes the
    /// connection, and [`Hub::on_disconnected`] does not run. Client results are refused here.
    fn on_connected(context: Context<Self>) -> impl Future<Output = HubResult<()>> + Send {
        let _ = context;
        std::future::ready(Ok(()))
    }

    /// Whether a returning session may be in a group again that it was in. Asked before
    /// [`Hub::on_connected`]; if not, what it was owed through the group becomes dead letters.
    fn may_rejoin(context: Context<Self>, group: GroupName) -> impl Future<Output = bool> + Send {
        let _ = (context, group);
        std::future::ready(true)
    }

    /// A client has gone: on purpose, or with the error that ended the connection. Runs once.
    fn on_disconnected(
        context: Context<Self>,
        error: Option<String>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (context, error);
        std::future::ready(())
    }
}
