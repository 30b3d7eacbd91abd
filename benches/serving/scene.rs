//! What is measured.

use crate::wire;

/// One comparison of our server with the floor.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Of the repository's `models/`.
    pub(crate) model: &'static str,
    /// What is sent, byte for byte, head and body.
    pub(crate) request: Vec<u8>,
    /// Each waits for its answer before it sends the next request.
    pub(crate) connections: usize,
}

/// All scenes, the most telling one first.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        v1_json("small model, v1 JSON, 64 connections", "diabetes", DIABETES, 64),
        v1_json("64 pixels, v1 JSON, 64 connections", "digits", DIGITS, 64),
    ]
}

/// Ten features of one patient, in the units in which they are measured.
const DIABETES: &str = r#"{"instances":[[62,1,32.5,88.0,172,69.2,38,4,5.7838,100]]}"#;

/// A three, 8 × 8.
const DIGITS: &str = concat!(
    r#"{"instances":[["#,
    "0,0,7,15,13,1,0,0,0,8,13,6,15,4,0,0,0,2,1,13,13,0,0,0,0,0,2,15,11,1,0,0,",
    "0,0,0,1,12,12,1,0,0,0,0,0,1,10,8,0,0,0,8,4,5,14,9,0,0,0,7,13,13,9,0,0",
    "]]}"
);

fn v1_json(
    name: &'static str,
    model: &'static str,
    body: &'static str,
    connections: usize,
) -> Scene {
    let request = wire::post(&path(model), "application/json", body.as_bytes());
    Scene { name, model, request, connections }
}

/// Where the v1 protocol has a model.
pub(crate) fn path(model: &str) -> String {
    format!("/v1/models/{model}:predict")
}
