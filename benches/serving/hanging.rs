//! What requests notice of candidates that hang: of four runs that do not end and cannot be stopped.
//!
//! The stream of [`beside`](crate::beside) goes to a small model, while two candidates of other models hold two threads
//! each. In the quiet windows those runs are over.

use std::error::Error;
use std::fs;
use std::time::Duration;

use greenroom::system::cores::Cores;

use crate::bench::Bench;
use crate::beside::{OursAndFloor, Round, rest};
use crate::load::Client;
use crate::measure::Plan;
use crate::ours::Ours;
use crate::scene::Scene;
use crate::trial::{Trial, test_model, until};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, while four runs of candidates hang";

const MODELS: [&str; 2] = ["hangs", "hangs-too"];

/// Nothing takes the candidates back: they are to hang again and again.
const SETTINGS: &str = r#"
[scheduler]
deadline = "100ms"
max_concurrency = 2
[rollout]
strategy = "canary"
change = "new-task"
shadow = { sample = 0.0, min_pairs = 0 }
steps = [1]
min_time = "1h"
[gates]
breaker = false
"#;

const RUNS_EACH: usize = 2;

/// Measures this scene.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let scene = &bench.small;
    let rounds = Hanging { client: bench.client, ours: bench.ours, scene }.rounds(bench.plan)?;
    bench.report.add_beside_with_floor(NAME, &scene.model, "with four runs that hang", &rounds);
    Ok(())
}

/// Who is asked, and by whom.
struct Hanging<'b> {
    client: &'b Client,
    ours: &'b Ours,
    /// The small model's.
    scene: &'b Scene,
}

impl Hanging<'_> {
    /// All rounds, after one that warms up: of our server, and of the floor in the same process.
    fn rounds(&self, plan: Plan) -> Result<OursAndFloor, Box<dyn Error>> {
        for model in MODELS {
            let trial = Trial { client: self.client, ours: self.ours, model };
            trial.put("model.toml", SETTINGS.as_bytes())?;
            trial.put("1.onnx", &test_model("adder")?)?;
            until("version 1 answers", || trial.is("completed"))?;
            trial.put("2.onnx", &test_model("stubborn")?)?;
            until("version 2 is on trial", || trial.is("canary"))?;
            trial.command("weight", r#"{"weight": 0}"#)?;
        }
        OursAndFloor::measure(self.client, self.ours, self.scene, plan, |stream| {
            Ok(Round {
                quiet: stream.stretch(|| rest(plan.window * 2))?,
                beside: {
                    self.hang(plan.window * 3)?;
                    stream.stretch(|| rest(plan.window * 2))?
                },
                quiet_again: {
                    until("the runs are over", || (stranded() == 0).then_some(()))?;
                    stream.stretch(|| rest(plan.window * 2))?
                },
            })
        })
    }

    /// Has every candidate hang in as many runs as it may have at once, for so long at least.
    fn hang(&self, duration: Duration) -> Result<(), Box<dyn Error>> {
        // Its runs take a millisecond and more for each whole number.
        let body = format!(r#"{{"instances": [[{}, 0]]}}"#, duration.as_millis() + 1500);
        for model in MODELS {
            let path = format!("/v1/models/{model}/labels/candidate:predict");
            let request = wire::post(&path, "application/json", body.as_bytes());
            // One after the other: each takes a thread that is there again once the one before is stranded.
            for _ in 0..RUNS_EACH {
                // No answer comes in time, which is what it is asked for.
                let _ = self.client.ask_v1(self.ours.address(), &request);
            }
        }
        let all = MODELS.len() * RUNS_EACH;
        until("all runs hang", || (stranded() >= all).then_some(()))
    }
}

/// How many threads for candidates there are beyond those that the server has when nothing hangs.
fn stranded() -> usize {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    let of_candidates = names.filter(|name| {
        name.trim().strip_prefix("trial-").is_some_and(|number| number.parse::<u32>().is_ok())
    });
    of_candidates.count().saturating_sub(Cores::available().count)
}
