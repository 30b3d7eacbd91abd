//! The two versions of a model that are compared, found in a state folder.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::cli::compare::Contestant;
use crate::delivery::JournalReader;
use crate::domain::model::{ModelName, VersionLabel};
use crate::domain::rollout::{Plan, Release, Revision};
use crate::onnx::{Runtime, Session, SessionOptions};
use crate::repository::ContentStore;

/// See the module.
#[derive(Debug)]
pub(super) struct Versions {
    state: PathBuf,
    model: ModelName,
    pub(super) stable: Revision,
    pub(super) candidate: Revision,
    /// The recipe of the model's last rollout.
    pub(super) plan: Plan,
}

impl Versions {
    /// Those of the running rollout, where no version is named.
    pub(super) fn find(
        state: &Path,
        model: &ModelName,
        version: Option<&VersionLabel>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut releases = JournalReader::of_state(state)?.releases()?;
        let Some(release) = releases.remove(model) else {
            let others: Vec<String> = releases.keys().map(|other| format!("`{other}`")).collect();
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            let state = state.display();
            return Err(
                format!("there is no model `{model}` in `{state}`; there are: {others}").into()
            );
        };
        let (stable, candidate) = pair(&release, model, version)?;
        let plan = release.rollout().map(|rollout| rollout.plan.clone()).unwrap_or_default();
        Ok(Self { state: state.to_path_buf(), model: model.clone(), stable, candidate, plan })
    }

    /// Two that are known by what they are.
    pub(super) fn known(
        state: &Path,
        model: ModelName,
        [stable, candidate]: [Revision; 2],
    ) -> Self {
        Self { state: state.to_path_buf(), model, stable, candidate, plan: Plan::default() }
    }

    /// Loads one of them from the contents that the server has kept.
    pub(super) fn load(
        &self,
        runtime: &Runtime,
        revision: &Revision,
    ) -> Result<Contestant, Box<dyn Error>> {
        let Revision { label, digest } = revision;
        let title = format!("version {label} of `{}`", self.model);
        let path = ContentStore::model_in(&self.state, digest).ok_or_else(|| {
            let state = self.state.display();
            format!("{title} is not in the store of `{state}` any more; drop its file again")
        })?;
        let session = Session::load(runtime, &path, SessionOptions::default())
            .map_err(|error| format!("{title} cannot be loaded: {error}"))?;
        Ok(Contestant { title, label: label.clone(), digest: *digest, session })
    }
}

/// The stable version and the one that is compared with it.
fn pair(
    release: &Release,
    model: &ModelName,
    version: Option<&VersionLabel>,
) -> Result<(Revision, Revision), String> {
    if version.is_none()
        && let Some(pair) = release.route().and_then(|route| route.pair)
    {
        return Ok((pair.stable, pair.candidate));
    }
    let stable = release
        .stable()
        .cloned()
        .ok_or_else(|| format!("`{model}` has no stable version to compare with"))?;
    let labels = release.labels().iter();
    let known = labels.map(|(label, digest)| Revision { label: label.clone(), digest: *digest });
    let remembered = [release.previous(), release.rollout().map(|rollout| &rollout.candidate)];
    let known: Vec<Revision> = known.chain(remembered.into_iter().flatten().cloned()).collect();
    let loading = release.live().map(|rollout| &rollout.candidate);
    let candidate = match version {
        Some(label) if *label == stable.label => {
            return Err(format!("version {label} of `{model}` is the stable one; name another"));
        }
        Some(label) => known.iter().find(|revision| revision.label == *label),
        None => {
            let others = known.iter().filter(|revision| revision.digest != stable.digest);
            let newest = others.max_by(|a, b| a.label.cmp(&b.label));
            loading.filter(|candidate| candidate.digest != stable.digest).or(newest)
        }
    };
    let candidate = candidate.cloned().ok_or_else(|| {
        let mut labels: Vec<&VersionLabel> = known.iter().map(|known| &known.label).collect();
        labels.sort_unstable();
        labels.dedup();
        let labels: Vec<&str> = labels.into_iter().map(VersionLabel::as_str).collect();
        let known = labels.join(", ");
        match version {
            Some(label) => format!("`{model}` has no version {label}; it has: {known}"),
            None => format!(
                "`{model}` has no version to compare with its stable one, {}; it has: {known}",
                stable.label
            ),
        }
    })?;
    Ok((stable, candidate))
}
