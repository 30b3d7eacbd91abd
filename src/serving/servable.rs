//! A version that can answer.

use std::fmt;
use std::sync::Arc;

use super::scheduler::{Queue, QueueLimits};
use crate::domain::model::{Digest, ModelName, VersionLabel};
use crate::domain::signature::Signature;
use crate::onnx::Session;
use crate::telemetry::metrics::VersionMeter;

/// A loaded, warmed-up version, with the requests that wait for it.
pub struct Servable {
    model: ModelName,
    version: VersionLabel,
    digest: Digest,
    session: Arc<Session>,
    settings: ServableSettings,
    meter: VersionMeter,
    queue: Queue,
}

/// What a model's settings say of how its versions answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServableSettings {
    /// Names for features and classes.
    pub naming: Naming,
    /// How much may wait and run.
    pub limits: QueueLimits,
}

/// Names that the model itself does not carry, from its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// The columns of the one input, where rows may be given by name.
    pub features: Vec<String>,
    /// The names of the classes, by number.
    pub classes: Vec<String>,
}

/// What a servable is made of.
#[derive(Debug)]
pub struct ServableParts {
    /// The model that it is a version of.
    pub model: ModelName,
    /// Its label.
    pub version: VersionLabel,
    /// What it is.
    pub digest: Digest,
    /// The loaded model.
    pub session: Arc<Session>,
    /// How it answers.
    pub settings: ServableSettings,
}

impl Servable {
    /// Puts a loaded session to work.
    pub fn new(parts: ServableParts) -> Self {
        Self {
            meter: VersionMeter::new(&parts.model, &parts.version),
            queue: Queue::new(parts.settings.limits),
            model: parts.model,
            version: parts.version,
            digest: parts.digest,
            session: parts.session,
            settings: parts.settings,
        }
    }

    /// The same loaded model under other settings; none when they are the same. What waits for this one is still
    /// answered by it.
    pub fn with_settings(&self, settings: ServableSettings) -> Option<Self> {
        (settings != self.settings).then(|| {
            Self::new(ServableParts {
                model: self.model.clone(),
                version: self.version.clone(),
                digest: self.digest,
                session: self.session.clone(),
                settings,
            })
        })
    }

    /// The model that it is a version of.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// Its label.
    pub fn version(&self) -> &VersionLabel {
        &self.version
    }

    /// What it is.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        self.session.signature()
    }

    /// Names for features and classes.
    pub fn naming(&self) -> &Naming {
        &self.settings.naming
    }

    /// Where its numbers go.
    pub fn meter(&self) -> &VersionMeter {
        &self.meter
    }

    /// How much may wait and run.
    pub fn limits(&self) -> &QueueLimits {
        self.queue.limits()
    }

    /// How many requests wait for it.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl fmt::Debug for Servable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servable")
            .field("model", &self.model)
            .field("version", &self.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
