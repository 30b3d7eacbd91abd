//! What must be true of the document whatever a browser makes of it; `tests/integration/shadow_page` asks one.

use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;

/// Words that would end the element they stand in, or begin another.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!--<script>\u{2028}\u{2029}&quot;\"'";

#[test]
fn what_is_in_a_report_comes_back_from_the_page_unchanged() {
    let answer = report_named(HOSTILE);
    let page = render(&answer, &links());
    let data = between(&page, "<script type=\"application/json\" id=\"answer\">", "</script>");
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), answer);
}

proptest! {
    #[test]
    fn embedded_json_is_the_same_json_without_what_could_end_it(text in r"[<>&/!\-\PC\u{2028}\u{2029}]*") {
        let value = json!({ text.as_str(): [text] });
        let embedded = embedded(&value);
        let harmful = ['<', '>', '&', '\u{2028}', '\u{2029}'];
        prop_assert!(!embedded.contains(harmful));
        prop_assert_eq!(serde_json::from_str::<Value>(&embedded).unwrap(), value);
    }
}

#[test]
fn no_word_of_a_report_becomes_markup() {
    let tags = |page: &str| page.matches('<').count();
    let (harmless, hostile) = (report_named("iris"), report_named(HOSTILE));
    assert_eq!(tags(&render(&hostile, &links())), tags(&render(&harmless, &links())));
}

#[test]
fn no_word_of_a_link_becomes_markup() {
    let hostile = PageLinks {
        inference: "\"><script>".to_owned(),
        admin: "\" onload=\"".to_owned(),
        admin_wants_token: true,
    };
    let page = render(&json!({ "reports": [] }), &hostile);
    assert_eq!(page.matches("<script>").count(), LIBRARY.len() + 1);
    assert!(!page.contains("\" onload=\""));
}

#[test]
fn the_policy_names_every_script_and_style_and_nothing_else() {
    let page = render(&report_named("iris"), &links());
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    let scripts =
        page.split("<script>").skip(1).map(|rest| rest.split("</script>").next().unwrap());
    let styles = page.split("<style>").skip(1).map(|rest| rest.split("</style>").next().unwrap());
    let inline: Vec<String> = scripts.chain(styles).chain([FIGURE_STYLE]).map(source).collect();
    assert_eq!(policy.matches("'sha256-").count(), inline.len());
    assert!(inline.iter().all(|source| policy.contains(source.as_str())), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
}

#[test]
fn the_page_names_nothing_that_would_be_loaded() {
    let page = render(&report_named("iris"), &links());
    let markup: String = page
        .split("<script")
        .flat_map(|part| part.split_once("</script>").map_or(Some(part), |(_, after)| Some(after)))
        .collect();
    for loading in ["src=", "<link", "<img", "<iframe", "@import", "url(", "http-equiv=\"refresh"] {
        assert!(!markup.contains(loading), "{loading}");
    }
}

#[test]
fn nothing_embedded_ends_its_element() {
    for script in LIBRARY.into_iter().chain([SCRIPT]) {
        assert!(!script.contains("</script") && !script.contains("<!--"));
    }
    assert!(!STYLE.contains("</style"));
}

#[test]
fn the_library_is_what_its_note_says() {
    let note = include_str!("library/README.md");
    let [d3, plot] = LIBRARY;
    for (name, content) in
        [("d3.min.js", d3), ("plot.umd.min.js", plot), ("LICENSES.txt", LICENCES)]
    {
        let digest: String =
            Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(note.contains(&format!("{digest}  {name}\n")), "{name} has the digest {digest}");
    }
}

#[test]
fn the_verdict_can_be_read_without_a_script() {
    let page = render(&report_named("iris"), &links());
    let shown = page.split("<script").next().unwrap();
    for words in [
        "<title>Not decided yet: iris 1 → 2</title>",
        "latency needs more pairs",
        "Still open: latency (about 1,234 more pairs).",
        "shadowing, since <time datetime=\"2026-09-01T02:00:00Z\">2026-09-01 02:00 UTC</time>",
        "outputs should mostly agree",
        "<code title=\"sha256:0123456789abcdef\">0123456789ab</code>",
    ] {
        assert!(shown.contains(words), "{words}");
    }
}

#[test]
fn several_reports_are_listed_at_the_top() {
    let mut answer = report_named("iris");
    assert!(!render(&answer, &links()).contains("<nav"));
    let second = answer["reports"][0].clone();
    answer["reports"].as_array_mut().unwrap().push(second);
    let page = render(&answer, &links());
    for place in ["href=\"#report-1\"", "href=\"#report-2\"", "id=\"report-1\"", "id=\"report-2\""]
    {
        assert_eq!(page.matches(place).count(), 1, "{place}");
    }
}

#[test]
fn without_reports_the_page_says_how_to_get_one() {
    let page = render(&json!({ "schema": "shadow.report/1", "reports": [] }), &links());
    assert!(page.contains("Nothing has been compared yet"));
    assert!(page.contains("strategy = \"shadow\""));
    assert!(!page.contains("<article"));
}

fn links() -> PageLinks {
    PageLinks {
        inference: "http://127.0.0.1:8000".to_owned(),
        admin: "http://127.0.0.1:8002".to_owned(),
        admin_wants_token: false,
    }
}

fn report_named(model: &str) -> Value {
    let gate = json!({ "name": "latency", "status": "open", "needs": 1234 });
    json!({ "schema": "shadow.report/1", "reports": [{
        "model": model,
        "rollout": "r-000001",
        "strategy": "shadow",
        "change": "retrained",
        "phase": "shadowing",
        "started": "2026-09-01T01:00:00Z",
        "since": "2026-09-01T02:00:00Z",
        "stable": { "version": "1", "digest": "sha256:0123456789abcdef" },
        "candidate": { "version": "2", "digest": "sha256:fedcba9876543210" },
        "verdict": { "decision": "inconclusive", "reason": "latency needs more pairs", "gates": [gate] },
    }] })
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let after = text.split_once(begin).unwrap().1;
    after.split_once(end).unwrap().0
}
