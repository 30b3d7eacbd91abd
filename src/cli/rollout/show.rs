//! Rollouts as people read them.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use crate::cli::table::{ago, named, roughly, short, with_header};

/// A rollout, as the server tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Rollout {
    pub(super) id: String,
    parent: Option<String>,
    model: String,
    strategy: String,
    stable: Option<String>,
    candidate: String,
    phase: String,
    /// The candidate's share of the traffic, in per cent.
    pub(super) weight: f64,
    /// The shares of a canary's steps.
    #[serde(default)]
    steps: Vec<f64>,
    /// The index of the step that it is at.
    #[serde(default)]
    step: Option<usize>,
    since: String,
    pub(super) started: String,
    proven: Option<bool>,
    verbs: Vec<String>,
    reason: String,
    actor: String,
    bake_s: Option<u64>,
    /// Told when it is not.
    recorded: Option<bool>,
    #[serde(default)]
    verdict: Option<Verdict>,
    #[serde(default)]
    counts: Option<Counts>,
    /// What is judged, and where each limit stands.
    #[serde(default)]
    pub(super) gates: Vec<Value>,
}

/// What the evidence says so far.
#[derive(Debug, Deserialize)]
struct Verdict {
    decision: String,
    reason: String,
}

/// What came of live requests, where two versions share them.
#[derive(Debug, Deserialize)]
struct Counts {
    stable: ArmCounts,
    candidate: ArmCounts,
}

#[derive(Debug, Deserialize)]
struct ArmCounts {
    requests: u64,
    errors: u64,
}

impl Rollout {
    /// `1 → 2`, and `1` for the first version of a model.
    fn versions(&self) -> String {
        match &self.stable {
            Some(stable) => format!("{stable} → {}", self.candidate),
            None => self.candidate.clone(),
        }
    }

    /// How it stands, and why.
    pub(super) fn sentence(&self) -> String {
        let Self { id, model, strategy, since, reason, .. } = self;
        format!(
            "Rollout {id} of `{model}` {} ({strategy}) is {} since {since}: {}.",
            self.versions(),
            self.phase(),
            reason.replace(char::is_control, " ")
        )
    }

    /// What the evidence says, in a word and a sentence.
    pub(super) fn verdict(&self) -> Option<String> {
        let Verdict { decision, reason } = self.verdict.as_ref()?;
        Some(format!("{decision}: {}", reason.replace(char::is_control, " ")))
    }

    /// `step 2 of 4`, of a canary that is at one.
    pub(super) fn step(&self) -> Option<String> {
        self.step.map(|step| format!("step {} of {}", step + 1, self.steps.len()))
    }

    /// `900 on version 1 (1 failed), 100 on version 2 (none failed)`, where that was counted.
    pub(super) fn requests(&self) -> Option<String> {
        let Counts { stable, candidate } = self.counts.as_ref()?;
        let told = |counts: &ArmCounts, version: &str| {
            let failed = match counts.errors {
                0 => "none".to_owned(),
                errors => errors.to_string(),
            };
            format!("{} on version {version} ({failed} failed)", counts.requests)
        };
        let trusted = self.stable.as_deref().unwrap_or("-");
        Some(format!("{}, {}", told(stable, trusted), told(candidate, &self.candidate)))
    }

    /// Where it stands and what it waits for, on one line.
    pub(super) fn progress(&self) -> String {
        let step = self.step().map(|step| format!(", {step}")).unwrap_or_default();
        let reason = self.verdict.as_ref().map(|verdict| format!(": {}", verdict.reason));
        let reason = reason.unwrap_or_default().replace(char::is_control, " ");
        format!("{}{step}, {} %{reason}", self.phase(), self.weight)
    }

    /// `5, [10], 25, 50 %`: the present one in brackets. Empty where there are none.
    fn steps(&self) -> String {
        let told = |(index, weight): (usize, &f64)| match self.step == Some(index) {
            true => format!("[{weight}]"),
            false => weight.to_string(),
        };
        let steps: Vec<String> = self.steps.iter().enumerate().map(told).collect();
        if steps.is_empty() { String::new() } else { format!("{} %", steps.join(", ")) }
    }

    /// What can be done, as the command line calls it.
    fn commands(&self) -> Vec<&str> {
        let named = self.verbs.iter().map(String::as_str);
        named.map(|verb| if verb == "weight" { "set-weight" } else { verb }).collect()
    }

