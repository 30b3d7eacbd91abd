//! What operators may say beside what they want: who they are, why, and in which state.

use clap::Args;
use serde_json::{Value, json};

/// Who wants something done, and why, which the history keeps; and in which state.
#[derive(Debug, Args)]
pub(super) struct Wish {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who, for the history
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    actor: Option<String>,
    /// Only if nothing has changed since the change of this number, the `seq` of `rollout status --json`
    #[arg(long, value_name = "SEQ")]
    pub(super) if_match: Option<u64>,
}

impl Wish {
    /// The body of a request: only what was said.
    pub(super) fn body(&self, extra: Vec<(&str, Value)>) -> Value {
        let said = [("reason", json!(self.reason)), ("actor", json!(self.actor))];
        said.into_iter().chain(extra).filter(|(_, value)| !value.is_null()).collect()
    }
}
