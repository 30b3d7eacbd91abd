//! What is told of a comparison, as JSON: `shadow.report/1`.

use serde_json::{Map, Value, json};

use super::counts::{Counted, Dropped, SIZES};
use super::standing::{Beside, Standing};
use super::study::{Saved, Study, point};
use crate::domain::rollout::{Rollout, RolloutId};
use crate::domain::sampling::Sample;
use crate::domain::time::WallTime;

/// All that was found out about the versions of one rollout.
#[derive(Debug)]
pub struct StudyReport(Saved);

impl StudyReport {
    /// Of a comparison that goes on. Waits for a worker that is adding to it.
    pub fn of(study: &Study, now: WallTime) -> Self {
        Self(study.copy(now))
    }

    /// Of one that was written down.
    ///
    /// # Errors
    /// What is wrong with the document.
    pub fn read(document: &str) -> Result<Self, serde_json::Error> {
        Saved::read(document).map(Self)
    }

    /// The report. `rollout` says whose it is.
    pub fn json(&self, model: &str, rollout: &Rollout) -> Value {
        let Saved { gathered, counted, hours, with_live, meter } = &self.0;
        let evidence = &gathered.evidence;
        let of_pairs = || {
            let pairs = Some((evidence, None));
            Standing::of(evidence.limits(), pairs, counted.unseen_size(), Beside::default())
        };
        let standing = with_live.clone().unwrap_or_else(of_pairs);
        let pairs = &rollout.plan.pairs;
        let mut report = json!({
            "model": model,
            "rollout": rollout.id.to_string(),
            "strategy": rollout.plan.strategy.name(),
            "change": pairs.change,
            "phase": rollout.phase.name(),
            "started": rollout.started.to_string(),
            "since": rollout.since.to_string(),
            "reason": rollout.reason,
            "stable": rollout.stable.as_ref().map(|stable| json!({
                "version": stable.label.as_str(), "digest": stable.digest.to_string(),
            })),
            "candidate": {
                "version": rollout.candidate.label.as_str(),
                "digest": rollout.candidate.digest.to_string(),
            },
            "verdict": verdict(&standing, rollout),
            "sampling": sampling(counted, pairs.sample, gathered.rehearsed.count),
            "evidence": gathered.curve.up_to(point(evidence)),
        });
        if let Some(meter) = meter {
            report["interference"] = meter.json();
        }
        report["sampling"]["by_hour"] = hours
            .iter()
            .map(|(hour, seen)| {
                json!({
                    "hour": hour.to_string(),
                    "eligible": seen.eligible,
                    "sampled": seen.sampled,
                    "executed": seen.executed,
                    "dropped": seen.dropped,
                    "agreed": seen.agreed,
                })
            })
            .collect();
        let compared = serde_json::to_value(gathered.comparison.report());
        if let (Value::Object(report), Ok(Value::Object(compared))) = (&mut report, compared) {
            report.extend(compared);
        }
        name_samples(&mut report, rollout.id);
        report
    }
}

/// The verdict as the API tells it.
fn verdict(standing: &Standing, rollout: &Rollout) -> Value {
    let gates = &rollout.plan.pairs.gates;
    json!({
        "decision": standing.verdict.decision(),
        "reason": standing.verdict.reason(),
        "pairs": standing.pairs,
        "log_fail": standing.log_fail,
        "log_pass": standing.log_pass,
        "alpha": gates.alpha,
        "beta": gates.beta,
        "by_metric": standing.by_metric,
        "gates": standing.gates,
    })
}

fn sampling(counted: &Counted, sample: Sample, rehearsed: u64) -> Value {
    let dropped: Map<String, Value> = Dropped::ALL
        .into_iter()
        .map(|why| (why.name().to_owned(), counted.dropped_for(why).into()))
        .collect();
    let by_size: Vec<Value> = (0..SIZES.len())
        .filter(|class| counted.sampled[*class] > 0)
        .map(|class| {
            json!({
                "up_to": (SIZES[class] != u64::MAX).then_some(SIZES[class]),
                "sampled": counted.sampled[class],
                "executed": counted.executed[class],
                "dropped": counted.dropped[class].iter().sum::<u64>(),
            })
        })
        .collect();
    json!({
        "rate": sample.share(false),
        "adaptive": sample == Sample::Adaptive,
        "eligible": counted.requests,
        "sampled": counted.all_sampled(),
        "executed": counted.all_executed(),
        "rehearsed": rehearsed,
        "passed_over": counted.passed_over,
        "dropped": dropped,
        "by_size": by_size,
    })
}

/// A request's number is its rollout's own; by its name anybody can ask for it.
fn name_samples(report: &mut Value, rollout: RolloutId) {
    for example in report["worst"].as_array_mut().into_iter().flatten() {
        if let Some(number) = example["request_number"].as_u64() {
            example["id"] = sample_name(rollout, number).into();
        }
    }
}

/// The name of an example, as in `/shadow/samples/s-000002-91`.
pub(crate) fn sample_name(rollout: RolloutId, number: u64) -> String {
    format!("s-{:06}-{number}", rollout.0)
}

/// The rollout and the request that a name stands for.
pub(crate) fn read_sample_name(name: &str) -> Option<(RolloutId, u64)> {
    let (rollout, number) = name.strip_prefix("s-")?.split_once('-')?;
    Some((RolloutId(rollout.parse().ok()?), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_found_by_its_name() {
        let name = sample_name(RolloutId(2), 91);
        assert_eq!(name, "s-000002-91");
        assert_eq!(read_sample_name(&name), Some((RolloutId(2), 91)));
        for name in ["s-91", "000002-91", "s--", "s-x-1", ""] {
            assert_eq!(read_sample_name(name), None, "{name}");
        }
    }
}
