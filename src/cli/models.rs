//! `greenroom models`

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::client::{AskError, Client, ServerFlags};
use super::table::{ago, or_dash, say, short, with_header};
use super::wish::Wish;
use crate::domain::model::{ModelName, VersionLabel};

const EXIT_CODES: &str = "\
Exit code: 0; 1 when there is nothing to lift; or 4 when there is no answer (no server, no such model).";

/// The flags of `greenroom models`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, subcommand_precedence_over_arg = true)]
pub(super) struct Flags {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show the versions of this model (one that is called `retry` after `--`)
    model: Option<ModelName>,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try a version again that is quarantined or refused: what is held against it is forgotten
    #[command(after_help = EXIT_CODES)]
    Retry {
        /// Of which model
        model: ModelName,
        /// Which version
        version: VersionLabel,
        #[command(flatten)]
        wish: Wish,
    },
}

/// A model, as the server tells it.
#[derive(Debug, Deserialize)]
struct Model {
    name: String,
    stable: Option<String>,
    candidate: Option<String>,
    previous: Option<String>,
    rollout: Option<String>,
    versions: Vec<Version>,
    problem: Option<String>,
    /// Servers of an earlier version do not tell.
    #[serde(default)]
    not_taken: Vec<NotTaken>,
}

/// A file that should be a version.
#[derive(Debug, Deserialize)]
struct NotTaken {
    file: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    digest: String,
    state: String,
    role: Option<String>,
    since: String,
    reason: Option<String>,
    file: String,
    file_present: bool,
    bytes: Option<u64>,
    load_ms: Option<u64>,
}

/// Asks and shows.
pub(super) fn run(flags: &Flags) -> ExitCode {
    if let (Some(Command::Retry { .. }), Some(_)) = (&flags.command, &flags.model) {
        eprintln!("error: the model's name stands after `retry`");
        return ExitCode::from(2);
    }
    match show(flags) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => error.report(),
    }
}

fn show(flags: &Flags) -> Result<String, AskError> {
    let client = Client::find(&flags.server)?;
    if let Some(Command::Retry { model, version, wish }) = &flags.command {
        let path = format!("/admin/v1/models/{model}/versions/{version}/retry");
        let told = client.post(&path, &wish.body(Vec::new()), wish.if_match)?;
        return Ok(if flags.json { as_it_is(&told) } else { lifted(model, version, &told) });
    }
    let path = match &flags.model {
        Some(model) => format!("/admin/v1/models/{model}"),
        None => "/admin/v1/models".to_owned(),
    };
    let told = client.get(&path)?;
    if flags.json {
        return Ok(as_it_is(&told));
    }
    let shown = match &flags.model {
        Some(_) => Model::deserialize(&told).map(|model| versions_table(&model, SystemTime::now())),
        None => Vec::deserialize(&told["models"]).map(|models| models_table(&models)),
    };
    Ok(shown.unwrap_or_else(|_| as_it_is(&told)))
}

/// What came of a retry.
fn lifted(model: &ModelName, version: &VersionLabel, told: &Value) -> String {
    match told["rollout"].as_str() {
        Some(rollout) => {
            let follow = format!("`greenroom rollout watch {model}` follows it");
            format!("version {version} of `{model}` is tried again in rollout {rollout}; {follow}")
        }
        None => format!(
            "nothing is held against version {version} of `{model}` any more; a rollout of it begins with \
             `greenroom rollout start {model} --version {version}`"
        ),
    }
}

/// What the server tells, as it tells it: what was asked for, or what this version has no table for.
fn as_it_is(told: &Value) -> String {
    format!("{told:#}")
}

fn models_table(models: &[Model]) -> String {
    if models.is_empty() {
        return "there are no models".to_owned();
    }
    let row = |model: &Model| {
        [
            model.name.clone(),
            or_dash(model.stable.as_deref()),
            or_dash(model.candidate.as_deref()),
            or_dash(model.previous.as_deref()),
            or_dash(model.rollout.as_deref()),
            model.problem.as_deref().map_or_else(|| states(model), short),
        ]
    };
    let header = ["MODEL", "STABLE", "CANDIDATE", "PREVIOUS", "ROLLOUT", "VERSIONS"];
    with_header(header, models.iter().map(row))
}

