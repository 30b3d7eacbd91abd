//! What requests notice of a slow candidate on which every one of them is run again.
//!
//! The stream of [`beside`](crate::beside) goes to a model of which a new version is on trial: one that takes at least ten
//! times as long for the same request. In the quiet windows there is no trial.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::beside::{Round, half_load, rest, stretch};
use crate::load::{Client, Exchange};
use crate::measure::Plan;
use crate::ours::Ours;
use crate::scene::path;
use crate::wire;

/// Of this scene.
pub(crate) const NAME: &str =
    "half load, v1 JSON, with every request run again on a slow candidate";

/// The model that is on trial.
pub(crate) const MODEL: &str = "trial";

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

/// How long it may take until the server has done what it was asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is asked, and by whom.
pub(crate) struct Shadowing<'b> {
    pub(crate) client: &'b Client,
    pub(crate) ours: &'b Ours,
}

impl Shadowing<'_> {
    /// All rounds, after one that warms up.
    pub(crate) fn rounds(&self, plan: Plan) -> Result<Vec<Round>, Box<dyn Error>> {
        self.put("model.toml", SETTINGS.as_bytes())?;
        self.put("1.onnx", &test_model("adder")?)?;
        let request = wire::post(&path(MODEL), "application/json", br#"{"instances":[[0,0]]}"#);
        let body = self.until("version 1 answers", || {
            self.client.ask(self.ours.address(), &request).ok().map(|answer| answer.body)
        })?;
        self.put("2.onnx", &test_model("patient")?)?;
        self.until("version 2 is on trial", || self.is("shadowing"))?;
        self.command("abort")?;

        let exchange = Arc::new(Exchange { request, body });
        let mut connections = self.client.connect(self.ours.address(), CONNECTIONS, exchange)?;
        let half = half_load(&mut connections, plan)?;
        let mut round = || -> Result<Round, Box<dyn Error>> {
            Ok(Round {
                quiet: stretch(&mut connections, half, || rest(plan.window * 2))?,
                beside: {
                    self.command("start")?;
                    self.until("version 2 is on trial", || self.is("shadowing"))?;
                    stretch(&mut connections, half, || rest(plan.window * 2))?
                },
                quiet_again: {
                    self.command("abort")?;
                    // The pair that is being run may end.
                    rest(plan.window / 5)?;
                    stretch(&mut connections, half, || rest(plan.window * 2))?
                },
            })
        };
        round()?;
        (0..plan.rounds).map(|_| round()).collect()
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), Box<dyn Error>> {
        let folder = self.ours.models().join(MODEL);
        fs::create_dir_all(&folder)?;
        let unfinished = folder.join("new.part");
        fs::write(&unfinished, content)?;
        Ok(fs::rename(unfinished, folder.join(name))?)
    }

    fn command(&self, verb: &str) -> Result<(), Box<dyn Error>> {
        let path = format!("/admin/v1/models/{MODEL}/rollout/{verb}");
        let request = wire::post(&path, "application/json", b"{}");
        self.client.ask(self.ours.address(), &request)?;
        Ok(())
    }

    fn is(&self, phase: &str) -> Option<()> {
        let request = wire::get(&format!("/admin/v1/models/{MODEL}/rollout"));
        let answer = self.client.ask(self.ours.address(), &request).ok()?;
        let rollout: Value = serde_json::from_slice(&answer.body).ok()?;
        (rollout["phase"] == phase).then_some(())
    }

    fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, Box<dyn Error>> {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(found) = look() {
                return Ok(found);
            }
            rest(Duration::from_millis(10))?;
        }
        Err(format!("it does not come to pass that {what}").into())
    }
}

fn test_model(name: &str) -> std::io::Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    fs::read(folder.join(format!("{name}.onnx")))
}
