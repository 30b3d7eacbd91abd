//! A model of which a new version is on trial, and the operator who says how it goes.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::beside::rest;
use crate::load::Client;
use crate::ours::Ours;
use crate::wire;

/// How long it may take until the server has done what it was asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model by its name.
#[derive(Clone, Copy)]
pub(crate) struct Trial<'b> {
    pub(crate) client: &'b Client,
    pub(crate) ours: &'b Ours,
    pub(crate) model: &'static str,
}

impl Trial<'_> {
    /// Puts a file of the model there in one step.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> Result<(), Box<dyn Error>> {
        self.put_with(name, |file| file.write_all(content))
    }

    /// The same with a content that is written here.
    pub(crate) fn put_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), Box<dyn Error>> {
        let folder = self.ours.models().join(self.model);
        fs::create_dir_all(&folder)?;
        let unfinished = folder.join("new.part");
        write(&mut File::create(&unfinished)?)?;
        Ok(fs::rename(unfinished, folder.join(name))?)
    }

    /// Has an operator ask for something.
    pub(crate) fn command(&self, verb: &str, wish: &str) -> Result<(), Box<dyn Error>> {
        let path = format!("/admin/v1/models/{}/rollout/{verb}", self.model);
        let request = wire::post(&path, "application/json", wish.as_bytes());
        self.client.ask_v1(self.ours.address(), &request)?;
        Ok(())
    }

    /// Whether its rollout is in this phase.
    pub(crate) fn is(&self, phase: &str) -> Option<()> {
        let request = wire::get(&format!("/admin/v1/models/{}/rollout", self.model));
        let answer = self.client.ask_v1(self.ours.address(), &request).ok()?;
        let rollout: Value = serde_json::from_slice(&answer.body).ok()?;
        (rollout["phase"] == phase).then_some(())
    }
}

/// Looks until there is something; an error when there is nothing for too long.
pub(crate) fn until<T>(
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

/// One of the tests' models.
pub(crate) fn test_model(name: &str) -> io::Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    fs::read(folder.join(format!("{name}.onnx")))
}
