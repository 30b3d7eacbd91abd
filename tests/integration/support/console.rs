//! Operators' commands, as they are typed where the server's state folder is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::server::{Run, TestServer, greenroom};

/// A command that finds the server by its state folder.
pub(crate) fn command(server: &TestServer, line: &str) -> Command {
    let mut command = greenroom();
    command.args(line.split_whitespace()).arg("--state").arg(server.state());
    command
}

/// What a command says that exits with this code.
#[track_caller]
pub(crate) fn said(server: &TestServer, line: &str, code: i32) -> String {
    let run = Run::of(&mut command(server, line));
    assert_eq!(run.code, Some(code), "{line}: {run:?}");
    run.stdout + &run.stderr
}

#[track_caller]
pub(crate) fn assert_said(said: &str, parts: &[&str]) {
    let missing: Vec<&&str> = parts.iter().filter(|part| !said.contains(**part)).collect();
    assert!(missing.is_empty(), "{missing:?} not in:\n{said}");
}

/// A command that is listened to while it runs.
pub(crate) struct Talking {
    child: Child,
    words: BufReader<ChildStdout>,
}

impl Talking {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let words = BufReader::new(child.stdout.take().unwrap());
        Self { child, words }
    }

    /// Listens until something is said.
    #[track_caller]
    pub(crate) fn until(&mut self, part: &str) {
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(part) {
            let more = self.words.fill_buf().unwrap();
            let length = more.len();
            said.extend_from_slice(more);
            assert!(length > 0, "no `{part}` in:\n{}", String::from_utf8_lossy(&said));
            self.words.consume(length);
        }
    }

    /// Its exit code, and what it has said since on either stream.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut said = String::new();
        self.words.read_to_string(&mut said).unwrap();
        let ended = self.child.wait_with_output().unwrap();
        (ended.status.code(), said, String::from_utf8(ended.stderr).unwrap())
    }
}

/// A command whose streams are a terminal of its own. None where that cannot be had from `script` of util-linux.
pub(crate) fn on_a_terminal(command: &Command) -> Option<Command> {
    let version = Command::new("script").arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains("util-linux").then_some(())?;
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.display())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    script.env("TERM", "xterm").env_remove("GREENROOM_SERVER").env_remove("GREENROOM_STATE");
    Some(script)
}
