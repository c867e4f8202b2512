//! Reading the body of a request, no further than allowed.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::config::Config;
use super::problem::Problem;

/// How much of a body that is too long is read and thrown away, in bodies of the allowed length.
/// A client that still writes when the answer comes and the connection closes may never see it.
const DISCARDED_BODIES: usize = 4;

/// The whole body, or 413 as soon as it is known to be too long.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    config: &Config,
) -> Result<Bytes, Problem> {
    let max = config.body_bytes_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok());
    let announced: usize = announced.and_then(|text| text.parse().ok()).unwrap_or(0);
    let reading = async {
        if announced > max {
            discard(body, max.saturating_mul(DISCARDED_BODIES), announced).await;
            return Err(Problem::too_large(max));
        }
        collect(body, max, announced).await
    };
    within(config.body_timeout(), reading).await
}

async fn collect(mut body: Body, max: usize, announced: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| Problem::not_json("The body broke off."))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > max {
            discard(body, max.saturating_mul(DISCARDED_BODIES), usize::MAX).await;
            return Err(Problem::too_large(max));
        }
        // Most bodies come in one piece, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

async fn discard(mut body: Body, max: usize, announced: usize) {
    if announced > max {
        return;
    }
    let mut read = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if read > max {
            return;
        }
    }
}

async fn within<T>(
    limit: Duration,
    reading: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    tokio::time::timeout(limit, reading).await.unwrap_or_else(|_elapsed| Err(Problem::too_slow()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn config() -> Config {
        Config { body_bytes_max: 8, ..Config::default() }
    }

    fn pieces(pieces: &'static [&'static str]) -> Body {
        let pieces = pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(*piece)));
        Body::from_stream(stream::iter(pieces))
    }

    async fn read_pieces(list: &'static [&'static str]) -> Result<Bytes, u16> {
        let read = read(&HeaderMap::new(), pieces(list), &config()).await;
        read.map_err(|problem| problem.status())
    }

    #[tokio::test]
    async fn a_body_is_read_in_any_number_of_pieces() {
        assert_eq!(read_pieces(&[]).await.unwrap(), "");
        assert_eq!(read_pieces(&["12345678"]).await.unwrap(), "12345678");
        assert_eq!(read_pieces(&["1", "", "23", "45678"]).await.unwrap(), "12345678");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        assert_eq!(read_pieces(&["1234", "56789"]).await, Err(413));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 9.into());
        let read = read(&headers, pieces(&["123456789"]), &config()).await;
        assert_eq!(read.unwrap_err().status(), 413);
    }

    #[tokio::test]
    async fn a_body_without_end_is_refused_too() {
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"1234")));
        let read = read(&HeaderMap::new(), Body::from_stream(endless), &config()).await;
        assert_eq!(read.unwrap_err().status(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        let read = read(&HeaderMap::new(), Body::from_stream(never), &config()).await;
        assert_eq!(read.unwrap_err().status(), 408);
    }
}
