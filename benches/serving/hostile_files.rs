//! What requests notice of files that are there to do harm: broken ones, and ones that loop, crash or want all memory.
//!
//! The stream of [`beside`](crate::beside) goes to a small model, while some of the hostile files of the tests are dropped
//! into the folder: until the server has said what is wrong with each.

use std::error::Error;
use std::fs;

use serde_json::Value;

use crate::bench::Bench;
use crate::beside::{OursAndFloor, Round, rest};
use crate::hostile::{HOSTILE, Hostile};
use crate::load::Client;
use crate::measure::Plan;
use crate::ours::Ours;
use crate::scene::Scene;
use crate::trial::until;
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, while hostile files are dropped";

/// Files in a round, one after the other.
const IN_A_ROUND: usize = 2;

/// What comes of a version in the end; some files only look bad.
const ENDS: [&str; 3] = ["quarantined", "refused", "ready"];

/// Measures this scene.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let (scene, beside) = (&bench.small, "while hostile files are dropped");
    let rounds =
        HostileFiles { client: bench.client, ours: bench.ours, scene }.rounds(bench.plan)?;
    bench.report.add_beside_with_floor(NAME, &scene.model, beside, &rounds);
    Ok(())
}

/// What is dropped, and who is asked meanwhile.
struct HostileFiles<'b> {
    client: &'b Client,
    ours: &'b Ours,
    /// The small model's.
    scene: &'b Scene,
}

impl HostileFiles<'_> {
    /// All rounds, after one that warms up: of our server, and of the floor in the same process.
    fn rounds(&self, plan: Plan) -> Result<OursAndFloor, Box<dyn Error>> {
        let mut files = (1_u32..).flat_map(|cycle| HOSTILE.iter().map(move |it| (cycle, it)));
        OursAndFloor::measure(self.client, self.ours, self.scene, plan, |stream| {
            let mut dropped = files.by_ref().take(IN_A_ROUND);
            Ok(Round {
                quiet: stream.stretch(|| rest(plan.window))?,
                beside: stream
                    .stretch(|| dropped.try_for_each(|(cycle, it)| self.drop(cycle, it)))?,
                quiet_again: stream.stretch(|| rest(plan.window))?,
            })
        })
    }

    /// Drops a model, and waits until it is said what is wrong with it.
    fn drop(&self, cycle: u32, hostile: &Hostile) -> Result<(), Box<dyn Error>> {
        let Hostile { name, write, .. } = hostile;
        // What is known of a content is known of one model.
        let name = format!("{name}-{cycle}");
        let folder = self.ours.models().join(&name);
        let unfinished = folder.join("new.tmp");
        fs::create_dir_all(&unfinished)?;
        write(&unfinished);
        fs::rename(unfinished, folder.join("1"))?;
        let request = wire::get(&format!("/admin/v1/models/{name}"));
        until(&format!("`{name}` is judged"), || {
            // An error means that nothing is known of it yet.
            let answer = self.client.ask_v1(self.ours.address(), &request).ok()?;
            let model: Value = serde_json::from_slice(&answer.body).ok()?;
            let is_judged = |version: &Value| {
                version["state"].as_str().is_some_and(|state| ENDS.contains(&state))
            };
            let is_not_taken = model["not_taken"].get(0).is_some();
            (is_not_taken || model["versions"].as_array()?.iter().any(is_judged)).then_some(())
        })
    }
}
