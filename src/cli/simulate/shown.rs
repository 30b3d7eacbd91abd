//! What many simulated rollouts came to, for people and as JSON.

use serde_json::{Value, json};

use crate::cli::table;
use crate::domain::analysis::Gates;
use crate::domain::rollout::{Plan, Strategy};
use crate::domain::simulation::{Fate, Percentiles, Scene, Summary, Traffic};

/// All that was simulated.
pub(super) struct Simulation<'s> {
    pub(super) scene: &'s Scene<'s>,
    pub(super) seed: u32,
    pub(super) simulated: Vec<Simulated>,
}

/// What came of it by one rule.
pub(super) struct Simulated {
    pub(super) name: &'static str,
    pub(super) summary: Summary,
}

/// How the candidate stands to what is tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate {
    Identical,
    Tolerated,
    Worse,
}

impl Simulation<'_> {
    pub(super) fn as_table(&self) -> String {
        let Scene { plan, traffic, horizon, .. } = self.scene;
        let runs = self.simulated.iter().map(|it| it.summary.fates[0].of).max().unwrap_or(0);
        let title = format!(
            "{runs} rollouts, each watched for {}, seed {}\nplan       {}\ntraffic    {}\ncandidate  {}\n",
            humantime::format_duration(*horizon),
            self.seed,
            plan_in_words(plan),
            traffic_in_words(traffic),
            Candidate::of(traffic, &plan.pairs.gates).in_words(),
        );
        let mut header = vec![String::new()];
        header.extend(self.simulated.iter().map(|it| it.name.to_owned()));
        let rows = self.rows().into_iter().filter(|row| row[1..].iter().any(|cell| cell != "-"));
        let table = table::columns(header, rows);
        let legend = "Shares have 95 % intervals. Of times and requests: the median, and what 90 % are below.\n\
                      Bad answers are failures beyond stable's that clients got until the time was over, in the mean.";
        format!("{title}\n{table}\n\n{legend}")
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let names = Candidate::of(self.scene.traffic, &self.scene.plan.pairs.gates).names();
        let row = |name: &str, cell: &dyn Fn(&Summary) -> String| {
            let cells = self.simulated.iter().map(|it| cell(&it.summary));
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
        };
        let mut rows = Vec::new();
        for (fate, name) in Fate::ALL.into_iter().zip(names) {
            rows.push(row(name, &|summary| {
                let share = summary.share(fate);
                let [low, high] = share.interval().map(per_cent);
                format!("{} % ({low} to {high})", per_cent(share.value()))
            }));
        }
        for (fate, name) in [(Fate::RolledBack, "rolled back"), (Fate::Promoted, "promoted")] {
            rows.push(row(&format!("{name} after"), &|summary| {
                spread(summary.seconds[fate as usize], time)
            }));
            rows.push(row("  candidate requests", &|summary| {
                spread(summary.candidate_requests[fate as usize], |count| format!("{count:.0}"))
            }));
        }
        rows.push(row("bad answers", &|summary| count(summary.bad_answers)));
        if self.scene.plan.fallback {
            let rescued = row("rescued by stable", &|summary| count(summary.rescued));
            // No other tool has anybody who answers in the candidate's place.
            rows.push(
                rescued
                    .into_iter()
                    .enumerate()
                    .map(|(at, cell)| if at < 2 { cell } else { "-".into() })
                    .collect(),
            );
        }
        rows
    }

    pub(super) fn as_json(&self) -> String {
        let Scene { plan, traffic, horizon, .. } = self.scene;
        let told = json!({
            "seed": self.seed,
            "horizon_s": horizon.as_secs_f64(),
            "plan": plan_in_words(plan),
            "traffic": traffic_as_json(traffic),
            "candidate": Candidate::of(traffic, &plan.pairs.gates).name(),
            "rules": self.simulated.iter().map(Simulated::as_json).collect::<Vec<_>>(),
        });
        format!("{told:#}")
    }
}

impl Simulated {
    fn as_json(&self) -> Value {
        let mut told = json!({ "rule": self.name, "runs": self.summary.fates[0].of });
        for fate in Fate::ALL {
            let share = self.summary.share(fate);
            let percentiles = |values: Option<Percentiles>| {
                values.map(|it| json!({ "p10": it.p10, "p50": it.p50, "p90": it.p90 }))
            };
            told[fate.name()] = json!({
                "count": share.count,
                "share": share.value(),
                "interval": share.interval(),
                "seconds": percentiles(self.summary.seconds[fate as usize]),
                "candidate_requests": percentiles(self.summary.candidate_requests[fate as usize]),
            });
        }
        told["bad_answers"] = json!(self.summary.bad_answers);
        told["rescued"] = json!(self.summary.rescued);
        told
    }
}

