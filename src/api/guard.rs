//! Who may ask what is not for clients.
//!
//! On loopback every local user may, but no web page: a page in an operator's browser could otherwise drive the server,
//! from its own site or through a DNS name that points to loopback. Elsewhere a token is needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The rules for one listener.
#[derive(Clone, Debug)]
pub enum Guard {
    /// Whoever can reach the listener may ask. Only measurements are ever so open, where somebody wanted that.
    Everybody,
    /// The listener is on loopback: requests must be meant for it, and not come from another site's page.
    Local,
    /// The listener can be reached from elsewhere: requests must carry this token.
    Token(Box<str>),
    /// The listener is on loopback, and a token is asked for nevertheless.
    LocalWithToken(Box<str>),
}

impl Guard {
    /// The rules for the admin routes on a listener at `address`. An address that is not loopback needs a token, which
    /// the settings have made sure of.
    pub fn of_admin(address: SocketAddr, token: Option<String>) -> Self {
        match (is_loopback(address.ip()), token) {
            (true, None) => Self::Local,
            (true, Some(token)) => Self::LocalWithToken(token.into()),
            // An empty token lets nobody in.
            (false, token) => Self::Token(token.unwrap_or_default().into()),
        }
    }

    /// The rules for a listener at `address` that has nothing but measurements. Whoever gave it an address that others
    /// can reach wants them to be read there, by programs that have no token for the admin routes and should not.
    pub fn of_metrics(address: SocketAddr) -> Self {
        if is_loopback(address.ip()) { Self::Local } else { Self::Everybody }
    }

    /// Whether whoever asks must show a token.
    pub fn wants_token(&self) -> bool {
        match self {
            Self::Everybody | Self::Local => false,
            Self::Token(_) | Self::LocalWithToken(_) => true,
        }
    }

    /// Whether somebody may call over gRPC what is not for clients. No web page can call anything there.
    pub(super) fn check_call(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let request = Asked { method: &Method::POST, uri: &Uri::default(), headers };
        match self {
            Self::Everybody | Self::Local => Ok(()),
            Self::Token(token) | Self::LocalWithToken(token) => request.has_token(token),
        }
    }

    fn check(&self, request: &Asked<'_>) -> Result<(), Problem> {
        match self {
            Self::Everybody => Ok(()),
            Self::Local => request.is_local(),
            Self::Token(token) => request.has_token(token),
            Self::LocalWithToken(token) => {
                request.is_local().and_then(|()| request.has_token(token))
            }
        }
    }
}

/// Stands before every route that is not for clients.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    match guard.check(&Asked { method, uri, headers }) {
        Ok(()) => next.run(request).await,
        Err(problem) => refused(problem),
    }
}

fn refused(problem: Problem) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// What a request says of whom it is for and where it comes from.
struct Asked<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
}

impl Asked<'_> {
    fn is_local(&self) -> Result<(), Problem> {
        let forbidden = |sentence: &str| Problem::new(StatusCode::FORBIDDEN, "forbidden", sentence);
        let host = self.the_one(&header::HOST).filter(|host| is_loopback_host(host));
        // A request line may name a host as well: `GET http://localhost/metrics`.
        let line = self.uri.authority().map(Authority::as_str);
        let Some(host) = host.filter(|_| line.is_none_or(is_loopback_host)) else {
            return Err(forbidden(
                "the admin routes are for this machine; ask for `localhost` or `127.0.0.1`",
            ));
        };
        if self.is_of_a_page_on(host) && !self.is_of_another_page() {
            return Ok(());
        }
        Err(forbidden("the admin routes are not for other sites' pages"))
    }

    /// Whether the page that asks, if it is one, was got from `host`: that of another local server is as foreign as any.
    fn is_of_a_page_on(&self, host: &str) -> bool {
        if !self.headers.contains_key(header::ORIGIN) {
            return true; // browsers leave it out only where a page can do no harm and read nothing
        }
        let origin = self.the_one(&header::ORIGIN).and_then(|origin| {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
        });
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }

    /// Whether a browser says that another site's page has asked. A link to a page of ours may be anywhere.
    fn is_of_another_page(&self) -> bool {
        const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
        const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
        if !self.headers.contains_key(SITE)
            || matches!(self.the_one(&SITE), Some("same-origin" | "none"))
        {
            return false;
        }
        let follows_a_link = self.method == Method::GET
            && self.the_one(&MODE) == Some("navigate")
            && self.the_one(&DESTINATION) == Some("document");
        !follows_a_link
    }

    fn has_token(&self, token: &str) -> Result<(), Problem> {
        let given = self.the_one(&header::AUTHORIZATION);
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if !token.is_empty() && equal_in_constant_time(given.trim(), token) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the admin routes need `authorization: Bearer …` with the server's admin token",
        ))
    }

    /// The value of a header; none where it is missing, or there is more than one and others may look at another one.
    fn the_one(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { value.to_str().ok() }
    }
}

