//! Who may ask the admin routes.
//!
//! On loopback every local user may, but no web page: a page in an operator's browser could otherwise drive
//! the server through DNS names that point to loopback. Elsewhere a token is needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The rules for one listener.
#[derive(Clone, Debug)]
pub enum AdminGuard {
    /// The listener is on loopback: requests must be meant for it, and not come from another site's page.
    Loopback,
    /// The listener can be reached from elsewhere: requests must carry this token.
    Token(Box<str>),
    /// The listener is on loopback, and a token is asked for nevertheless.
    LoopbackWithToken(Box<str>),
}

impl AdminGuard {
    /// The rules for a listener at `address`. An address that is not loopback needs a token, which the
    /// settings have made sure of.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        match (address.ip().is_loopback(), token) {
            (true, None) => Self::Loopback,
            (true, Some(token)) => Self::LoopbackWithToken(token.into()),
            // An empty token lets nobody in.
            (false, token) => Self::Token(token.unwrap_or_default().into()),
        }
    }

    /// Whether whoever asks must show a token.
    pub fn wants_token(&self) -> bool {
        match self {
            Self::Loopback => false,
            Self::Token(_) | Self::LoopbackWithToken(_) => true,
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Loopback => is_local(headers),
            Self::Token(token) => has_token(headers, token),
            Self::LoopbackWithToken(token) => {
                is_local(headers).and_then(|()| has_token(headers, token))
            }
        }
    }
}

/// Stands before every admin route.
pub(super) async fn check(
    State(guard): State<Arc<AdminGuard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn is_local(headers: &HeaderMap) -> Result<(), Problem> {
    let forbidden = |sentence: &str| Problem::new(StatusCode::FORBIDDEN, "forbidden", sentence);
    if let Some(host) = headers.get(header::HOST)
        && !host.to_str().is_ok_and(is_loopback_host)
    {
        return Err(forbidden(
            "the admin routes are for this machine; ask for `localhost` or `127.0.0.1`",
        ));
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && !origin.to_str().is_ok_and(is_loopback_origin)
    {
        return Err(forbidden("the admin routes are not for other sites' pages"));
    }
    Ok(())
}

fn is_loopback_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(is_loopback_host)
}

fn is_loopback_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn has_token(headers: &HeaderMap, token: &str) -> Result<(), Problem> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if !token.is_empty() && equal_in_constant_time(given.trim(), token) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the admin routes need `authorization: Bearer …` with the server's admin token",
    ))
}

/// The time it takes tells nothing about where two texts of the same length differ.
fn equal_in_constant_time(left: &str, right: &str) -> bool {
    let differences =
        left.bytes().zip(right.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    left.len() == right.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_local_caller_may_ask_and_a_web_page_may_not() {
        let guard = AdminGuard::new("127.0.0.1:8000".parse().unwrap(), None);
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"] {
            assert_eq!(guard.check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "10.0.0.1"]
        {
            assert!(guard.check(&headers(&[("host", host)])).is_err(), "{host}");
        }
        let page = headers(&[("host", "localhost"), ("origin", "http://evil.example")]);
        assert!(guard.check(&page).is_err());
        let own_page = headers(&[("host", "localhost"), ("origin", "http://localhost:8000")]);
        assert_eq!(guard.check(&own_page), Ok(()));
        assert!(guard.check(&headers(&[("host", "localhost"), ("origin", "null")])).is_err());
    }

    #[test]
    fn from_elsewhere_a_token_is_needed() {
        let guard = AdminGuard::new("0.0.0.0:8002".parse().unwrap(), Some("secret".to_owned()));
        assert_eq!(guard.check(&headers(&[("authorization", "Bearer secret")])), Ok(()));
        for wrong in ["Bearer wrong!", "Bearer secret2", "secret", "Bearer "] {
            assert!(guard.check(&headers(&[("authorization", wrong)])).is_err(), "{wrong}");
        }
        assert!(guard.check(&HeaderMap::new()).is_err());
        let without = AdminGuard::new("0.0.0.0:8002".parse().unwrap(), None);
        assert!(without.check(&headers(&[("authorization", "Bearer ")])).is_err());
    }
}
