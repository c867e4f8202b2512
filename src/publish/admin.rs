//! `/api/v1/admin/…`: what operators may see and change: dead letters, breakers, the store's health.

mod breakers;
mod changes;
mod dead_letters;
mod filter;
mod letter;
mod store;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::router::Publish;

pub(super) use changes::again_by_id;

/// All of them, behind the operators' key.
pub(super) fn router() -> Router<Arc<Publish>> {
    Router::new()
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/export", get(dead_letters::export))
        .route("/dead-letters/requeue", post(changes::requeue))
        .route("/dead-letters/purge", post(changes::purge))
        .route(
            "/dead-letters/messages/{id}",
            get(dead_letters::show).delete(changes::purge_message),
        )
        .route("/dead-letters/messages/{id}/requeue", post(changes::requeue_message))
        .route("/breakers", get(breakers::list))
        .route("/breakers/store/{force}", post(breakers::force_store))
        .route("/breakers/subscribers/{subscriber}/{force}", post(breakers::force_subscriber))
        .route("/store", get(store::health))
        .route("/store/acknowledge-damage", post(store::acknowledge_damage))
}
