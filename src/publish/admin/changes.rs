//! Dead letters, changed: sent again, or thrown away. Every answer has the counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::dead_letters::of_message;
use super::filter::Query;
use crate::delivery::{BadRequeue, DeadFilter, DeadKey, Target};
use crate::model::MessageId;
use crate::publish::body;
use crate::publish::fields::{Fields, parse_body};
use crate::publish::problem::Problem;
use crate::publish::router::Publish;
use crate::publish::shapes::place;

/// Dead letters that one call of the store changes; its lock is held for so long.
const BATCH: usize = 1_000;
/// Dead letters that one request changes; a client goes on while there are more.
const REQUEST_MAX: usize = 10_000;
/// Message ids of one request.
const IDS_MAX: usize = 1_000;
/// Refusals that one answer lists; all are counted.
const REFUSALS_MAX: usize = 100;

/// `POST …/dead-letters/requeue?filter`, or with `{"messageIds": […]}`.
pub(super) async fn requeue(
    State(publish): State<Arc<Publish>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let done = async {
        let query = Query::parse(query.as_deref())?;
        let filter = meant(&publish, &query, request).await?;
        let mut again = Again::default();
        again.over(&publish, filter, query.target, REQUEST_MAX).await?;
        Ok(Json(again.told()).into_response())
    };
    publish.answer(done.await)
}

/// `POST …/dead-letters/messages/{id}/requeue[?subscriber=][&audience=current]`.
pub(super) async fn requeue_message(
    State(publish): State<Arc<Publish>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let done = async {
        let query = of_message(id, Query::parse(query.as_deref())?)?;
        let told = again_by_id(&publish, query.filter, query.target, REQUEST_MAX).await?;
        Ok(Json(told).into_response())
    };
    publish.answer(done.await)
}

/// Sends the dead letters of one message again: 404 when there are none, a conflict when none of
/// them can be. At most `max` of them.
pub(in crate::publish) async fn again_by_id(
    publish: &Publish,
    filter: DeadFilter,
    target: Target,
    max: usize,
) -> Result<Value, Problem> {
    let mut again = Again::default();
    again.over(publish, filter, target, max).await?;
    match again.refusals.first() {
        _ if again.letters > 0 => Ok(again.told()),
        Some((_, refusal)) => Err(cannot(*refusal)),
        None => Err(Problem::not_found("dead letter")),
    }
}

/// `POST …/dead-letters/purge?filter`, or with `{"messageIds": […]}`.
pub(super) async fn purge(
    State(publish): State<Arc<Publish>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let done = async {
        let query = Query::parse(query.as_deref())?;
        let filter = meant(&publish, &query, request).await?;
        let (purged, more) = throw_away(&publish, filter).await?;
        Ok(Json(json!({ "purged": purged, "more": more })).into_response())
    };
    publish.answer(done.await)
}

/// `DELETE …/dead-letters/messages/{id}[?subscriber=]`.
pub(super) async fn purge_message(
    State(publish): State<Arc<Publish>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let done = async {
        let filter = of_message(id, Query::parse(query.as_deref())?)?.filter;
        match throw_away(&publish, filter).await? {
            (0, _) => Err(Problem::not_found("dead letter")),
            (purged, more) => Ok(Json(json!({ "purged": purged, "more": more })).into_response()),
        }
    };
    publish.answer(done.await)
}

/// How many went, and whether there are more.
async fn throw_away(publish: &Publish, filter: DeadFilter) -> Result<(usize, bool), Problem> {
    let mut purged = 0;
    loop {
        let limit = BATCH.min(REQUEST_MAX - purged);
        if limit == 0 {
            let rest = publish.in_time(publish.delivery.dead_letters(filter, None, 1)).await?;
            return Ok((purged, !rest.letters.is_empty()));
        }
        let ended = publish.in_time(publish.delivery.purge(filter.clone(), limit)).await?.len();
        purged += ended;
        if ended < limit {
            return Ok((purged, false));
        }
    }
}

