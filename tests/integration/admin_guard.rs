//! Whoever must not ask the admin routes is refused by every one of them. Which ones there are is read from the table that
//! the server's routers are made from, so that a new route is asked here from its first day on.

use std::net::SocketAddr;

use greenroom::api::{Audience, Route, table};
use serde_json::Value;

use crate::support::{Answer, Models, Plan, Request, TestServer};

/// Headers that no operator's tool sends: foreign names of the machine, and what browsers say of foreign pages.
const HOSTILE: &[&[(&str, &str)]] = &[
    &[("host", "evil.example")],
    &[("host", "localhost.evil.example:8000")],
    &[("host", "localhost@evil.example")],
    &[("host", "192.168.0.1:8000")],
    &[("host", "localhost"), ("host", "evil.example")],
    &[("origin", "http://evil.example")],
    &[("origin", "https://localhost.evil.example")],
    &[("origin", "http://localhost:3000")],
    &[("origin", "null")],
    &[("origin", "http://localhost"), ("origin", "http://evil.example")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")],
    &[
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ],
];

/// A request to each route that is not for clients.
fn requests() -> Vec<Request> {
    let guarded = table().into_iter().filter(|route| is_guarded(route.audience));
    let requests: Vec<Request> = guarded.map(|route| request(&route)).collect();
    assert!(requests.len() >= 10, "{requests:?}");
    requests
}

fn is_guarded(audience: Audience) -> bool {
    match audience {
        Audience::Clients | Audience::Everybody => false,
        Audience::Operators | Audience::Scrapers => true,
    }
}

/// As an operator would ask.
fn request(route: &Route) -> Request {
    let path = [("{model}", "iris"), ("{version}", "1"), ("{verb}", "undo"), ("{id}", "r-000003")];
    let path = path.iter().fold(route.path.to_owned(), |path, (of, with)| path.replace(of, with));
    assert!(!path.contains('{'), "{path}: name an example of what stands there");
    Request::new(route.method, &path)
}

fn with(request: &Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request.clone(), |request, (name, value)| request.header(name, value))
}

fn plan() -> Plan {
    TestServer::with_models(Models::of_the_repository())
}

fn code(answer: &Answer) -> Value {
    answer.json()["code"].clone()
}

#[track_caller]
fn assert_all_refuse(server: &TestServer, at: SocketAddr, requests: &[Request]) {
    for request in requests {
        for headers in HOSTILE {
            let answer = server.ask_at(at, &with(request, headers));
            let told = (answer.status, code(&answer));
            assert_eq!(told, (403, "forbidden".into()), "{request:?} {headers:?}");
        }
        let own = with(request, &[("host", "localhost:8000"), ("origin", "http://localhost:8000")]);
        for asked in [request, &own] {
            let status = server.ask_at(at, asked).status;
            assert!(![401, 403, 405].contains(&status), "{status} for {asked:?}");
        }
    }
}

#[test]
fn on_loopback_every_admin_route_refuses_pages_and_foreign_names() {
    let server = plan().start();
    let before = server.get("/admin/v1/models/wine").ok();
    assert_all_refuse(&server, server.http(), &requests());
    assert_eq!(server.get("/admin/v1/models/wine").ok(), before);
}

#[test]
fn so_does_every_one_on_a_listener_of_its_own_and_what_is_not_there() {
    let server = plan().flags(&["--admin", "127.0.0.1:0"]).start();
    assert_all_refuse(&server, server.admin(), &requests());
    let others = [
        Request::get("/nothing"),
        Request::new("DELETE", "/admin/v1/models"),
        Request::get("/docs"),
        Request::get("/openapi.json"),
    ];
    for other in others {
        let answer = server.ask_at(server.admin(), &other.header("origin", "http://evil.example"));
        assert_eq!(answer.status, 403);
    }
    for request in requests() {
        let answer = server.ask(&request);
        assert_eq!((answer.status, code(&answer)), (404, "no_such_route".into()), "{request:?}");
    }
}

#[test]
fn what_a_page_wants_does_not_happen() {
    let server = plan().start();
    let before = server.get("/admin/v1/models/iris/rollout").ok();
    for verb in ["undo", "promote", "abort", "start", "retry", "pause"] {
        let request = Request::post(&format!("/admin/v1/models/iris/rollout/{verb}"), "{}");
        for headers in HOSTILE {
            assert_eq!(server.ask(&with(&request, headers)).status, 403, "{verb} {headers:?}");
        }
    }
    assert_eq!(server.get("/admin/v1/models/iris/rollout").ok()["seq"], before["seq"]);
}

#[test]
fn on_an_address_for_everybody_every_admin_route_wants_the_token() {
    let server = plan()
        .settings("[admin]\ntoken_file = \"admin.token\"")
        .file("admin.token", "0123456789abcdef\n")
        .flags(&["--http", "0.0.0.0:0", "--admin", "0.0.0.0:0"])
        .start();
    let others = [
        Request::get("/nothing"),
        Request::new("DELETE", "/admin/v1/models"),
        Request::get("/docs"),
        Request::get("/openapi.json"),
    ];
    for request in requests().iter().chain(&others) {
        let host = ("host", "models.example");
        for wrong in [None, Some("Bearer 0123456789abcdee"), Some("Basic 0123456789abcdef")] {
            let token = wrong.map(|token| ("authorization", token));
            let headers: Vec<_> = [host].into_iter().chain(token).collect();
            let answer = server.ask_at(server.admin(), &with(request, &headers));
            assert_eq!((answer.status, code(&answer)), (401, "unauthorized".into()), "{request:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    for request in requests() {
        let right = [("host", "models.example"), ("authorization", "Bearer 0123456789abcdef")];
        let status = server.ask_at(server.admin(), &with(&request, &right)).status;
        assert!(![401, 403, 405].contains(&status), "{status} for {request:?}");
    }
}

#[test]
fn other_spellings_of_a_path_do_not_lead_around_the_guard() {
    let server = plan().start();
    for path in [
        "//admin/v1/models",
        "/admin//v1/models",
        "/admin/v1/models/",
        "/ADMIN/v1/models",
        "/%61dmin/v1/models",
        "/admin%2Fv1%2Fmodels",
        "/admin/v1/models;x",
        "/./admin/v1/models",
        "/v1/../admin/v1/models",
        "/v1/models/..%2F..%2Fadmin%2Fv1%2Fmodels",
        "/v2/health/live/../../../metrics",
        "/metrics/",
        "/metrics%00",
        "http://localhost/metrics",
        "http://evil.example/metrics",
    ] {
        let hostile = Request::get(path).header("host", "evil.example");
        let answer = server.ask(&hostile);
        assert!([400, 403, 404].contains(&answer.status), "{} {path}", answer.status);
    }
    let absolute = Request::get("http://evil.example/metrics");
    assert_eq!(server.ask(&absolute).status, 403);
    assert_eq!(server.ask(&Request::get("http://localhost/metrics")).status, 200);
}

#[test]
fn a_link_to_the_report_may_be_followed_from_anywhere() {
    let server = plan().start();
    let headers = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(server.ask(&with(&Request::get("/shadow/report"), &headers)).status, 200);
}
