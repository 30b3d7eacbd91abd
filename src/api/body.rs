//! Reading a request's body, within its limits and those of all bodies together.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::bodies::{Bodies, Full, Held};
use super::problem::Problem;
use crate::config::HttpConfig;

/// A whole body. Its bytes count until the request is done with.
#[derive(Debug)]
pub(super) struct Whole {
    bytes: Bytes,
    _held: Option<Held>,
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
    check_encoding(headers)?;
    if announced_length(headers).is_some_and(|length| length > http.max_body as u64) {
        return Err(too_large(http.max_body));
    }
    match tokio::time::timeout(http.body_timeout, collect(body, http.max_body, bodies)).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(http.body_timeout)),
    }
}

async fn collect(mut body: Body, max_body: usize, bodies: &Arc<Bodies>) -> Result<Whole, Problem> {
    let first = next_chunk(&mut body).await?.unwrap_or_default();
    if first.len() > max_body {
        return Err(too_large(max_body));
    }
    // Most bodies come in one piece, which need not be copied.
    let Some(second) = next_chunk(&mut body).await? else {
        return Ok(Whole { bytes: first, _held: None });
    };
    let mut held = Held::new(bodies);
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let length = whole.len() + chunk.len();
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
    Ok(Whole { bytes: whole.freeze(), _held: Some(held) })
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

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                "the body is compressed; send it as it is, without `content-encoding`",
            ))
        }
        Some(_) | None => Ok(()),
    }
}

fn too_large(max_body: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!(
            "the body is larger than {max_body} bytes, the most that is taken (`http.max_body`)"
        ),
    )
}

fn too_many() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_bodies",
        "as many large bodies as the server takes are on their way already; try again later",
    )
    .retry_after(Duration::from_secs(1))
    .ending_connection()
}

fn stood_still() -> Problem {
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
}
