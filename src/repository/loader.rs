//! From a file to a warm, loaded version.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::layout::FoundVersion;
use crate::config::ModelConfig;
use crate::domain::lifecycle::VersionState;
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::signature::{Dim, Signature, TensorSpec};
use crate::domain::tensor::{Tensor, element_count};
use crate::domain::wording::without_paths;
use crate::onnx::{LoadError, RunError, Runtime, Session, SessionOptions, StopFlag};
use crate::serving::{Naming, QueueLimits, Servable, ServableParts};

/// Loads versions, one at a time.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) runtime: Runtime,
    /// How long the warm-up may take.
    pub(super) load_timeout: Duration,
}

/// A version that can answer, and what was learnt on the way.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) servable: Arc<Servable>,
    pub(super) bytes: u64,
}

/// Why a version was not loaded. Each becomes the state of that version.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadFailure {
    /// The file could not be read this time.
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The model cannot be used.
    #[error(transparent)]
    Broken(LoadError),
    /// The model's settings do not fit it.
    #[error("{0}")]
    Misfit(String),
    /// It did not get warm in time.
    #[error("a trial run took longer than {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
}

impl LoadFailure {
    /// The state that the failure leaves the version in.
    pub(super) fn state(&self, file: &FoundVersion) -> VersionState {
        let reason = self.to_string().replace(&file.path.display().to_string(), &file.file);
        let reason = without_paths(&reason);
        match self {
            Self::Unreadable(_) | Self::Misfit(_) | Self::TooSlow(_) => {
                VersionState::Refused(reason)
            }
            Self::Broken(_) => VersionState::Quarantined(reason),
        }
    }
}

impl Loader {
    /// Loads a version and warms it up. `entering` is told each state that the version goes through.
    pub(super) fn load(
        &self,
        model: &ModelName,
        version: &VersionLabel,
        found: &FoundVersion,
        settings: &ModelConfig,
        mut entering: impl FnMut(VersionState),
    ) -> Result<Loaded, LoadFailure> {
        entering(VersionState::Checking);
        let (digest, bytes) = digest(&found.path).map_err(LoadFailure::Unreadable)?;
        entering(VersionState::Loading);
        let options = SessionOptions { intra_op_threads: settings.session.intra_op_threads.max(1) };
        let session =
            Session::load(&self.runtime, &found.path, options).map_err(LoadFailure::Broken)?;
        check_features(&settings.features, session.signature())?;
        entering(VersionState::WarmingUp);
        self.warm_up(&session, model, version)?;
        let servable = Arc::new(Servable::new(ServableParts {
            model: model.clone(),
            version: version.clone(),
            digest,
            session,
            naming: Naming {
                features: settings.features.clone(),
                classes: settings.labels.clone(),
            },
            limits: QueueLimits {
                max_queue: settings.scheduler.max_queue,
                max_concurrency: settings.scheduler.max_concurrency,
                deadline: settings.scheduler.deadline,
            },
        }));
        Ok(Loaded { servable, bytes })
    }

    /// Runs the model on zeros until it is as fast as it gets, so that no client pays for its first runs.
    ///
    /// A model that does not like zeros is not broken: it is served as it is, and the log says so.
    fn warm_up(
        &self,
        session: &Session,
        model: &ModelName,
        version: &VersionLabel,
    ) -> Result<(), LoadFailure> {
        const ENOUGH_RUNS: usize = 30;
        const ENOUGH_TIME: Duration = Duration::from_millis(500);
        let signature = session.signature();
        let Some(inputs) = signature.inputs.iter().map(zeros).collect::<Option<Vec<_>>>() else {
            return Ok(()); // nothing is known of a shape, or it is huge
        };
        let outputs: Vec<usize> = (0..signature.outputs.len()).collect();
        let outcome = self.within_timeout(|stop| {
            let begun = Instant::now();
            let mut best = Duration::MAX;
            for run in 0..ENOUGH_RUNS {
                let started = Instant::now();
                session.run(&inputs, &outputs, stop)?;
                let elapsed = started.elapsed();
                let has_settled = run >= 3 && elapsed * 10 >= best * 9;
                if has_settled || begun.elapsed() > ENOUGH_TIME {
                    break;
                }
                best = best.min(elapsed);
            }
            Ok(())
        });
        match outcome {
            Ok(()) => Ok(()),
            Err(RunError::Stopped) => Err(LoadFailure::TooSlow(self.load_timeout)),
            Err(RunError::Failed { message }) => {
                tracing::info!(
                    model.name = %model, model.version = %version, cause = message,
                    "version {version} of `{model}` is served without a warm-up: it fails on zeros"
                );
                Ok(())
            }
        }
    }

    /// Raises the flag that `work` is given when it takes too long.
    fn within_timeout(
        &self,
        work: impl FnOnce(&StopFlag) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let stop = StopFlag::new()?;
        let (done, is_done) = channel::<()>();
        std::thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                if is_done.recv_timeout(self.load_timeout) == Err(RecvTimeoutError::Timeout) {
                    stop.raise();
                }
            });
            let outcome = work(stop);
            drop(done);
            outcome
        })
    }
}

/// A tensor of zeros that fits the input, with 1 for each open dimension.
fn zeros(spec: &TensorSpec) -> Option<Tensor> {
    const MOST_ELEMENTS: usize = 1 << 24;
    let shape: Vec<usize> = spec
        .shape
        .dims()?
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Symbol(_) | Dim::Any => 1,
        })
        .collect();
    let count = element_count(&shape).filter(|&count| count <= MOST_ELEMENTS)?;
    Tensor::new(shape, spec.dtype.zeros(count)).ok()
}

/// Names for the columns need one input that has so many columns.
fn check_features(features: &[String], signature: &Signature) -> Result<(), LoadFailure> {
    if features.is_empty() {
        return Ok(());
    }
    let [input] = &signature.inputs[..] else {
        let sentence = format!(
            "`features` in the settings names the columns of the one input, but the model has {} inputs",
            signature.inputs.len()
        );
        return Err(LoadFailure::Misfit(sentence));
    };
    let fits = input.shape.dims().is_none_or(|dims| match dims {
        [_, Dim::Fixed(columns)] => *columns == features.len(),
        [_, Dim::Symbol(_) | Dim::Any] => true,
        _ => false,
    });
    if fits {
        return Ok(());
    }
    Err(LoadFailure::Misfit(format!(
        "`features` in the settings names {} columns, but input `{}` is {input}",
        features.len(),
        input.name
    )))
}

/// SHA-256 and length of a file.
fn digest(path: &Path) -> std::io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                sum.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok((Digest::from_bytes(sum.finalize().into()), bytes))
}
