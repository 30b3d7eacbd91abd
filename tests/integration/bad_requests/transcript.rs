//! Requests and answers as text:
//!
//! ```text
//! # A comment. A request line alone is that of the blocks after it that have none.
//! POST /v1/models/iris:predict
//!
//! what is wrong
//! GET /v1/models/nope
//! x-header: of the request
//!   the body, indented by two spaces
//! 404 code: sentence
//! x-header: of the answer
//! ```

use super::{Bad, ROW, check, served};
use crate::support::{Request, TestServer};

#[test]
fn what_is_not_a_request_is_told_with_its_place() {
    check_all(include_str!("malformed.txt"));
}

#[test]
fn rows_that_do_not_fit_are_told_with_their_place() {
    check_all(include_str!("rows.txt"));
}

#[test]
fn inputs_that_do_not_fit_are_told_by_name() {
    check_all(include_str!("several_inputs.txt"));
}

#[test]
fn elements_of_another_type_are_told_with_their_place() {
    check_all(include_str!("element_types.txt"));
}

#[test]
fn paths_methods_and_headers_that_lead_nowhere_are_told() {
    check_all(include_str!("addresses.txt"));
}

#[track_caller]
fn check_all(text: &str) {
    let server = TestServer::with_models(served()).start();
    let all = read(text);
    assert!(all.len() >= 9, "{} requests", all.len());
    check(&server, &all);
}

fn read(text: &str) -> Vec<Bad> {
    let mut usual = None;
    let mut all = Vec::new();
    for block in text.split("\n\n") {
        let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with('#')).collect();
        match lines[..] {
            [] => {}
            [line] => usual = Some(request_line(line).unwrap_or_else(|| panic!("{line}"))),
            [name, ref lines @ ..] => {
                all.push(read_block(name, lines, usual).unwrap_or_else(|| panic!("{block}")));
            }
        }
    }
    all
}

/// `None` where the block is not as it should be.
fn read_block(name: &str, lines: &[&str], usual: Option<(&str, &str)>) -> Option<Bad> {
    let is_answer = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let at = lines.iter().position(is_answer)?;
    let (asked, answered) = (&lines[..at], &lines[at + 1..]);
    let (own, asked) = match asked.split_first() {
        Some((first, rest)) if request_line(first).is_some() => (request_line(first), rest),
        _ => (None, asked),
    };
    let (method, path) = own.or(usual)?;
    let body: Vec<&str> = asked.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let body = match (method, &body[..]) {
        ("POST", []) => ROW.to_owned(),
        (_, lines) => lines.join("\n"),
    };
    let headers = asked.iter().filter(|line| !line.starts_with(' '));
    let request = headers
        .map(|line| line.split_once(": "))
        .try_fold(Request::new(method, path).body(body), |request, header| {
            header.map(|(name, value)| request.header(name, value))
        })?;
    let (status, told) = lines[at].split_once(' ')?;
    let (code, sentence) = told.split_once(": ")?;
    let mut bad = Bad::new(name, &request, status.parse().ok()?, code, sentence);
    bad.headers = answered
        .iter()
        .map(|line| line.split_once(": ").map(|(name, value)| (name.into(), value.into())))
        .collect::<Option<_>>()?;
    Some(bad)
}

/// `GET /path`
fn request_line(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').filter(|(method, path)| {
        method.bytes().all(|byte| byte.is_ascii_uppercase()) && path.starts_with('/')
    })
}
