//! Versions of small models, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Naming, QueueLimits, Servable, ServableParts, ServableSettings};
use crate::domain::model::Digest;
use crate::onnx::testing;

/// A version of the model `adder`, which adds a number to two.
pub(super) fn servable(version: &str) -> Arc<Servable> {
    servable_of("adder", version, limits())
}

/// A version of a model in `tests/models/`.
pub(super) fn servable_of(model: &str, version: &str, limits: QueueLimits) -> Arc<Servable> {
    Arc::new(Servable::new(ServableParts {
        model: model.parse().unwrap(),
        version: version.parse().unwrap(),
        digest: Digest::from_bytes([0; 32]),
        session: Arc::new(testing::session(&format!("tests/models/{model}.onnx"))),
        settings: ServableSettings { naming: Naming::default(), limits },
    }))
}

/// Room for everything.
pub(super) fn limits() -> QueueLimits {
    QueueLimits { max_queue: 1024, max_concurrency: 0, deadline: Duration::from_secs(60) }
}
