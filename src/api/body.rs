//! Reading a request's body, within its limits and those of all bodies together.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;

use super::bodies::{Bodies, Full, Held};
use super::encoding::{self, Encoding};
use super::problem::Problem;
use crate::config::HttpConfig;

/// A whole body. Its bytes count until the request is done with.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Bytes,
    _held: Option<Held>,
}

#[cfg(feature = "fuzzing")]
impl Whole {
    /// Of no request.
    pub(super) fn lone(bytes: Bytes) -> Self {
        Self { bytes, _held: None }
    }
}

impl Deref for Whole {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads the whole body. The announced length is checked before the first byte is taken.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    http: &HttpConfig,
    bodies: &Arc<Bodies>,
) -> Result<Whole, Problem> {
    let encoding = Encoding::of(headers)?;
    if announced_length(headers).is_some_and(|length| length > http.max_body as u64) {
        return Err(too_large(http.max_body));
    }
    let padding = padding(headers);
    let collected = collect(body, http.max_body, bodies, padding);
    let Ok(whole) = tokio::time::timeout(http.body_timeout, collected).await else {
        return Err(too_slow(http.body_timeout));
    };
    let whole = whole?;
    let Some(encoding) = encoding else { return Ok(whole) };
    let mut held = Held::new(bodies);
    let bytes = encoding::decompressed(&whole.bytes, encoding, http.max_body, &mut held)?;
    Ok(Whole { bytes: bytes.into(), _held: Some(held) })
}

/// The header that says how many bytes of a body are text, where numbers follow.
pub(super) const TEXT_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// How many bytes a body must be moved so that the numbers behind its text lie as numbers have to: then they can be used
/// where they are.
fn padding(headers: &HeaderMap) -> usize {
    const ALIGNMENT: usize = 8;
    let text = headers.get(TEXT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    text.map_or(0, |text: usize| text.wrapping_neg() % ALIGNMENT)
}

async fn collect(
    mut body: Body,
    max_body: usize,
    bodies: &Arc<Bodies>,
    padding: usize,
) -> Result<Whole, Problem> {
    let first = next_chunk(&mut body).await?.unwrap_or_default();
    if first.len() > max_body {
        return Err(too_large(max_body));
    }
    // Most bodies come in one piece, which need not be copied.
    let Some(second) = next_chunk(&mut body).await? else {
        return Ok(Whole { bytes: first, _held: None });
    };
    let mut held = Held::new(bodies);
    let mut whole = BytesMut::with_capacity(padding + first.len() + second.len());
    whole.put_bytes(0, padding);
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let length = whole.len() - padding + chunk.len();
        if length > max_body {
            return Err(too_large(max_body));
        }
        held.cover(length).await.map_err(|Full| too_many())?;
        whole.extend_from_slice(&chunk);
        next = tokio::select! {
            chunk = next_chunk(&mut body) => chunk?,
            () = held.has_to_go() => return Err(stood_still()),
        };
    }
    held.is_whole();
    Ok(Whole { bytes: whole.freeze().slice(padding..), _held: Some(held) })
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::bad_request(
                "incomplete_body",
                "the connection ended in the middle of the body",
            )
        })?;
        if let Ok(chunk) = frame.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) fn too_large(max_body: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!(
            "the body is larger than {max_body} bytes, the most that is taken (`http.max_body`)"
        ),
    )
}

pub(super) fn too_many() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_bodies",
        "as many large bodies as the server takes are on their way already; try again later",
    )
    .retry_after(Duration::from_secs(1))
    .ending_connection()
}

pub(super) fn stood_still() -> Problem {
    let sentence = "the body stood still while others had no room; send it again";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", sentence).ending_connection()
}

fn too_slow(timeout: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_timeout",
        format!("the body did not arrive within {}", humantime::format_duration(timeout)),
    )
    .ending_connection()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// A body in pieces of these sizes.
    async fn receive(
        pieces: &[usize],
        http: &HttpConfig,
        bodies: &Arc<Bodies>,
    ) -> Result<Whole, Problem> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|size| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b' '; *size]))))
            .collect();
        let body = Body::new(StreamBody::new(stream::iter(pieces)));
        read(&HeaderMap::new(), body, http, bodies).await
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_no_further_than_it_may_be_long() {
        let http = HttpConfig { max_body: 10, ..HttpConfig::default() };
        let bodies = Bodies::new(10);
        assert_eq!(receive(&[], &http, &bodies).await.unwrap().len(), 0);
        assert_eq!(receive(&[10], &http, &bodies).await.unwrap().len(), 10);
        assert_eq!(receive(&[1; 10], &http, &bodies).await.unwrap().len(), 10);
        assert_eq!(receive(&[11], &http, &bodies).await.unwrap_err(), too_large(10));
        assert_eq!(receive(&[1; 11], &http, &bodies).await.unwrap_err(), too_large(10));
    }

    #[tokio::test]
    async fn where_large_bodies_have_taken_all_room_a_small_one_may_come_in_pieces() {
        let (http, bodies) = (HttpConfig::default(), Bodies::new(1 << 20));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(receive(&[1 << 19; 2], &http, &bodies).await.unwrap());
        }
        assert_eq!(bodies.held(), 4 << 20);
        assert_eq!(receive(&[10_000; 2], &http, &bodies).await.unwrap_err(), too_many());
        assert!(receive(&[1000; 10], &http, &bodies).await.is_ok());
        held.clear();
        assert_eq!(bodies.held(), 0);
    }

    #[tokio::test]
    async fn numbers_behind_a_text_lie_so_that_they_can_be_used_where_they_are() {
        let bodies = Bodies::new(10);
        for text in 0..10_usize {
            let pieces =
                [4, 6].map(|size| Ok::<_, std::io::Error>(Frame::data(vec![7; size].into())));
            let body = Body::new(StreamBody::new(stream::iter(pieces)));
            let headers = HeaderMap::from_iter([(TEXT_LENGTH, text.into())]);
            let whole = read(&headers, body, &HttpConfig::default(), &bodies).await.unwrap();
            assert_eq!(whole[..], [7; 10]);
            assert_eq!(whole[text..].as_ptr().align_offset(8), 0, "{text}");
        }
    }
}
