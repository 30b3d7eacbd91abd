//! `greenroom rollout why`: what a rollout's verdict rests on, in words.

use serde::Deserialize;
use serde_json::Value;

use super::path;
use super::show::Rollout;
use crate::cli::client::{AskError, Client};
use crate::cli::table::{say, with_header};
use crate::domain::model::ModelName;

/// Asks for the present or last rollout and what was compared for it, and says it.
pub(super) fn explain(client: &Client, model: &ModelName, json: bool) -> Result<(), AskError> {
    let told = client.get(&path(model))?;
    let id = told["id"].as_str().unwrap_or_default();
    let answer = client.get(&format!("/shadow/report?rollout={id}"))?;
    let report = answer["reports"].get(0);
    match Rollout::deserialize(&told) {
        Ok(rollout) if !json => say(&explained(&rollout, report)),
        Ok(_) | Err(_) => say(&format!("{:#}", report.unwrap_or(&told))),
    }
    Ok(())
}

/// A paragraph that says how things stand and why, and the gates one by one. `report` is the rollout's shadow report;
/// none when nothing was compared for it.
pub(super) fn explained(rollout: &Rollout, report: Option<&Value>) -> String {
    let mut text = rollout.sentence();
    if let Some(step) = rollout.step() {
        text.push_str(&format!("\nIt is at {step}, with {} % of the traffic.", rollout.weight));
    }
    if let Some(requests) = rollout.requests() {
        text.push_str(&format!("\nLive requests that count: {requests}."));
    }
    let of_report = report.map(|report| &report["verdict"]);
    let verdict = rollout.verdict().or_else(|| {
        let (decision, reason) = (of_report?["decision"].as_str()?, of_report?["reason"].as_str()?);
        Some(format!("{decision}: {reason}"))
    });
    if let Some(verdict) = verdict {
        text.push_str(&format!("\nVerdict: {verdict}."));
    }
    match report {
        Some(report) => compared(report, &mut text),
        None => text.push_str("\nNo requests were run on both versions for it."),
    }
    // A server that was started again knows the gates of what is over from the report alone.
    let gates: Vec<[String; 6]> = match (rollout.gates.as_slice(), of_report) {
        ([], Some(verdict)) => listed(&verdict["gates"]).map(gate).collect(),
        (gates, _) => gates.iter().map(gate).collect(),
    };
    tabulate(gates, &mut text);
    text
}

/// What a report says besides its verdict: more paragraphs, to follow a sentence.
pub(in crate::cli) fn of_report(report: &Value) -> String {
    let mut text = String::new();
    compared(report, &mut text);
    tabulate(listed(&report["verdict"]["gates"]).map(gate).collect(), &mut text);
    text
}

fn tabulate(gates: Vec<[String; 6]>, text: &mut String) {
    if !gates.is_empty() {
        let header = ["GATE", "STATUS", "SEEN", "BETWEEN (95 %)", "TOLERATED", "OUT OF"];
        text.push_str("\n\n");
        text.push_str(&with_header(header, gates));
    }
}

/// What pairs have shown besides shares.
fn compared(report: &Value, text: &mut String) {
    text.push_str(&format!("\n{}", sampled(report)));
    for broken in listed(&report["contract"]) {
        let (output, pairs) = (word(&broken["output"]), number(&broken["pairs"]));
        let detail = word(&broken["detail"]);
        text.push_str(&format!(
            "\nContract broken by output `{output}` in {pairs} pairs: {detail}."
        ));
    }
    for slice in listed(&report["slices"]).filter(|slice| slice["flagged"] == Value::Bool(true)) {
        let (key, rate) = (word(&slice["key"]), per_cent(&slice["rate"]));
        let pairs = number(&slice["pairs"]);
        text.push_str(&format!("\nWhere `{key}`, {rate} of {pairs} pairs differ."));
    }
}

fn sampled(report: &Value) -> String {
    let sampling = &report["sampling"];
    let dropped: u64 = sampling["dropped"]
        .as_object()
        .map_or(0, |dropped| dropped.values().filter_map(Value::as_u64).sum());
    format!(
        "{} pairs were compared: of {} requests {} were sampled, and {dropped} of these dropped.",
        number(&sampling["executed"]),
        number(&sampling["eligible"]),
        number(&sampling["sampled"]),
    )
}

