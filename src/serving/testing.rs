//! Versions of small models, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Naming, QueueLimits, Servable, ServableParts, ServableSettings};
use crate::domain::batching::Batching;
use crate::domain::model::Digest;
use crate::onnx::{StopFlag, testing};

/// A version of the model `adder`, which adds a number to two.
pub(crate) fn servable(version: &str) -> Arc<Servable> {
    servable_of("adder", version, limits())
}

/// A version of a model in `tests/models/`.
pub(crate) fn servable_of(model: &str, version: &str, limits: QueueLimits) -> Arc<Servable> {
    let session = testing::session(&format!("tests/models/{model}.onnx"));
    let probed = session.probe_rows(&StopFlag::new().unwrap());
    Arc::new(Servable::new(ServableParts {
        model: model.parse().unwrap(),
        version: version.parse().unwrap(),
        digest: Digest::from_bytes([0; 32]),
        session: Arc::new(session),
        probed,
        settings: ServableSettings {
            naming: Naming::default(),
            limits,
            batching: Batching::Auto,
            max_batch_rows: 64,
            max_request_rows: None,
        },
    }))
}

/// Room for everything.
pub(crate) fn limits() -> QueueLimits {
    QueueLimits { deadline: Duration::from_secs(60), ..QueueLimits::default() }
}
