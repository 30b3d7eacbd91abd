//! What requests notice of a large model that is loaded beside theirs.
//!
//! The stream of [`beside`](crate::beside) goes to a small model, while a new version of a large model is dropped into the
//! folder: until it answers.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::beside::{OursAndFloor, Round, rest};
use crate::load::Client;
use crate::measure::Plan;
use crate::onnx::HeavyAdder;
use crate::ours::Ours;
use crate::scene::{Protocol, Scene, path};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, while a large model is loaded";

/// The model that is loaded again and again.
const LARGE: &str = "large";

/// How long it may take until a version answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures this scene.
pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), Box<dyn Error>> {
    let (scene, mebibytes) = (&bench.small, bench.sizes.large_mebibytes);
    let rounds =
        Loading { client: bench.client, ours: bench.ours, scene, mebibytes }.rounds(bench.plan)?;
    let beside = format!("while one of {mebibytes} MiB is loaded");
    bench.report.add_beside_with_floor(NAME, &scene.model, &beside, &rounds);
    Ok(())
}

/// What is loaded, and who is asked meanwhile.
struct Loading<'b> {
    client: &'b Client,
    ours: &'b Ours,
    /// The small model's.
    scene: &'b Scene,
    /// The large model's size.
    mebibytes: u64,
}

impl Loading<'_> {
    /// All rounds, after one that warms up: of our server, and of the floor in the same process.
    fn rounds(&self, plan: Plan) -> Result<OursAndFloor, Box<dyn Error>> {
        let mut versions = 1..;
        OursAndFloor::measure(self.client, self.ours, self.scene, plan, |stream| {
            let version = versions.next().unwrap_or_default();
            Ok(Round {
                quiet: stream.stretch(|| rest(plan.window * 2))?,
                beside: stream.stretch(|| self.load(version))?,
                quiet_again: {
                    // What was loaded before is freed, and removed from the disk.
                    rest(plan.window * 6)?;
                    stream.stretch(|| rest(plan.window * 2))?
                },
            })
        })
    }

    /// Drops a version into the folder, and waits until it answers.
    fn load(&self, version: u16) -> Result<(), Box<dyn Error>> {
        let folder = self.ours.models().join(LARGE);
        fs::create_dir_all(&folder)?;
        let model = HeavyAdder::new(version.into(), self.mebibytes);
        let unfinished = folder.join("new.part");
        let mut file = File::create(&unfinished)?;
        file.write_all(&model.beginning)?;
        file.set_len(model.length)?;
        fs::rename(unfinished, folder.join(format!("{version}.onnx")))?;

        let body = br#"{"instances":[[0,0]]}"#;
        let request = wire::post(&path(Protocol::V1Json, LARGE), "application/json", body);
        let expected = format!("{{\"predictions\":[[{version}.0,{version}.0]]}}");
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            // Anything but 200 is an error here, and means: not yet.
            let answer = self.client.ask_v1(self.ours.address(), &request);
            if answer.is_ok_and(|answer| answer.body == expected.as_bytes()) {
                return Ok(());
            }
            rest(Duration::from_millis(10))?;
        }
        Err(format!("version {version} of the large model does not answer").into())
    }
}