/// What became of a wish to send dead letters again, over several calls of the store.
#[derive(Default)]
struct Again {
    letters: u64,
    owed: u64,
    ended: u64,
    refused: u64,
    refusals: Vec<(DeadKey, BadRequeue)>,
    looked_at: usize,
    last: Option<DeadKey>,
    more: bool,
}

impl Again {
    async fn over(
        &mut self,
        publish: &Publish,
        mut filter: DeadFilter,
        target: Target,
        max: usize,
    ) -> Result<(), Problem> {
        loop {
            let limit = BATCH.min(max.saturating_sub(self.looked_at));
            if limit == 0 {
                self.more = true;
                return Ok(());
            }
            let requeue = publish.delivery.requeue(filter.clone(), target, limit);
            let part = publish.in_time(requeue).await?;
            self.letters += part.letters;
            self.owed += part.owed.len() as u64;
            self.ended += part.ended.len() as u64;
            self.refused += part.refused.len() as u64;
            let room = REFUSALS_MAX - self.refusals.len();
            self.refusals.extend(part.refused.into_iter().take(room));
            if !part.more {
                return Ok(());
            }
            self.looked_at += limit;
            self.last = part.last;
            filter.after = part.last;
        }
    }

    fn told(&self) -> Value {
        let refusal = |(key, why): &(DeadKey, BadRequeue)| {
            json!({
                "deadLetter": place(*key),
                "subscriber": key.subscriber.to_string(),
                "code": code(*why),
            })
        };
        json!({
            "requeued": self.letters,
            "owed": self.owed,
            "ended": self.ended,
            "refused": self.refused,
            "refusals": self.refusals.iter().map(refusal).collect::<Vec<_>>(),
            "more": self.more,
            "next": self.last.filter(|_| self.more).map(place),
        })
    }
}

fn code(refusal: BadRequeue) -> &'static str {
    match refusal {
        BadRequeue::SubscriberGone => "subscriber_gone",
        BadRequeue::Nobody => "nobody",
        BadRequeue::PendingFull => "pending_full",
    }
}

fn cannot(refusal: BadRequeue) -> Problem {
    match refusal {
        BadRequeue::SubscriberGone => Problem::conflict(
            code(refusal),
            "urn:conduit-realtime:problem:subscriber-gone",
            "Its subscriber's session is over; audience=current sends it to those who are there now.",
        ),
        BadRequeue::Nobody => Problem::conflict(
            code(refusal),
            "urn:conduit-realtime:problem:nobody",
            "Nobody is in its audience now.",
        ),
        BadRequeue::PendingFull => Problem::unavailable(
            "As many messages wait for an answer as may be (store.pending_per_tenant_max, \
             store.pending_max).",
        )
        .with_code(code(refusal), None),
    }
}

/// Which are meant: those of the listed messages, else those of the filter; all only when that is
/// said in words.
async fn meant(publish: &Publish, query: &Query, request: Request) -> Result<DeadFilter, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, &publish.config).await?;
    if body.is_empty() {
        if !query.is_meant() {
            let detail = "is required when nothing narrows what is meant: all=true";
            return Err(Problem::field("all", detail));
        }
        return Ok(query.filter.clone());
    }
    let Some(mut fields) = Fields::of(parse_body(&body)?, "")? else {
        return Err(Problem::not_an_object());
    };
    let ids: Option<Vec<String>> = fields.take_as("messageIds", "must be an array of strings")?;
    let ids = ids.ok_or_else(|| fields.wrong("messageIds", "is required in a body"))?;
    if ids.is_empty() || ids.len() > IDS_MAX {
        let detail = format!("must have 1 to {IDS_MAX} message ids");
        return Err(fields.wrong("messageIds", &detail).with_limit(IDS_MAX));
    }
    fields.finish()?;
    let id = |(index, id): (usize, &String)| {
        MessageId::parse(id)
            .map_err(|bad| Problem::field(format!("messageIds[{index}]"), &bad.to_string()))
    };
    let ids: Result<Arc<[MessageId]>, Problem> = ids.iter().enumerate().map(id).collect();
    Ok(DeadFilter { ids: Some(ids?), ..query.filter.clone() })
}