fn gate(gate: &Value) -> [String; 6] {
    let between = match gate["interval"].as_array().map(Vec::as_slice) {
        Some([lower, upper]) => format!("{} to {}", per_cent(lower), per_cent(upper)),
        Some(_) | None => String::new(),
    };
    [
        word(&gate["name"]),
        word(&gate["status"]),
        per_cent(&gate["estimate"]),
        between,
        per_cent(&gate["limit"]),
        match &gate["live"]["candidate"]["requests"] {
            Value::Null => format!("{} pairs", number(&gate["pairs"])),
            requests => format!("{} requests", number(requests)),
        },
    ]
}

fn listed(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace(char::is_control, " ")
}

fn number(value: &Value) -> String {
    value.as_u64().unwrap_or_default().to_string()
}

fn per_cent(share: &Value) -> String {
    share.as_f64().map_or_else(String::new, |share| format!("{:.2} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::show::testing::{canary, read};
    use super::*;

    fn rollout() -> Rollout {
        Rollout::deserialize(json!({
            "id": "r-000002", "parent": null, "model": "iris", "strategy": "shadow",
            "stable": "1", "candidate": "2", "phase": "rolled-back", "weight": 0,
            "since": "2026-11-23T09:57:00.000Z", "started": "2026-11-23T09:56:58.000Z",
            "proven": null, "verbs": [], "actor": "file", "bake_s": 600,
            "reason": "outputs: 61 of 400 pairs answered differently",
        }))
        .unwrap()
    }

    #[test]
    fn a_person_can_read_what_was_decided_and_by_which_numbers() {
        let report = json!({
            "verdict": {
                "decision": "fail", "reason": "outputs: 61 of 400 pairs answered differently",
                "gates": [{ "name": "outputs.label", "status": "failed", "pairs": 400, "count": 61,
                    "estimate": 0.1525, "limit": 0.1, "prove": 0.15, "interval": [0.11, 0.21] }],
            },
            "sampling": { "eligible": 4100, "sampled": 410, "executed": 400, "dropped": { "stale": 4, "budget": 6 } },
            "contract": [{ "kind": "nan", "output": "p", "pairs": 3, "detail": "NaN where stable has 0.2" }],
            "slices": [{ "key": "output:label=7", "pairs": 61, "rate": 1.0, "flagged": true },
                       { "key": "output:label=1", "pairs": 90, "rate": 0.0, "flagged": false }],
        });
        insta::assert_snapshot!(explained(&rollout(), Some(&report)), @r"
        Rollout r-000002 of `iris` 1 → 2 (shadow) is rolled-back since 2026-11-23T09:57:00.000Z: outputs: 61 of 400 pairs answered differently.
        Verdict: fail: outputs: 61 of 400 pairs answered differently.
        400 pairs were compared: of 4100 requests 410 were sampled, and 10 of these dropped.
        Contract broken by output `p` in 3 pairs: NaN where stable has 0.2.
        Where `output:label=7`, 100.00 % of 61 pairs differ.

        GATE           STATUS  SEEN     BETWEEN (95 %)      TOLERATED  OUT OF
        outputs.label  failed  15.25 %  11.00 % to 21.00 %  10.00 %    400 pairs
        ");
    }

    #[test]
    fn a_canary_is_explained_by_its_step_and_its_live_requests_as_well() {
        let mut told = canary();
        told["gates"] = json!([{
            "name": "errors", "status": "open", "pairs": 0, "count": 0.0, "estimate": 0.0, "limit": 0.012,
            "prove": 0.05, "interval": [0.0, 0.053], "log_pass": 1.1, "log_fail": -0.4,
            "live": { "candidate": { "requests": 100, "failed": 0 },
                      "stable": { "requests": 900, "failed": 1 }, "excess_below": 0.06 },
        }]);
        insta::assert_snapshot!(explained(&read(told), None), @r"
        Rollout r-000002 of `iris` 1 → 2 (canary) is canary since 2026-11-23T09:59:20.000Z: all gates have passed; the candidate has 10 % of the traffic.
        It is at step 2 of 4, with 10 % of the traffic.
        Live requests that count: 900 on version 1 (1 failed), 100 on version 2 (none failed).
        Verdict: inconclusive: needs about 140 more pairs (2 min).
        No requests were run on both versions for it.

        GATE    STATUS  SEEN    BETWEEN (95 %)    TOLERATED  OUT OF
        errors  open    0.00 %  0.00 % to 5.30 %  1.20 %     100 requests
        ");
    }

    #[test]
    fn without_pairs_it_says_so() {
        insta::assert_snapshot!(explained(&rollout(), None), @r"
        Rollout r-000002 of `iris` 1 → 2 (shadow) is rolled-back since 2026-11-23T09:57:00.000Z: outputs: 61 of 400 pairs answered differently.
        No requests were run on both versions for it.
        ");
    }
}
