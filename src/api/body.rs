//! Reading a request's body, within its limits.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::problem::Problem;
use crate::config::HttpConfig;

/// Reads the whole body. The announced length is checked before the first byte is taken.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    http: &HttpConfig,
) -> Result<Bytes, Problem> {
    check_encoding(headers)?;
    if announced_length(headers).is_some_and(|length| length > http.max_body as u64) {
        return Err(too_large(http.max_body));
    }
    match tokio::time::timeout(http.body_timeout, collect(body, http.max_body)).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(http.body_timeout)),
    }
}

async fn collect(mut body: Body, max_body: usize) -> Result<Bytes, Problem> {
    let Some(first) = next_chunk(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > max_body {
        return Err(too_large(max_body));
    }
    // Most bodies come in one piece, which need not be copied.
    let Some(second) = next_chunk(&mut body).await? else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        if whole.len() + chunk.len() > max_body {
            return Err(too_large(max_body));
        }
        whole.extend_from_slice(&chunk);
        next = next_chunk(&mut body).await?;
    }
    Ok(whole.freeze())
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

fn too_slow(timeout: Duration) -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_timeout",
        format!("the body did not arrive within {}", humantime::format_duration(timeout)),
    )
    .ending_connection()
}
