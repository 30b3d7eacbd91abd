//! `greenroom rollout watch`

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::progress::Progress;
use super::show::{Rollout, change_line};
use super::{Standing, path};
use crate::cli::client::{AskError, Client};
use crate::cli::table::say;
use crate::domain::model::ModelName;

/// Follows the present rollout until it ends, a line for each change. Gives the exit code.
pub(super) fn follow(
    client: &Client,
    model: &ModelName,
    timeout: Option<Duration>,
    json: bool,
) -> Result<u8, AskError> {
    let mut events = client.events(&format!("{}?watch=1", path(model)), timeout)?;
    let mut told = events.next("rollout")?;
    let id = told["id"].clone();
    let is_over = Standing::of(&told).is_final();
    let progress = if json || is_over { None } else { Progress::of(client, model, &told) };
    loop {
        match &progress {
            Some(progress) => progress.above(|| show(&told, json)),
            None => show(&told, json),
        }
        let standing = Standing::of(&told);
        if standing.is_final() {
            return Ok(standing.code());
        }
        told = events.next("rollout")?;
        if told["id"] != id {
            // Its end was missed: it came while more happened than the server keeps for slow listeners.
            told = client.get(&format!("{}s/{}", path(model), id.as_str().unwrap_or_default()))?;
        }
    }
}

fn show(told: &Value, json: bool) {
    match Rollout::deserialize(told) {
        Ok(rollout) if !json => say(&change_line(&rollout)),
        Ok(_) | Err(_) => say(&told.to_string()),
    }
}
