//! `greenroom simulate`: what it prints, and whole rollouts told as text.
//!
//! Each file of `tests/transcripts/` has a model's settings, a command, and what it prints. Where
//! `GREENROOM_TEST_REWRITE` is set, what is printed now is written into the file instead of being compared.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Run, greenroom, package};

const CANARY: &str = "[rollout]\nstrategy = \"canary\"\nshadow = { min_pairs = 0 }\n";

/// Runs `greenroom simulate` with these settings in `model.toml`.
fn simulate(settings: &str, line: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.toml"), settings).unwrap();
    let mut command = greenroom();
    Run::of(command.arg("simulate").args(line.split_whitespace()).current_dir(folder.path()))
}

fn said(settings: &str, line: &str) -> String {
    let run = simulate(settings, line);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout
}

#[test]
fn the_transcripts_tell_what_happens() {
    let paths = transcripts();
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let (settings, rest) = text.split_once("$ greenroom simulate ").unwrap();
        let (line, told) = rest.split_once('\n').unwrap();
        let now = said(settings, line);
        if std::env::var_os("GREENROOM_TEST_REWRITE").is_some() {
            fs::write(&path, format!("{settings}$ greenroom simulate {line}\n{now}")).unwrap();
        } else {
            assert_eq!(told, now, "{}", path.display());
        }
    }
}

fn transcripts() -> Vec<PathBuf> {
    let folder: PathBuf = package().join("tests/transcripts");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path: &PathBuf| Path::extension(path).is_some_and(|ending| ending == "txt"));
    paths.sort();
    paths
}

#[test]
fn the_same_seed_prints_the_same_and_any_seed_is_told() {
    let line = "model.toml --rps 50 --errors 0.5%:5% --runs 20 --json";
    let told = |line: &str| -> Value { serde_json::from_str(&said(CANARY, line)).unwrap() };
    let first = told(line);
    let again = told(&format!("{line} --seed {}", first["seed"]));
    assert_eq!(first, again);
    let ours = &first["rules"][0];
    assert_eq!((&ours["rule"], &ours["runs"]), (&"greenroom".into(), &20.into()));
    assert_eq!(ours["rolled-back"]["count"], 20);
    assert_eq!(first["candidate"], "worse");
}

#[test]
fn rules_stand_beside_each_other_in_a_table() {
    let line = "model.toml --rps 50 --runs 5 --seed 3 --compare flagger-tuned,kayenta";
    let said = said(CANARY, line);
    let table: Vec<&str> = said.lines().skip_while(|line| !line.contains("kayenta")).collect();
    assert_eq!(
        table[0].split_whitespace().collect::<Vec<_>>(),
        ["greenroom", "flagger-tuned", "kayenta"]
    );
    for name in ["false rollbacks", "promoted", "undecided", "promoted after", "bad answers"] {
        assert!(table.iter().any(|line| line.starts_with(name)), "{name} is not in\n{said}");
    }
    assert!(said.starts_with("5 rollouts, each watched for 2h, seed 3\n"), "{said}");
}

#[test]
fn a_plan_is_held_to_what_a_server_takes() {
    let refused = |settings: &str, line: &str| {
        let run = simulate(settings, line);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        run.stderr
    };
    assert_eq!(
        refused("[rollout]\nsteps = [5, 5]\n", "model.toml --rps 1"),
        "error: model.toml:2: `rollout.steps` must grow, but 5 comes after 5\n"
    );
    assert!(refused(CANARY, "other.toml --rps 1").contains("cannot read the plan `other.toml`"));
    assert!(refused(CANARY, "model.toml").contains("--rps"));
    let sticky = format!("{CANARY}key = {{ header = \"x-user\" }}\n");
    let run = simulate(&sticky, "model.toml --rps 50 --runs 2 --errors 0:50%");
    assert!(run.code == Some(0) && run.stderr.contains("`--sticky`"), "{run:?}");
}
