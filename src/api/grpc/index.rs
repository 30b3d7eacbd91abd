//! Every version of every model, and how it stands, in Triton's four words for it.

use tonic::Status;

use super::generated::repository_index_response::ModelIndex;
use super::generated::{RepositoryIndexRequest, RepositoryIndexResponse};
use crate::domain::lifecycle::VersionState;
use crate::repository::{Registry, VersionView};

pub(super) fn index(
    registry: &Registry,
    request: &RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Status> {
    if !request.repository_name.is_empty() {
        let sentence = "there is one repository, which has no name";
        return Err(Status::unimplemented(sentence));
    }
    let mut models = Vec::new();
    for model in registry.models() {
        let versions = model
            .versions
            .iter()
            .filter(|version| !request.ready || matches!(version.state, VersionState::Ready));
        models.extend(versions.map(|version| line(model.name.as_str(), version)));
    }
    Ok(RepositoryIndexResponse { models })
}

/// Reasons beyond the state are for operators, and stay with them.
fn line(model: &str, known: &VersionView) -> ModelIndex {
    let state = match known.state {
        VersionState::Ready => "READY",
        VersionState::Checking | VersionState::Loading | VersionState::WarmingUp => "LOADING",
        VersionState::Draining => "UNLOADING",
        VersionState::Found
        | VersionState::Unloaded
        | VersionState::Quarantined(_)
        | VersionState::Refused(_) => "UNAVAILABLE",
    };
    let reason = match state {
        "READY" => String::new(),
        _ => known.state.to_string(),
    };
    ModelIndex {
        name: model.to_owned(),
        version: known.version.as_str().to_owned(),
        state: state.to_owned(),
        reason,
    }
}
