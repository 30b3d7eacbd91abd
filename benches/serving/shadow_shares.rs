//! What requests notice of a candidate of their own cost that runs none, a tenth, or all of them again.

use std::error::Error;
use std::sync::Arc;

use crate::bench::Bench;
use crate::beside::{Round, half_load, rest, stretch};
use crate::load::Exchange;
use crate::scene::{Protocol, path};
use crate::swapping::another;
use crate::trial::{Trial, test_model, until};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, with a share of the requests run again";

/// What is run again, in per cent, the model, and the phase in which that is so.
const SHARES: [(&str, &str, &str, &str); 3] = [
    (
        "0 %",
        "shadowed-0",
        "canary",
        "strategy = 'canary'\nsteps = [1]\nshadow = { sample = 0.0, min_pairs = 0 }",
    ),
    (
        "10 %",
        "shadowed-10",
        "shadowing",
        "strategy = 'shadow'\nshadow = { sample = 0.1, min_pairs = 1000000000 }",
    ),
    (
        "100 %",
        "shadowed-100",
        "shadowing",
        "strategy = 'shadow'\nshadow = { sample = 1.0, min_pairs = 1000000000 }",
    ),
];

const CONNECTIONS: usize = 16;

/// For each share all rounds, after one that warms up. In the quiet windows there is no trial.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let (client, ours, plan) = (bench.client, bench.ours, bench.plan);
    for (share, model, phase, rollout) in SHARES {
        let trial = Trial { client, ours, model };
        let settings = format!(
            "[rollout]\nchange = 'new-task'\n{rollout}\nmin_time = '1h'\n[gates]\nbreaker = false\n\
             latency = {{ margin = 1000000.0, floor = '1h' }}\n"
        );
        trial.put("model.toml", settings.as_bytes())?;
        let adder = test_model("adder")?;
        trial.put("1.onnx", &another(&adder, 1))?;
        let body = br#"{"instances":[[0,0]]}"#;
        let request = wire::post(&path(Protocol::V1Json, model), "application/json", body);
        let answer = until("version 1 answers", || client.ask_v1(ours.address(), &request).ok())?;
        trial.put("2.onnx", &another(&adder, 2))?;
        let begin = || -> Result<(), Box<dyn Error>> {
            until(&format!("version 2 of `{model}` is on trial"), || trial.is(phase))?;
            if phase == "canary" {
                // Nothing goes to the candidate, and nothing is run again.
                trial.command("weight", r#"{"weight": 0}"#)?;
            }
            Ok(())
        };
        begin()?;
        trial.command("abort", "{}")?;

        let exchange = Arc::new(Exchange::v1(request, answer.body));
        let mut connections = client.connect(ours.address(), CONNECTIONS, exchange)?;
        let half = half_load(&mut connections, plan)?;
        let mut round = || -> Result<Round, Box<dyn Error>> {
            Ok(Round {
                quiet: stretch(&mut connections, half, || rest(plan.window * 2))?,
                beside: {
                    trial.command("start", "{}")?;
                    begin()?;
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
        let rounds = (0..plan.rounds).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
        bench.report.add_beside(NAME, model, &format!("with {share} of them run again"), &rounds);
    }
    Ok(())
}
