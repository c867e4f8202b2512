//! Dead letters, looked at: lists, one message's, all as a stream.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde_json::json;

use super::filter::Query;
use super::letter::{Short, Whole};
use crate::delivery::{DeadFilter, DeadKey, WholeLetter};
use crate::model::MessageId;
use crate::publish::members::path;
use crate::publish::problem::Problem;
use crate::publish::router::Publish;
use crate::publish::shapes::place;

/// Dead letters of one message that are shown at once.
const OF_MESSAGE_MAX: usize = 1_000;
/// Dead letters that are read at a time for an export.
const EXPORT_PAGE: usize = 256;

/// A page of the list, in order of acceptance.
pub(super) async fn list(
    State(publish): State<Arc<Publish>>,
    RawQuery(query): RawQuery,
) -> Response {
    let listed = async {
        let query = Query::parse(query.as_deref())?;
        let reading = publish.delivery.dead_letters(query.filter, None, query.limit);
        let page = publish.in_time(reading).await?;
        let letters: Vec<Short> = page.letters.iter().map(Short::of).collect();
        Ok(Json(json!({
            "count": letters.len(),
            "deadLetters": letters,
            "next": page.next.map(place),
        }))
        .into_response())
    };
    publish.answer(listed.await)
}

/// Everything about the dead letters of one message, a page of them.
pub(super) async fn show(
    State(publish): State<Arc<Publish>>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let shown = async {
        let filter = of_message(id, Query::parse(query.as_deref())?)?.filter;
        let reading = publish.delivery.whole_letters(filter, None, OF_MESSAGE_MAX);
        let page = publish.in_time(reading).await?;
        if page.letters.is_empty() {
            return Err(Problem::not_found("dead letter"));
        }
        let letters: Vec<Whole> = page.letters.iter().map(Whole::of).collect();
        // Not through a tree of values: arguments are shown as they were published.
        let shown =
            Shown { count: letters.len(), dead_letters: letters, next: page.next.map(place) };
        Ok(Json(shown).into_response())
    };
    publish.answer(shown.await)
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    count: usize,
    dead_letters: Vec<Whole>,
    next: Option<String>,
}

/// The query, narrowed to the message of the path.
pub(super) fn of_message(
    id: Result<Path<String>, PathRejection>,
    mut query: Query,
) -> Result<Query, Problem> {
    let id = MessageId::parse(&path(id)?).map_err(|_bad| Problem::not_found("dead letter"))?;
    query.filter.ids = Some([id].into());
    Ok(query)
}

/// All that fit, as JSON lines. A page is read when the one before it is on its way; an error ends
/// the stream before its end, so a whole answer is a whole export.
pub(super) async fn export(
    State(publish): State<Arc<Publish>>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = match Query::parse(query.as_deref()) {
        Ok(query) => query,
        Err(problem) => return publish.refuse(problem),
    };
    let first = match read_page(&publish, &query.filter, None).await {
        Ok(page) => page,
        Err(problem) => return publish.refuse(problem),
    };
    let pages = stream::try_unfold(Export::Page(first), move |export| {
        let (publish, filter) = (publish.clone(), query.filter.clone());
        async move {
            let (lines, next) = match export {
                Export::Page(page) => page,
                Export::After(place) => read_page(&publish, &filter, Some(place))
                    .await
                    .map_err(|problem| std::io::Error::other(problem.detail().to_owned()))?,
                Export::Over => return Ok(None),
            };
            let next = next.map_or(Export::Over, Export::After);
            Ok::<_, std::io::Error>(Some((lines, next)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(pages)).into_response()
}

enum Export {
    Page((Bytes, Option<DeadKey>)),
    After(DeadKey),
    Over,
}

async fn read_page(
    publish: &Publish,
    filter: &DeadFilter,
    after: Option<DeadKey>,
) -> Result<(Bytes, Option<DeadKey>), Problem> {
    let reading = publish.delivery.whole_letters(filter.clone(), after, EXPORT_PAGE);
    let page = publish.in_time(reading).await?;
    Ok((lines(&page.letters), page.next))
}

fn lines(letters: &[WholeLetter]) -> Bytes {
    let mut lines = Vec::new();
    for letter in letters {
        // Writing plain data into memory cannot fail.
        if serde_json::to_writer(&mut lines, &Whole::of(letter)).is_ok() {
            lines.push(b'\n');
        }
    }
    lines.into()
}
