//! Whether the server lives, and whether it wants traffic.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Api;

/// Whether the server wants traffic: not before its models are loaded, and not when it is about to end.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const ENDING: u8 = 2;

impl Readiness {
    /// The first load is complete. Says nothing to a server that is ending already.
    pub fn loaded(&self) {
        let _ = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The server ends.
    pub fn ending(&self) {
        self.0.store(ENDING, Ordering::Release);
    }

    /// Whether it wants traffic.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    /// Whether the models are still being loaded for the first time.
    pub fn is_starting(&self) -> bool {
        self.0.load(Ordering::Acquire) == STARTING
    }
}

/// `GET /v2/health/live`
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// `GET /v2/health/ready`. The protocol's text says `live`, its definition says `ready`: clients get both.
pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let ready = api.readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "live": true })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_does_not_become_ready_again() {
        let readiness = Readiness::default();
        assert!(readiness.is_starting() && !readiness.is_ready());
        readiness.loaded();
        assert!(readiness.is_ready());
        readiness.ending();
        readiness.loaded();
        assert!(!readiness.is_ready());
    }
}