fn is_loopback_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// `::ffff:127.0.0.1` is loopback too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
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

    const LOCAL: &str = "127.0.0.1:8000";

    fn of_admin(address: &str, token: Option<&str>) -> Guard {
        Guard::of_admin(address.parse().unwrap(), token.map(str::to_owned))
    }

    fn lets_in(guard: &Guard, method: Method, uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let (method, uri, headers) = (&method, &uri.parse().unwrap(), &map);
        guard.check(&Asked { method, uri, headers }).is_ok()
    }

    fn gets(guard: &Guard, headers: &[(&'static str, &str)]) -> bool {
        lets_in(guard, Method::GET, "/metrics", headers)
    }

    #[test]
    fn a_request_must_be_meant_for_this_machine() {
        for guard in [of_admin(LOCAL, None), of_admin("[::ffff:127.0.0.1]:8000", None)] {
            for host in ["localhost", "LOCALHOST:8000", LOCAL, "[::1]:8000", "[::ffff:7f00:1]"] {
                assert!(gets(&guard, &[("host", host)]), "{host}");
            }
            for host in [
                "evil.example",
                "127.0.0.1.evil.example",
                "localhost.evil.example",
                "localhost@evil.example",
                "evil.example@localhost",
                "10.0.0.1",
                "0.0.0.0",
                "",
                "localhost evil.example",
            ] {
                assert!(!gets(&guard, &[("host", host)]), "{host}");
            }
            assert!(!gets(&guard, &[]));
            assert!(!gets(&guard, &[("host", "localhost"), ("host", "localhost")]));
        }
    }

    #[test]
    fn a_request_line_must_not_name_another_host_than_the_header() {
        let guard = of_admin(LOCAL, None);
        let gets = |uri| lets_in(&guard, Method::GET, uri, &[("host", "localhost")]);
        assert!(gets("http://127.0.0.1:8000/metrics"));
        assert!(!gets("http://evil.example/metrics"));
    }

    #[test]
    fn only_the_servers_own_page_may_ask() {
        let guard = of_admin(LOCAL, None);
        let from = |origins: &[&str]| {
            let origins = origins.iter().map(|origin| ("origin", *origin));
            gets(
                &guard,
                &[("host", "localhost:8000")].into_iter().chain(origins).collect::<Vec<_>>(),
            )
        };
        assert!(from(&["http://localhost:8000"]));
        for other in [
            "http://evil.example",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:8000",
            "http://localhost:8000.evil.example",
            "localhost:8000",
            "null",
            "",
        ] {
            assert!(!from(&[other]), "{other}");
        }
        assert!(!from(&["http://localhost:8000", "http://evil.example"]));
    }

    #[test]
    fn a_link_on_another_site_may_be_followed_and_that_is_all() {
        let guard = of_admin(LOCAL, None);
        let asks = |method, site, mode, destination| {
            let fetch = [
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", destination),
            ];
            let headers: Vec<_> = [("host", "localhost")].into_iter().chain(fetch).collect();
            lets_in(&guard, method, "/shadow/report", &headers)
        };
        assert!(asks(Method::GET, "none", "navigate", "document"));
        assert!(asks(Method::POST, "same-origin", "cors", "empty"));
        for site in ["cross-site", "same-site", "unheard-of"] {
            assert!(asks(Method::GET, site, "navigate", "document"), "{site}");
            assert!(!asks(Method::GET, site, "navigate", "iframe"), "{site}");
            assert!(!asks(Method::GET, site, "no-cors", "image"), "{site}");
            assert!(!asks(Method::POST, site, "navigate", "document"), "{site}");
        }
    }

    #[test]
    fn from_elsewhere_a_token_is_needed() {
        let guard = of_admin("0.0.0.0:8002", Some("secret"));
        assert!(gets(&guard, &[("authorization", "Bearer secret")]));
        for wrong in ["Bearer wrong!", "Bearer secret2", "secret", "Bearer "] {
            assert!(!gets(&guard, &[("authorization", wrong)]), "{wrong}");
        }
        assert!(!gets(&guard, &[]));
        assert!(!gets(&guard, &[("host", "localhost")]));
        assert!(!gets(&of_admin("0.0.0.0:8002", None), &[("authorization", "Bearer ")]));
    }

    #[test]
    fn on_loopback_a_token_does_not_let_a_page_in() {
        let guard = of_admin(LOCAL, Some("secret"));
        let token = ("authorization", "Bearer secret");
        assert!(gets(&guard, &[("host", "localhost"), token]));
        assert!(!gets(&guard, &[("host", "localhost")]));
        assert!(!gets(&guard, &[("host", "evil.example"), token]));
    }

    #[test]
    fn measurements_are_for_everybody_where_somebody_wanted_that() {
        let guard = |address: &str| Guard::of_metrics(address.parse().unwrap());
        let headers = [("host", "models.example"), ("origin", "http://models.example")];
        assert!(gets(&guard("0.0.0.0:9100"), &headers));
        assert!(!gets(&guard("127.0.0.1:9100"), &headers));
    }
}
