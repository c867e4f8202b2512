//! How the store is, and that somebody has seen it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::publish::problem::Problem;
use crate::publish::router::Publish;
use crate::publish::shapes::iso;

/// What it says of itself.
pub(super) async fn health(State(publish): State<Arc<Publish>>) -> Response {
    publish.answer(shown(&publish).map(|body| Json(body).into_response()))
}

/// An operator has seen what was lost; health is good again.
pub(super) async fn acknowledge_damage(State(publish): State<Arc<Publish>>) -> Response {
    let seen = async {
        publish.in_time(publish.delivery.acknowledge_damage()).await?;
        shown(&publish).map(|body| Json(body).into_response())
    };
    publish.answer(seen.await)
}

fn shown(publish: &Publish) -> Result<Value, Problem> {
    let health = publish.delivery.store_health();
    let health = health.ok_or_else(|| Problem::not_found("store: nothing is kept"))?;
    let damage = health.damage.as_ref().map(|damage| {
        json!({
            "at": iso(damage.at),
            "recordsSaved": damage.saved,
            "recordsLost": damage.lost,
            "bytesUnreadable": damage.bytes,
            "setAside": damage.set_aside,
        })
    });
    Ok(json!({
        "mode": health.mode.name(),
        "accepts": health.accepts(),
        "diskFull": health.disk_full,
        "failing": health.failing,
        "broken": health.broken,
        "damage": damage,
    }))
}
