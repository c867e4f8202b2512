//! Circuit breakers: seen, and taken in hand.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::filter::subscriber;
use crate::delivery::{Destination, Force};
use crate::publish::members::path;
use crate::publish::problem::Problem;
use crate::publish::receipts::state;
use crate::publish::router::Publish;

/// Subscribers that are listed; all are counted.
const LISTED_MAX: usize = 1_000;

/// The store's breaker, and those of subscribers that are not closed.
pub(super) async fn list(State(publish): State<Arc<Publish>>) -> Response {
    publish.answer(shown(&publish).map(|body| Json(body).into_response()))
}

fn shown(publish: &Publish) -> Result<Value, Problem> {
    let breakers = publish
        .delivery
        .breakers()
        .ok_or_else(|| Problem::not_found("breaker: nothing is kept"))?;
    let held = publish.delivery.held_breakers(LISTED_MAX);
    let listed = held.into_iter().map(
        |(subscriber, own)| json!({ "subscriber": subscriber.to_string(), "state": state(own) }),
    );
    Ok(json!({
        "store": { "state": state(breakers.store), "failuresInARow": breakers.store_failures },
        "subscribers": {
            "open": breakers.open,
            "halfOpen": breakers.half_open,
            "isolated": breakers.isolated,
            "listed": listed.collect::<Vec<_>>(),
        },
    }))
}

/// `POST …/breakers/store/{open|close|auto}`.
pub(super) async fn force_store(
    State(publish): State<Arc<Publish>>,
    word: Result<Path<String>, PathRejection>,
) -> Response {
    let forced = || force(&publish, Destination::Store, &path(word)?);
    publish.answer(forced())
}

/// `POST …/breakers/subscribers/{subscriber}/{open|close|auto}`.
pub(super) async fn force_subscriber(
    State(publish): State<Arc<Publish>>,
    words: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let forced = || {
        let (number, word) = path(words)?;
        force(&publish, Destination::Subscriber(subscriber(&number)?), &word)
    };
    publish.answer(forced())
}

fn force(publish: &Publish, destination: Destination, word: &str) -> Result<Response, Problem> {
    let force = match word {
        "open" => Force::Open,
        "close" => Force::Closed,
        "auto" => Force::Auto,
        _ => return Err(Problem::not_found("address: a breaker takes open, close and auto")),
    };
    if !publish.delivery.force_breaker(destination, force) {
        return Err(Problem::not_found("breaker"));
    }
    tracing::info!(?destination, ?force, "an operator has set a breaker");
    Ok(Json(shown(publish)?).into_response())
}
