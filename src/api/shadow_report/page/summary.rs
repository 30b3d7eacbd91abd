//! The part of a report that can be read without a script: what was decided, why, and what is still needed.

use serde_json::Value;

/// Of a digest, what tells two contents apart at a glance.
const SHORT_DIGEST: usize = 12;

/// One report's heading.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) model: &'a str,
    pub(super) rollout: &'a str,
    pub(super) decision: Decision,
    pub(super) reason: &'a str,
    /// `latency (about 258 more pairs)`, one for each gate that is open.
    pub(super) open: Vec<String>,
    pub(super) strategy: &'a str,
    pub(super) phase: &'a str,
    pub(super) change: Change<'a>,
    pub(super) stable: Version<'a>,
    pub(super) candidate: Version<'a>,
    pub(super) since: Moment<'a>,
    pub(super) started: Moment<'a>,
}

/// What the verdict is, in words, and as a sign beside its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// For the style sheet.
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) words: &'static str,
}

/// What is expected of the outputs.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) name: &'a str,
    pub(super) meaning: &'static str,
}

#[derive(Debug)]
pub(super) struct Version<'a> {
    pub(super) label: &'a str,
    pub(super) digest: &'a str,
    pub(super) short_digest: String,
}

#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// For the machine.
    pub(super) written: &'a str,
    /// For people.
    pub(super) read: String,
}

impl<'a> Summary<'a> {
    pub(super) fn of(report: &'a Value) -> Self {
        let verdict = &report["verdict"];
        let gates = verdict["gates"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            model: text(&report["model"]),
            rollout: text(&report["rollout"]),
            decision: Decision::named(text(&verdict["decision"])),
            reason: text(&verdict["reason"]),
            open: gates.iter().filter_map(still_open).collect(),
            strategy: text(&report["strategy"]),
            phase: text(&report["phase"]),
            change: Change::named(text(&report["change"])),
            stable: Version::of(&report["stable"]),
            candidate: Version::of(&report["candidate"]),
            since: Moment::of(text(&report["since"])),
            started: Moment::of(text(&report["started"])),
        }
    }
}

impl Decision {
    fn named(name: &str) -> Self {
        let (class, sign, words) = match name {
            "pass" => ("pass", "✓", "Passed"),
            "fail" => ("fail", "✕", "Failed"),
            "hold" => ("hold", "‖", "On hold"),
            _ => ("inconclusive", "○", "Not decided yet"),
        };
        Self { class, sign, words }
    }
}

impl<'a> Change<'a> {
    fn named(name: &'a str) -> Self {
        let meaning = match name {
            "equivalent" => "outputs should be the same",
            "retrained" => "outputs should mostly agree",
            "new-task" => "outputs are shown, not judged",
            _ => "",
        };
        Self { name, meaning }
    }
}

impl<'a> Version<'a> {
    fn of(version: &'a Value) -> Self {
        let digest = text(&version["digest"]);
        let short_digest = digest.strip_prefix("sha256:").unwrap_or(digest);
        let short_digest = short_digest.chars().take(SHORT_DIGEST).collect();
        Self { label: text(&version["version"]), digest, short_digest }
    }
}

impl<'a> Moment<'a> {
    fn of(written: &'a str) -> Self {
        let to_the_minute = written.strip_suffix('Z').and_then(|time| time.get(..16));
        let read = match to_the_minute.and_then(|time| time.split_once('T')) {
            Some((day, time)) => format!("{day} {time} UTC"),
            None => written.to_owned(),
        };
        Self { written, read }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn still_open(gate: &Value) -> Option<String> {
    if gate["status"] != "open" {
        return None;
    }
    let name = text(&gate["name"]);
    let what = if gate["live"].is_null() { "pair" } else { "request" };
    Some(match gate["needs"].as_u64() {
        Some(1) => format!("{name} (about one more {what})"),
        Some(more) => format!("{name} (about {} more {what}s)", in_thousands(more)),
        None => name.to_owned(),
    })
}

/// `12,345`
fn in_thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_summary_says_what_is_still_needed() {
        let report = json!({ "verdict": { "decision": "inconclusive", "reason": "why", "gates": [
            { "name": "errors", "status": "passed" },
            { "name": "latency", "status": "open", "needs": 12345 },
            { "name": "outputs.y", "status": "open" },
        ] } });
        let summary = Summary::of(&report);
        assert_eq!(summary.decision.words, "Not decided yet");
        assert_eq!(summary.reason, "why");
        assert_eq!(summary.open, ["latency (about 12,345 more pairs)", "outputs.y"]);
    }

    #[test]
    fn every_decision_has_words_of_its_own() {
        let words =
            ["pass", "fail", "inconclusive", "hold"].map(|name| Decision::named(name).words);
        assert_eq!(words, ["Passed", "Failed", "Not decided yet", "On hold"]);
    }

    #[test]
    fn digests_and_times_are_shortened_for_people() {
        let version = json!({ "version": "2", "digest": "sha256:0123456789abcdef" });
        assert_eq!(Version::of(&version).short_digest, "0123456789ab");
        assert_eq!(Moment::of("2026-09-01T02:03:04Z").read, "2026-09-01 02:03 UTC");
        assert_eq!(Moment::of("2026-09-01T02:03:04.5Z").read, "2026-09-01 02:03 UTC");
        assert_eq!(Moment::of("some time").read, "some time");
    }

    #[test]
    fn a_report_without_members_is_shown_as_undecided() {
        let nothing = json!({});
        let summary = Summary::of(&nothing);
        assert_eq!((summary.model, summary.decision.class), ("", "inconclusive"));
        assert!(summary.open.is_empty());
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(in_thousands(number), shown);
        }
    }
}
