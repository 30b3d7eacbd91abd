//! `/metrics` is what Prometheus reads, with the names that are promised.

use std::collections::BTreeSet;

use crate::support::{Answer, Models, Request, TestServer};

const ROW: &str = r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#;

/// The metrics of a server that has answered, refused and failed.
fn metrics() -> Answer {
    let server = TestServer::with_models(Models::of_tests(&["fails", "text"])).start();
    server.predict("fails", r#"{"instances": [0]}"#);
    server.predict("fails/versions/1", r#"{"instances": [0]}"#);
    server.predict("fails", r#"{"instances": [99]}"#);
    server.predict("fails", "{}");
    server.predict("text", r#"{"instances": [0]}"#);
    server.get("/metrics")
}

#[test]
fn every_promised_name_is_there() {
    let metrics = metrics();
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    let series: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(labelled).collect();
    for promised in [
        r#"greenroom_requests_total{model="fails",version="1",role="stable",outcome="ok"}"#,
        r#"greenroom_requests_total{model="fails",version="1",role="stable",outcome="failed"}"#,
        r#"greenroom_requests_total{model="fails",version="1",role="stable",outcome="bad_request"}"#,
        r#"greenroom_requests_total{model="fails",version="1",role="stable",outcome="abandoned"}"#,
        r#"greenroom_requests_total{model="fails",version="1",role="pinned",outcome="ok"}"#,
        r#"greenroom_request_duration_seconds_count{model="fails",version="1",role="stable"}"#,
        r#"greenroom_request_duration_seconds_bucket{model="fails",version="1",role="stable",le="60"}"#,
        r#"greenroom_queue_duration_seconds_count{model="fails"}"#,
        r#"greenroom_run_duration_seconds_count{model="fails",version="1",role="stable"}"#,
        r#"greenroom_queue_requests{model="fails"}"#,
        r#"greenroom_rejected_total{model="text",reason="not_ready"}"#,
        r#"greenroom_loads_total{model="fails",outcome="ok"}"#,
        r#"greenroom_loads_total{model="text",outcome="failed"}"#,
        r#"greenroom_load_duration_seconds_count{model="fails"}"#,
        r#"greenroom_versions{model="fails",state="ready"}"#,
        r#"greenroom_versions{model="text",state="quarantined"}"#,
    ] {
        assert!(series.contains(promised), "{promised} is not in:\n{text}");
    }
}

fn labelled(line: &str) -> Option<&str> {
    line.rsplit_once(' ').map(|(series, _)| series)
}

#[test]
fn requests_are_counted_by_how_they_ended() {
    let text = metrics().text();
    let count = |role: &str, outcome: &str| {
        let labels = format!(r#"model="fails",version="1",role="{role}",outcome="{outcome}""#);
        let series = format!("greenroom_requests_total{{{labels}}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().to_owned()
    };
    assert_eq!(count("stable", "ok"), "1");
    assert_eq!(count("pinned", "ok"), "1");
    assert_eq!(count("stable", "failed"), "1");
    assert_eq!(count("stable", "bad_request"), "1");
    assert_eq!(count("stable", "abandoned"), "0");
}

#[test]
fn every_line_is_what_prometheus_reads() {
    let text = metrics().text();
    let (mut typed, mut helped) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => assert!(!help.is_empty() && helped.insert(name), "{line}"),
            ["#", "TYPE", name, "counter" | "gauge" | "histogram"] => {
                assert!(is_name(name) && typed.insert(name), "{line}");
            }
            _ => {
                let name = sample(line).unwrap_or_else(|| panic!("not a sample: {line}"));
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|ending| name.strip_suffix(ending))
                    .filter(|family| typed.contains(family));
                assert!(typed.contains(family.unwrap_or(name)), "without a type: {line}");
            }
        }
    }
    assert_eq!(typed, helped);
}

/// The name in `name{label="value",…} 1.5`, where the line is that.
fn sample(line: &str) -> Option<&str> {
    let (series, value) = line.rsplit_once(' ')?;
    value.parse::<f64>().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return is_name(series).then_some(series);
    };
    let mut rest = labels.strip_suffix('}')?;
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"")?;
        let end = value.find('"')?;
        let plain = !value[..end].contains(['\\', '\n']);
        rest = value[end + 1..].strip_prefix(',').unwrap_or(&value[end + 1..]);
        if !is_name(label) || !plain {
            return None;
        }
    }
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn asking_for_models_that_do_not_exist_makes_no_metrics() {
    let server = TestServer::with_models(Models::of_the_repository()).start();
    server.predict("made-up", ROW);
    server.ask(&Request::predict("iris/versions/made-up", ROW));
    let text = server.get("/metrics").text();
    assert!(!text.contains("made-up"), "{text}");
}