/// `2 ready, 1 quarantined`: states in the order in which they first come.
fn states(model: &Model) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for version in &model.versions {
        match states.iter_mut().find(|(state, _)| *state == version.state) {
            Some((_, count)) => *count += 1,
            None => states.push((&version.state, 1)),
        }
    }
    if !model.not_taken.is_empty() {
        states.push(("not taken", model.not_taken.len()));
    }
    let words: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn versions_table(model: &Model, now: SystemTime) -> String {
    let row = |version: &Version| {
        let file = match version.file_present {
            true => version.file.clone(),
            false if version.file.is_empty() => "-".to_owned(),
            false => format!("{} (gone)", version.file),
        };
        [
            version.version.clone(),
            version.state.clone(),
            or_dash(version.role.as_deref()),
            ago(&version.since, now),
            version.load_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
            version
                .bytes
                .map_or_else(|| "-".to_owned(), |bytes| bytesize::ByteSize(bytes).to_string()),
            file,
            version.digest.trim_start_matches("sha256:").chars().take(12).collect(),
            version.reason.as_deref().map_or_else(String::new, short),
        ]
    };
    let header =
        ["VERSION", "STATE", "ROLE", "SINCE", "LOADED IN", "SIZE", "FILE", "DIGEST", "REASON"];
    let problem = model.problem.iter().map(|problem| format!("{}: {problem}", model.name));
    let not_taken = model
        .not_taken
        .iter()
        .map(|NotTaken { file, reason }| format!("`{file}` cannot be taken: {reason}"));
    let table = with_header(header, model.versions.iter().map(row));
    problem.chain(not_taken).chain([table]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    fn version(label: &str, state: &str, role: Option<&str>) -> Value {
        json!({
            "version": label, "digest": format!("sha256:{}", "3f2a9c01".repeat(8)), "state": state,
            "role": role, "since": "2026-11-23T09:58:00Z", "reason": null,
            "file": format!("iris/{label}.onnx"), "file_present": true, "bytes": 5120,
            "memory_bytes": null, "load_ms": 12, "signature": null,
        })
    }

    fn iris() -> Value {
        let mut broken = version("3", "quarantined", None);
        broken["reason"] = json!("the file ends in the middle\nof a tensor");
        broken["load_ms"] = Value::Null;
        broken["file_present"] = json!(false);
        json!({
            "name": "iris", "stable": "2", "candidate": null, "previous": "1", "rollout": "r-000002",
            "versions": [version("1", "ready", Some("previous")), version("2", "ready", Some("stable")), broken],
            "problem": null,
            "not_taken": [{ "file": "iris/4/model.onnx", "reason": "it is a folder" }],
        })
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn a_retry_is_told_from_a_model_and_the_server_may_be_named_before_and_after() {
        let read = |line: &[&str]| Line::try_parse_from([&["models"], line].concat());
        for line in
            [["retry", "iris", "3", "--state", "here"], ["--state", "here", "retry", "iris", "3"]]
        {
            let Flags { command, model, .. } = read(&line).unwrap().flags;
            assert!(matches!((command, model), (Some(Command::Retry { .. }), None)), "{line:?}");
        }
        let Flags { command, model, .. } = read(&["--", "retry"]).unwrap().flags;
        assert_eq!((command.is_none(), model.unwrap().as_str()), (true, "retry"));
        assert!(read(&["retry", "iris", "latest"]).is_err());
    }

    #[test]
    fn what_came_of_a_retry_is_a_sentence() {
        let said = |told| lifted(&"iris".parse().unwrap(), &"3".parse().unwrap(), &told);
        assert_eq!(
            said(json!({ "rollout": "r-000004" })),
            "version 3 of `iris` is tried again in rollout r-000004; `greenroom rollout watch iris` follows it"
        );
        assert_eq!(
            said(json!({ "rollout": null })),
            "nothing is held against version 3 of `iris` any more; a rollout of it begins with \
             `greenroom rollout start iris --version 3`"
        );
    }

    #[test]
    fn models_are_shown_one_a_line() {
        let mut wine = iris();
        wine["name"] = json!("wine");
        wine["versions"] = json!([]);
        wine["problem"] = json!("`wine.onnx` stands beside `wine/`: keep one of them");
        let models: Vec<Model> = Vec::deserialize(json!([iris(), wine])).unwrap();
        insta::assert_snapshot!(models_table(&models), @r"
        MODEL  STABLE  CANDIDATE  PREVIOUS  ROLLOUT   VERSIONS
        iris   2       -          1         r-000002  2 ready, 1 quarantined, 1 not taken
        wine   2       -          1         r-000002  `wine.onnx` stands beside `wine/`: keep one of them
        ");
        assert_eq!(models_table(&[]), "there are no models");
    }

    #[test]
    fn versions_are_shown_with_what_is_wrong_with_them() {
        let now = humantime::parse_rfc3339("2026-11-23T10:00:00Z").unwrap();
        let iris = Model::deserialize(iris()).unwrap();
        insta::assert_snapshot!(versions_table(&iris, now), @r"
        `iris/4/model.onnx` cannot be taken: it is a folder
        VERSION  STATE        ROLE      SINCE      LOADED IN  SIZE     FILE                DIGEST        REASON
        1        ready        previous  2 min ago  12 ms      5.0 KiB  iris/1.onnx         3f2a9c013f2a
        2        ready        stable    2 min ago  12 ms      5.0 KiB  iris/2.onnx         3f2a9c013f2a
        3        quarantined  -         2 min ago  -          5.0 KiB  iris/3.onnx (gone)  3f2a9c013f2a  the file ends in the middle of a tensor
        ");
    }
}
