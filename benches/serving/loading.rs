//! What requests notice of a large model that is loaded beside theirs.
//!
//! A steady stream of requests, as many as keep half of the machine busy, goes to a small model. Windows alternate:
//! quiet; from the moment at which a new version of a large model is dropped into the folder until it answers; quiet again.
//! A round of three gives one ratio of loading to quiet, and one of quiet to itself.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cpu::CpuTime;
use crate::load::{Client, Connections, Exchange};
use crate::measure::{Plan, percentile};
use crate::onnx::HeavyAdder;
use crate::ours::Ours;
use crate::scene::{Scene, path};
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str = "half load, v1 JSON, while a large model is loaded";

/// The model that is loaded again and again.
const LARGE: &str = "large";

/// How long it may take until a version answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// One window of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Three windows in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) quiet: Stretch,
    pub(crate) loading: Stretch,
    pub(crate) quiet_again: Stretch,
}

impl Round {
    /// Loading to the mean of quiet before and after.
    pub(crate) fn loading_to_quiet(&self, of: impl Fn(&Stretch) -> f64) -> f64 {
        2.0 * of(&self.loading) / (of(&self.quiet) + of(&self.quiet_again))
    }

    /// One on a machine that has nothing else to do.
    pub(crate) fn quiet_to_quiet(&self, of: impl Fn(&Stretch) -> f64) -> f64 {
        of(&self.quiet_again) / of(&self.quiet)
    }
}

/// What is loaded, and who is asked meanwhile.
pub(crate) struct Loading<'b> {
    pub(crate) client: &'b Client,
    pub(crate) ours: &'b Ours,
    /// The small model's.
    pub(crate) scene: &'b Scene,
    /// The large model's size.
    pub(crate) mebibytes: u64,
}

impl Loading<'_> {
    /// All rounds, after one that warms up.
    pub(crate) fn rounds(&self, plan: Plan) -> Result<Vec<Round>, Box<dyn Error>> {
        let (address, scene) = (self.ours.address(), self.scene);
        let body = self.client.ask(address, &scene.request)?.body;
        let exchange = Arc::new(Exchange { request: scene.request.clone(), body });
        let mut connections = self.client.connect(address, scene.connections, exchange)?;
        let half = half_load(&mut connections, plan)?;
        let mut versions = 1..;
        let mut round = || -> Result<Round, Box<dyn Error>> {
            let version = versions.next().unwrap_or_default();
            Ok(Round {
                quiet: stretch(&mut connections, half, || rest(plan.window * 2))?,
                loading: stretch(&mut connections, half, || self.load(version))?,
                quiet_again: {
                    // What was loaded before is freed, and removed from the disk.
                    rest(plan.window * 6)?;
                    stretch(&mut connections, half, || rest(plan.window * 2))?
                },
            })
        };
        round()?;
        (0..plan.rounds).map(|_| round()).collect()
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
        let request = wire::post(&path(LARGE), "application/json", body);
        let expected = format!("{{\"predictions\":[[{version}.0,{version}.0]]}}");
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            // Anything but 200 is an error here, and means: not yet.
            let answer = self.client.ask(self.ours.address(), &request);
            if answer.is_ok_and(|answer| answer.body == expected.as_bytes()) {
                return Ok(());
            }
            rest(Duration::from_millis(10))?;
        }
        Err(format!("version {version} of the large model does not answer").into())
    }
}

/// How many requests a second keep half of the machine busy, with those who send them.
fn half_load(connections: &mut Connections<'_>, plan: Plan) -> Result<f64, Box<dyn Error>> {
    // A request costs less when many are answered at once, so what it costs is seen at a rate that is low anyway.
    let fastest = connections.fastest(plan.window)?;
    let (latencies, used) = connections.stream(fastest / 8.0, || {
        let before = CpuTime::now();
        std::thread::sleep(plan.window * 2);
        CpuTime::now().since(before)
    })?;
    let of_one = (used.client + used.server).as_secs_f64() / latencies.len().max(1) as f64;
    let cores = std::thread::available_parallelism()?.get() as f64;
    Ok(0.5 * cores / of_one)
}

fn rest(duration: Duration) -> Result<(), Box<dyn Error>> {
    std::thread::sleep(duration);
    Ok(())
}

fn stretch(
    connections: &mut Connections<'_>,
    per_second: f64,
    meanwhile: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<Stretch, Box<dyn Error>> {
    let (mut latencies, done) = connections.stream(per_second, || {
        let began = Instant::now();
        meanwhile().map(|()| began.elapsed().as_secs_f64())
    })?;
    let seconds = done?;
    latencies.sort_unstable();
    Ok(Stretch {
        seconds,
        requests_per_second: latencies.len() as f64 / seconds,
        p50_us: percentile(&latencies, 0.5)?,
        p99_us: percentile(&latencies, 0.99)?,
        p999_us: percentile(&latencies, 0.999)?,
    })
}