impl Candidate {
    fn of(traffic: &Traffic, gates: &Gates) -> Self {
        if traffic.is_identical() {
            return Self::Identical;
        }
        let (errors, latency) = (traffic.errors, traffic.latency);
        let may_fail = (gates.errors.ratio * errors.stable).max(gates.errors.floor);
        let longer = latency.median.as_secs_f64() * (latency.slower - 1.0);
        let may_take = latency.slower <= 1.0 + gates.latency.margin
            || longer <= gates.latency.floor.as_secs_f64();
        let may_differ = gates.outputs.as_ref().is_none_or(|limits| traffic.flips <= limits.reject);
        if errors.candidate <= may_fail && may_take && may_differ {
            Self::Tolerated
        } else {
            Self::Worse
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Tolerated => "tolerated",
            Self::Worse => "worse",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Identical => "as good as stable: a rollback is wrong",
            Self::Tolerated => "within what is tolerated: a rollback is wrong",
            Self::Worse => "worse than is tolerated: a rollback is right",
        }
    }

    /// What to call each fate.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Identical | Self::Tolerated => ["false rollbacks", "promoted", "undecided"],
            Self::Worse => ["rolled back", "let through", "undecided"],
        }
    }
}

/// The recipe in a line.
pub(super) fn plan_in_words(plan: &Plan) -> String {
    let mut stages = Vec::new();
    if plan.has_shadow_stage() {
        stages.push(format!("shadow for {} pairs", plan.pairs.min_pairs));
    }
    match plan.strategy {
        Strategy::Canary => {
            let steps: Vec<_> =
                plan.steps.iter().map(|step| step.weight.per_cent().to_string()).collect();
            stages.push(format!("{} %", steps.join(", ")));
        }
        Strategy::Recreate | Strategy::BlueGreen | Strategy::Shadow => {}
    }
    match plan.strategy {
        Strategy::Shadow => stages.push("an operator's word".to_owned()),
        Strategy::Recreate => stages.push("all traffic".to_owned()),
        Strategy::Canary | Strategy::BlueGreen => {
            stages.push(format!(
                "all traffic, watched for {}",
                humantime::format_duration(plan.bake)
            ));
        }
    }
    format!("{}: {}", plan.strategy.name(), stages.join(", then "))
}

/// The traffic in a line.
pub(super) fn traffic_in_words(traffic: &Traffic) -> String {
    let Traffic { per_second, errors, latency, flips, .. } = traffic;
    let mut words = vec![
        format!("{per_second} requests/s"),
        format!(
            "stable fails {} %, the candidate {} %",
            per_cent(errors.stable),
            per_cent(errors.candidate)
        ),
    ];
    if !traffic.hours.is_empty() {
        words.push(format!("over {} unequal hours", traffic.hours.len()));
    }
    if latency.slower != 1.0 {
        words.push(format!("it takes {} times as long", latency.slower));
    }
    if *flips != 0.0 {
        words.push(format!("it answers {} % differently", per_cent(*flips)));
    }
    for outage in &traffic.outages {
        words.push(format!(
            "an outage of {} % after {} for {}",
            per_cent(outage.errors),
            humantime::format_duration(outage.start),
            humantime::format_duration(outage.length),
        ));
    }
    if let Some(sticky) = traffic.sticky {
        words.push(format!("{} requests per key", sticky.requests_per_key));
    }
    words.join("; ")
}

fn traffic_as_json(traffic: &Traffic) -> Value {
    let outages = traffic.outages.iter().map(|outage| {
        json!({
            "start_s": outage.start.as_secs_f64(),
            "length_s": outage.length.as_secs_f64(),
            "errors": outage.errors,
        })
    });
    json!({
        "rps": traffic.per_second,
        "hours": traffic.hours,
        "errors": { "stable": traffic.errors.stable, "candidate": traffic.errors.candidate },
        "latency_s": traffic.latency.median.as_secs_f64(),
        "slower": traffic.latency.slower,
        "flips": traffic.flips,
        "outages": outages.collect::<Vec<_>>(),
        "requests_per_key": traffic.sticky.map(|sticky| sticky.requests_per_key),
        "most_pairs_per_second": traffic.most_pairs,
    })
}

fn spread(values: Option<Percentiles>, shown: impl Fn(f64) -> String) -> String {
    values.map_or_else(|| "-".to_owned(), |it| format!("{}, {}", shown(it.p50), shown(it.p90)))
}

/// With two digits that matter, and no more than two after the point.
fn per_cent(share: f64) -> String {
    let per_cent = share * 100.0;
    let text = if per_cent < 10.0 { format!("{per_cent:.2}") } else { format!("{per_cent:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn count(count: f64) -> String {
    if count.abs() < 10.0 { format!("{count:.1}") } else { format!("{count:.0}") }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        120.0..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