    fn phase(&self) -> String {
        match self.proven {
            Some(true) => format!("{}, proven", self.phase),
            Some(false) => format!("{}, unproven", self.phase),
            None => self.phase.clone(),
        }
    }
}

/// One rollout on a few lines.
pub(super) fn status_text(rollout: &Rollout, now: SystemTime) -> String {
    let Rollout { id, model, strategy, candidate, actor, reason, .. } = rollout;
    let after = rollout.parent.as_ref().map(|parent| format!(", after {parent}"));
    let bake = rollout.bake_s.filter(|_| rollout.phase == "baking");
    let of = bake.map(|seconds| format!(", of {}", roughly(Duration::from_secs(seconds))));
    let is_owed = rollout.recorded == Some(false);
    let owed = if is_owed { "not written yet; a restart would not know of this" } else { "" };
    let rows = [
        ("rollout", format!("{id}, {strategy}{}", after.unwrap_or_default())),
        ("steps", rollout.steps()),
        ("traffic", format!("{} % on version {candidate}", rollout.weight)),
        ("requests", rollout.requests().unwrap_or_default()),
        ("since", format!("{}{}", ago(&rollout.since, now), of.unwrap_or_default())),
        ("started", format!("{} by {actor}", ago(&rollout.started, now))),
        ("reason", reason.replace(char::is_control, " ")),
        ("verdict", rollout.verdict().unwrap_or_default()),
        ("journal", owed.to_owned()),
        ("possible", rollout.commands().join(", ")),
    ];
    let rows = named(rows.into_iter().filter(|(_, value)| !value.is_empty()));
    format!("{model} {}: {}\n{rows}", rollout.versions(), rollout.phase())
}

/// One change on one line.
pub(super) fn change_line(rollout: &Rollout) -> String {
    let Rollout { since, id, reason, .. } = rollout;
    let (versions, phase) = (rollout.versions(), rollout.phase());
    format!("{since}  {id}  {versions}  {phase}: {}", reason.replace(char::is_control, " "))
}

/// Many rollouts, one a line.
pub(super) fn history_table(rollouts: &[Rollout], now: SystemTime) -> String {
    if rollouts.is_empty() {
        return "there was no rollout yet".to_owned();
    }
    let row = |rollout: &Rollout| {
        [
            rollout.id.clone(),
            rollout.versions(),
            rollout.phase(),
            ago(&rollout.since, now),
            ago(&rollout.started, now),
            rollout.actor.clone(),
            short(&rollout.reason),
        ]
    };
    let header = ["ROLLOUT", "VERSIONS", "PHASE", "SINCE", "STARTED", "BY", "REASON"];
    with_header(header, rollouts.iter().map(row))
}

/// Rollouts to show.
#[cfg(test)]
pub(super) mod testing {
    use serde_json::json;

    use super::*;

    pub(in crate::cli::rollout) fn read(told: Value) -> Rollout {
        Rollout::deserialize(told).unwrap()
    }

