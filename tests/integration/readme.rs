//! The commands of `README.md` do what it says.
//!
//! In a block that begins with ```` ```console ```` the lines with `$ ` are commands, and the lines up to the next
//! one are what they print. Blocks of `curl` commands are run; others (set-up, long-lived servers) are not.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::support::{Models, TestServer, assert_close, package};

/// A command with what it prints.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    output: String,
}

#[test]
fn the_commands_of_the_readme_print_what_it_says() {
    let text = fs::read_to_string(package().join("README.md")).unwrap();
    let blocks = blocks(&text);
    let steps: Vec<&Step> = blocks.iter().filter(|block| is_curl(block)).flatten().collect();
    assert!(steps.len() >= 4, "{} of the commands are run", steps.len());
    let server = TestServer::with_models(Models::of_the_repository()).start();
    for step in steps {
        assert_same(&run(&step.command, server.http()), step);
    }
}

/// JSON is the same when its keys, labels and texts are; the last digits of numbers depend on the machine.
fn assert_same(got: &str, step: &Step) {
    let (got_json, expected) = (serde_json::from_str(got), serde_json::from_str(&step.output));
    match (got_json, expected) {
        (Ok(got), Ok(expected)) => assert_close(&got, &expected),
        _ => assert_eq!(got, step.output, "$ {}", step.command),
    }
}

/// What a command prints, where `localhost:8000` is the test's server.
fn run(command: &str, server: SocketAddr) -> String {
    let command = command.replace("localhost:8000", &server.to_string());
    let output = Command::new("bash").args(["-c", &command]).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn is_curl(block: &[Step]) -> bool {
    block.iter().all(|step| step.command.starts_with("curl "))
}

fn blocks(text: &str) -> Vec<Vec<Step>> {
    let mut lines = text.lines();
    let mut blocks = Vec::new();
    while lines.any(|line| line == "```console") {
        blocks.push(steps(lines.by_ref().take_while(|line| *line != "```")));
    }
    blocks
}

/// A command whose line ends with a backslash, or inside quotes, goes on in the next one.
fn steps<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (_, Some(step)) if goes_on => step.command.push_str(&format!("\n{line}")),
            (Some(command), _) => {
                steps.push(Step { command: command.to_owned(), output: String::new() });
            }
            (None, Some(step)) => step.output.push_str(&format!("{line}\n")),
            (None, None) => panic!("`{line}` is nobody's output"),
        }
        goes_on = steps.last().is_some_and(|step| step.output.is_empty() && is_open(&step.command));
    }
    for step in &mut steps {
        step.output.truncate(step.output.trim_end().len());
    }
    steps
}

fn is_open(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}

#[test]
fn commands_are_told_from_what_they_print() {
    let text = "Text\n```sh\n$ not me\n```\n```console\n$ curl a \\\n    -d b\n{}\n\n$ curl c\n```\n\
                ```console\n$ curl -d '{\n  1}' d\n2\n3\n```\n";
    let step = |command: &str, output: &str| Step {
        command: command.to_owned(),
        output: output.to_owned(),
    };
    assert_eq!(
        blocks(text),
        [
            vec![step("curl a \\\n    -d b", "{}"), step("curl c", "")],
            vec![step("curl -d '{\n  1}' d", "2\n3")],
        ]
    );
}
