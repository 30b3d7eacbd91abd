//! Reading a request's body, within its limits and those of all bodies together.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::problem::Problem;
use crate::config::HttpConfig;

/// How much the bodies of all requests may take together.
///
/// Those that come in one piece are not counted, since they are small and their number has a limit already. So many
/// large ones that come slowly can keep each other out, but no small one.
#[derive(Debug)]
pub struct Bodies {
    most: usize,
    held: AtomicUsize,
}

impl Bodies {
    /// For so many bodies of the largest size.
    const OF_THE_LARGEST: usize = 4;

    /// Where the largest has so many bytes.
    pub fn new(max_body: usize) -> Arc<Self> {
        let most = max_body.saturating_mul(Self::OF_THE_LARGEST);
        Arc::new(Self { most, held: AtomicUsize::new(0) })
    }
}

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

/// Bytes of [`Bodies`] that belong to one request.
#[derive(Debug)]
struct Held {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Held {
    fn new(bodies: &Arc<Bodies>) -> Self {
        Self { bodies: bodies.clone(), bytes: 0 }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let before = self.bodies.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) <= self.bodies.most { Ok(()) } else { Err(too_many()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.held.fetch_sub(self.bytes, Ordering::Relaxed);
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
    held.grow(first.len())?;
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if whole.len() + chunk.len() > max_body {
            return Err(too_large(max_body));
        }
        held.grow(chunk.len())?;
        whole.extend_from_slice(&chunk);
        next = next_chunk(&mut body).await?;
    }
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

    fn http() -> HttpConfig {
        HttpConfig { max_body: 10, ..HttpConfig::default() }
    }

    /// A body in pieces of these sizes.
    async fn receive(pieces: &[usize], bodies: &Arc<Bodies>) -> Result<Whole, Problem> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|size| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b' '; *size]))))
            .collect();
        let body = Body::new(StreamBody::new(stream::iter(pieces)));
        read(&HeaderMap::new(), body, &http(), bodies).await
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_no_further_than_it_may_be_long() {
        let bodies = Bodies::new(10);
        assert_eq!(receive(&[], &bodies).await.unwrap().len(), 0);
        assert_eq!(receive(&[10], &bodies).await.unwrap().len(), 10);
        assert_eq!(receive(&[1; 10], &bodies).await.unwrap().len(), 10);
        assert_eq!(receive(&[11], &bodies).await.unwrap_err(), too_large(10));
        assert_eq!(receive(&[1; 11], &bodies).await.unwrap_err(), too_large(10));
    }

    #[tokio::test]
    async fn large_bodies_count_together_until_they_are_done_with_and_small_ones_do_not() {
        let bodies = Bodies::new(10);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(receive(&[5, 5], &bodies).await.unwrap());
        }
        assert_eq!(receive(&[1, 1], &bodies).await.unwrap_err(), too_many());
        assert!(receive(&[10], &bodies).await.is_ok());
        held.pop();
        assert!(receive(&[5, 5], &bodies).await.is_ok());
        held.clear();
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0);
    }
}