    /// Version 2 has a tenth of the traffic.
    pub(in crate::cli::rollout) fn canary() -> Value {
        json!({
            "seq": 7, "id": "r-000002", "parent": null, "model": "iris", "strategy": "canary",
            "stable": "1", "candidate": "2", "phase": "canary", "stage": "canary",
            "step": 1, "steps": [5, 10, 25, 50], "weight": 10,
            "since": "2026-11-23T09:59:20.000Z", "started": "2026-11-23T09:56:58.000Z",
            "verdict": { "decision": "inconclusive", "reason": "needs about 140 more pairs (2 min)" },
            "gates": [], "proven": null, "verbs": ["promote", "pause", "weight", "abort", "start"],
            "counts": { "stable": { "requests": 900, "errors": 1 },
                        "candidate": { "requests": 100, "errors": 0 } },
            "reason": "all gates have passed; the candidate has 10 % of the traffic",
            "actor": "file", "bake_s": 600,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::{canary, read};
    use super::*;

    fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-11-23T10:00:00Z").unwrap()
    }

    fn baking() -> Value {
        json!({
            "seq": 4, "id": "r-000002", "parent": null, "model": "iris", "strategy": "blue-green",
            "stable": "1", "candidate": "2", "phase": "baking", "stage": "bake",
            "step": null, "steps": [], "weight": 100,
            "since": "2026-11-23T09:57:00.000Z", "started": "2026-11-23T09:56:58.000Z",
            "verdict": null, "gates": [], "counts": null, "proven": null,
            "verbs": ["promote", "abort", "undo", "start"],
            "reason": "loaded and warm; it has all traffic", "actor": "file", "bake_s": 600,
        })
    }

    fn undone() -> Value {
        let mut rollout = baking();
        let changes = json!({
            "id": "r-000003", "parent": "r-000002", "stable": "2", "candidate": "1", "phase": "completed",
            "proven": false, "since": "2026-11-23T09:59:48Z", "started": "2026-11-23T09:59:48Z",
            "verbs": ["undo", "start"], "reason": "it was stable before", "actor": "ada",
        });
        for (key, value) in changes.as_object().unwrap() {
            rollout[key] = value.clone();
        }
        rollout
    }

    fn first() -> Value {
        let mut rollout = baking();
        (rollout["id"], rollout["stable"]) = (json!("r-000001"), Value::Null);
        rollout["candidate"] = json!("1");
        (rollout["phase"], rollout["proven"]) = (json!("completed"), json!(false));
        rollout["reason"] = json!("it is the first version");
        rollout
    }

    #[test]
    fn a_canary_is_told_with_its_steps_and_what_came_of_live_requests() {
        insta::assert_snapshot!(status_text(&read(canary()), now()), @r"
        iris 1 → 2: canary
        rollout   r-000002, canary
        steps     5, [10], 25, 50 %
        traffic   10 % on version 2
        requests  900 on version 1 (1 failed), 100 on version 2 (none failed)
        since     40 s ago
        started   3 min ago by file
        reason    all gates have passed; the candidate has 10 % of the traffic
        verdict   inconclusive: needs about 140 more pairs (2 min)
        possible  promote, pause, set-weight, abort, start
        ");
    }

    #[test]
    fn a_share_between_two_steps_is_told_as_it_is() {
        let mut rollout = canary();
        (rollout["weight"], rollout["phase"]) = (json!(12.5), json!("paused"));
        let rollout = read(rollout);
        let expected = "paused, step 2 of 4, 12.5 %: needs about 140 more pairs (2 min)";
        assert_eq!(rollout.progress(), expected);
        let text = status_text(&rollout, now());
        assert!(text.contains("traffic   12.5 % on version 2"), "{text}");
    }

    #[test]
    fn a_rollout_without_steps_has_progress_too() {
        assert_eq!(read(baking()).progress(), "baking, 100 %");
        let mut below = canary();
        (below["weight"], below["step"]) = (json!(1), Value::Null);
        below["verdict"] = Value::Null;
        assert_eq!(read(below).progress(), "canary, 1 %");
    }

    #[test]
    fn a_rollout_is_told_on_a_few_lines() {
        insta::assert_snapshot!(status_text(&read(baking()), now()), @r"
        iris 1 → 2: baking
        rollout   r-000002, blue-green
        traffic   100 % on version 2
        since     3 min ago, of 10 min
        started   3 min ago by file
        reason    loaded and warm; it has all traffic
        possible  promote, abort, undo, start
        ");
        insta::assert_snapshot!(status_text(&read(undone()), now()), @r"
        iris 2 → 1: completed, unproven
        rollout   r-000003, blue-green, after r-000002
        traffic   100 % on version 1
        since     12 s ago
        started   12 s ago by ada
        reason    it was stable before
        possible  undo, start
        ");
    }

    #[test]
    fn what_is_not_in_the_journal_is_told() {
        let mut rollout = undone();
        rollout["recorded"] = json!(false);
        let text = status_text(&read(rollout), now());
        assert!(text.contains("\njournal   not written yet; a restart would"), "{text}");
    }

    #[test]
    fn a_change_is_told_on_one_line() {
        let line = "2026-11-23T09:57:00.000Z  r-000002  1 → 2  baking: loaded and warm; it has all traffic";
        assert_eq!(change_line(&read(baking())), line);
    }

    #[test]
    fn the_history_is_a_table() {
        let rollouts = [read(undone()), read(baking()), read(first())];
        insta::assert_snapshot!(history_table(&rollouts, now()), @r"
        ROLLOUT   VERSIONS  PHASE                SINCE      STARTED    BY    REASON
        r-000003  2 → 1     completed, unproven  12 s ago   12 s ago   ada   it was stable before
        r-000002  1 → 2     baking               3 min ago  3 min ago  file  loaded and warm; it has all traffic
        r-000001  1         completed, unproven  3 min ago  3 min ago  file  it is the first version
        ");
        assert_eq!(history_table(&[], now()), "there was no rollout yet");
    }
}
