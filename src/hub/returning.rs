//! What a client gets when it has come: its groups, then what it is owed, then what is new.

use std::sync::Arc;

use super::context::{Context, ON_CONNECTED};
use super::definition::Hub;
use super::error::HubResult;
use super::seat::{Core, Seat};
use crate::connections::End;
use crate::delivery::{Gap, Subscription};
use crate::protocol::Event;

/// The event that says that ordinary messages were lost to a limit:
/// `{ "reason": "tooSlow" | "notResumed" | "catchingUp", "missed": number | null }`.
const GAP: &str = "gap";
const TOO_SLOW: &str = "Connection closed: the client reads too slowly.";

/// Puts a returning session back into its groups, each after its guard was asked again.
pub(super) async fn restore<H: Hub>(seat: &Arc<Seat<H>>) -> HubResult<()> {
    let Some(own) = seat.core.subscription() else { return Ok(()) };
    for group in own.groups() {
        let context = Context::new(seat.clone(), ON_CONNECTED, None);
        if H::may_rejoin(context.clone(), group.clone()).await {
            context.join(group.clone()).await?;
        } else {
            tracing::debug!(connection = %seat.core.connection.id(), "a group is not allowed any more");
            own.revoke(group).await?;
        }
    }
    Ok(())
}

/// Sends what is owed in order of acceptance, then lets in what is new, and says what was lost:
/// on the last connection (`gap`) and now.
pub(super) async fn replay(core: &Core, gap: Option<Gap>) {
    let Some(own) = core.subscription() else { return };
    if own.catches_up() {
        own.replay().await;
    }
    tell_gap(core, own, gap, None).await;
    // An error: nobody is there any more.
    let Ok(lost) = core.let_in(own).await else { return };
    match lost {
        0 => {}
        _ if own.is_session => tell_gap(core, own, Some(Gap::CatchingUp), Some(lost)).await,
        // It knows no gaps: as every client that reads too slowly.
        _ => core
            .connection
            .end(End::Asked { reason: Some(TOO_SLOW.to_owned()), allow_reconnect: true }),
    }
}

async fn tell_gap(core: &Core, own: &Subscription, gap: Option<Gap>, missed: Option<u64>) {
    let Some(gap) = gap.filter(|_| own.is_session) else { return };
    let told = serde_json::json!({ "reason": gap.name(), "missed": missed });
    let event = Event::new(GAP, (told,));
    let _ = core.house.context.delivery().send_to(&core.connection, &event).await;
}
