//! What requests notice of a slow candidate on which every one of them is run again.
//!
//! The stream of [`beside`](crate::beside) goes to a model of which a new version is on trial: one that takes at least ten
//! times as long for the same request. In the quiet windows there is no trial.

use std::error::Error;
use std::sync::Arc;

use crate::bench::Bench;
use crate::beside::{Round, half_load, rest, stretch};
use crate::load::{Client, Exchange};
use crate::measure::Plan;
use crate::ours::Ours;
use crate::scene::{Protocol, path};
use crate::trial::{Trial, test_model, until};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str =
    "half load, v1 JSON, with every request run again on a slow candidate";

/// The model that is on trial.
const MODEL: &str = "trial";

/// Its settings: outputs are not judged, and neither is time, since the trial is to last.
const SETTINGS: &str = r#"
[rollout]
strategy = "shadow"
change = "new-task"
shadow = { sample = 1.0, min_pairs = 1000000000 }
[gates]
latency = { margin = 1000000.0, floor = "1h" }
"#;

const CONNECTIONS: usize = 16;

/// Measures this scene.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let rounds = Shadowing { client: bench.client, ours: bench.ours }.rounds(bench.plan)?;
    bench.report.add_beside(NAME, MODEL, "with a trial", &rounds);
    Ok(())
}

/// Who is asked, and by whom.
struct Shadowing<'b> {
    client: &'b Client,
    ours: &'b Ours,
}

impl Shadowing<'_> {
    /// All rounds, after one that warms up.
    fn rounds(&self, plan: Plan) -> Result<Vec<Round>, Box<dyn Error>> {
        let trial = Trial { client: self.client, ours: self.ours, model: MODEL };
        trial.put("model.toml", SETTINGS.as_bytes())?;
        trial.put("1.onnx", &test_model("adder")?)?;
        let request = wire::post(
            &path(Protocol::V1Json, MODEL),
            "application/json",
            br#"{"instances":[[0,0]]}"#,
        );
        let body = until("version 1 answers", || {
            self.client.ask_v1(self.ours.address(), &request).ok().map(|answer| answer.body)
        })?;
        trial.put("2.onnx", &test_model("patient")?)?;
        until("version 2 is on trial", || trial.is("shadowing"))?;
        trial.command("abort", "{}")?;

        let exchange = Arc::new(Exchange::v1(request, body));
        let mut connections = self.client.connect(self.ours.address(), CONNECTIONS, exchange)?;
        let half = half_load(&mut connections, plan)?;
        let mut round = || -> Result<Round, Box<dyn Error>> {
            Ok(Round {
                quiet: stretch(&mut connections, half, || rest(plan.window * 2))?,
                beside: {
                    trial.command("start", "{}")?;
                    until("version 2 is on trial", || trial.is("shadowing"))?;
                    stretch(&mut connections, half, || rest(plan.window * 2))?
                },
                quiet_again: {
                    trial.command("abort", "{}")?;
                    // The pair that is being run may end.
                    rest(plan.window / 5)?;
                    stretch(&mut connections, half, || rest(plan.window * 2))?
                },
            })
        };
        for _ in 0..plan.warm_ups {
            round()?;
        }
        (0..plan.rounds).map(|_| round()).collect()
    }
}
