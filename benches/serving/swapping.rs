//! What requests notice of hot swaps of the very model that they ask: one after the other, as fast as they come.
//!
//! Each version answers the same, so that the load is the same throughout and a wrong answer would end the bench, as a
//! failed one would. A version is another file all the same.

use std::error::Error;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::beside::{OursAndFloor, Round, Stretch, rest};
use crate::onnx;
use crate::scene::{Protocol, Scene, path};
use crate::trial::{Trial, test_model, until};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, while its model is hot swapped";

const MODEL: &str = "swapped";

/// All rounds, after one that warms up: of our server, and of the floor in the same process.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let (client, ours, plan, swaps) = (bench.client, bench.ours, bench.plan, bench.sizes.swaps);
    let trial = Trial { client, ours, model: MODEL };
    let adder = test_model("adder")?;
    let mut versions = 1_u32..;
    let mut swap = || {
        let version = versions.next().unwrap_or_default();
        trial.put(&format!("{version}.onnx"), &another(&adder, version))?;
        until(&format!("version {version} answers"), || is_answering(&trial, version))
    };
    swap()?;
    let body = br#"{"instances":[[0,0]]}"#;
    let request = wire::post(&path(Protocol::V1Json, MODEL), "application/json", body).into();
    let scene = Scene { request, model: MODEL.to_owned(), ..bench.small.clone() };
    let measured = OursAndFloor::measure(client, ours, &scene, plan, |stream| {
        Ok(Round {
            quiet: stream.stretch(|| rest(plan.window * 2))?,
            beside: stream.stretch(|| (0..swaps).try_for_each(|_| swap()))?,
            quiet_again: stream.stretch(|| rest(plan.window * 2))?,
        })
    })?;
    let what = format!("{swaps} swaps a round");
    bench.report.add_beside_with_floor(NAME, MODEL, &what, &measured);
    let longest = |rounds: &[Round], of: fn(&Round) -> &Stretch| {
        rounds.iter().map(|round| of(round).longest_us).fold(0.0, f64::max)
    };
    let stalls = |rounds: &[Round], of: fn(&Round) -> &Stretch| -> usize {
        rounds.iter().map(|round| of(round).stalls).sum()
    };
    let mut told = json!({ "swaps": swaps as usize * measured.ours.len(), "failed": 0 });
    for (who, rounds) in [("ours", &measured.ours), ("floor", &measured.floor)] {
        told[who] = json!({
            "longest_us": longest(rounds, |round| &round.beside),
            "longest_quiet_us": longest(rounds, |round| &round.quiet),
            "stalls": stalls(rounds, |round| &round.beside),
            "stalls_quiet": stalls(rounds, |round| &round.quiet),
        });
        println!(
            "{who}: longest request {:.1} ms (quiet {:.1}); longer than 5 ms: {} (quiet {}); failed: 0",
            longest(rounds, |round| &round.beside) / 1e3,
            longest(rounds, |round| &round.quiet) / 1e3,
            stalls(rounds, |round| &round.beside),
            stalls(rounds, |round| &round.quiet),
        );
    }
    bench.report.add_figures("hot swaps: longest requests", told);
    Ok(())
}

/// The same model as another file: with a text in it that nobody reads.
pub(crate) fn another(model: &[u8], version: u32) -> Vec<u8> {
    const DOC_STRING: u8 = 6;
    [model, &onnx::text(DOC_STRING, &format!("version {version}"))].concat()
}

/// Whether who asks for the model gets this version.
pub(crate) fn is_answering(trial: &Trial<'_>, version: u32) -> Option<()> {
    let input = json!({ "name": "X", "shape": [1, 2], "datatype": "FP32", "data": [0, 0] });
    let body = json!({ "inputs": [input] }).to_string();
    let path = path(Protocol::V2Json, trial.model);
    let request = wire::post(&path, "application/json", body.as_bytes());
    let answer = trial.client.ask_v1(trial.ours.address(), &request).ok()?;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    let answering: u32 = answer["model_version"].as_str()?.parse().ok()?;
    (answering == version).then_some(())
}
