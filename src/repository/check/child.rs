//! Starts the child, listens to it, and sees how it ends.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, absolute};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::told::{Facts, Order, Stage, Told};
use crate::domain::wording::printable;
use crate::onnx::Rejection;
use crate::system::rehearsal;

/// The subcommand that is the child.
pub(crate) const INSIDE: &str = "check-inside";

/// How a child ended, and what it had told by then.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What it did last.
    pub(crate) stage: Stage,
    /// What it found.
    pub(crate) found: Option<Found>,
    /// What the model takes and gives, as the admin API shows it.
    pub(crate) signature: Option<serde_json::Value>,
    /// The library's own words on why it is no good.
    pub(crate) words: Option<String>,
    /// Why it fails on zeros.
    pub(crate) fails_on_zeros: Option<String>,
    /// The last lines of its log.
    pub(crate) log: Vec<String>,
    /// What ended it.
    pub(crate) how: How,
}

/// What a child found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The model is good.
    Good(Facts),
    /// It is not.
    Bad(Rejection),
}

/// What ended a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It did, with this exit code.
    Exited(i32),
    /// A signal, by its number.
    Killed(i32),
    /// We did, since it took too long.
    TookTooLong,
}

/// Runs the child to its end.
///
/// # Errors
/// When there is no child: what the system says.
pub(crate) fn run(program: &Path, order: &Order, timeout: Duration) -> io::Result<Ended> {
    let until = Instant::now() + timeout;
    let mut child = Guarded(start(program, order)?);
    let stdout = child.0.stdout.take().map(|pipe| lines_of(pipe, "check-out")).transpose()?;
    let stderr = child.0.stderr.take().map(last_lines_of).transpose()?;
    let mut ended = Ended {
        stage: Stage::Starting,
        found: None,
        signature: None,
        words: None,
        fails_on_zeros: None,
        log: Vec::new(),
        how: How::TookTooLong,
    };
    let is_over = stdout.is_none_or(|lines| listen(&lines, until, &mut ended));
    // Nothing more comes: it is about to end, or has closed its output and does not.
    let status = if is_over { wait(&mut child.0, until)? } else { None };
    ended.how = status.map_or(How::TookTooLong, |status| match status.signal() {
        Some(signal) => How::Killed(signal),
        None => How::Exited(status.code().unwrap_or_default()),
    });
    drop(child); // what still writes to the log ends with it
    // At once, unless somebody else holds the pipe; the log is not worth waiting for.
    let log = stderr.map(|log| log.recv_timeout(Duration::from_secs(1)));
    ended.log = log.and_then(Result::ok).unwrap_or_default();
    Ok(ended)
}

/// Ended, however this function is left.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, order: &Order) -> io::Result<Child> {
    // It does not stand where we stand.
    let (model, library) = (absolute(&order.model)?, absolute(&order.library)?);
    let text = serde_json::to_string(&Order { model, library, ..order.clone() })?;
    let mut command = Command::new(program);
    command.arg(INSIDE).arg(text);
    // It needs nothing of ours, and a model must not find anything there.
    command.env_clear().current_dir("/");
    for name in [rehearsal::CHECK_DIES, "LD_LIBRARY_PATH", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Longer lines are cut: whatever the child writes, it takes little here.
const LONGEST_LINE: u64 = 1 << 20;

/// Reads the child's lines on a thread of its own, which ends with the pipe.
fn lines_of(pipe: impl Read + Send + 'static, name: &str) -> io::Result<Receiver<String>> {
    let (tell, told) = sync_channel(16);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        each_line(pipe, |line| {
            // When nobody listens any more it is read all the same, so that the child does not wait for us.
            let _ = tell.send(line);
        });
    })?;
    Ok(told)
}

/// The last lines of the child's log, once it is over.
fn last_lines_of(pipe: impl Read + Send + 'static) -> io::Result<Receiver<Vec<String>>> {
    const MOST_LINES: usize = 20;
    let (tell, told) = sync_channel(1);
    thread::Builder::new().name("check-log".to_owned()).spawn(move || {
        let mut last = VecDeque::new();
        each_line(pipe, |line| {
            if last.len() == MOST_LINES {
                last.pop_front();
            }
            last.push_back(printable(&line, MOST_WORDS));
        });
        let _ = tell.send(last.into());
    })?;
    Ok(told)
}

fn each_line(pipe: impl Read, mut read: impl FnMut(String)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(length) = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)
        && length > 0
    {
        read(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// Takes note of what the child says. True when it has said all it will.
fn listen(lines: &Receiver<String>, until: Instant, ended: &mut Ended) -> bool {
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => note(&line, ended),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

fn note(line: &str, ended: &mut Ended) {
    // Anything else was not written by us: a library may print what it likes.
    let Ok(told) = serde_json::from_str::<Told>(line) else { return };
    match told {
        Told::Stage(stage) => ended.stage = stage,
        Told::Signature(signature) => ended.signature = Some(signature),
        Told::FailsOnZeros(words) => ended.fails_on_zeros = Some(printable(&words, MOST_WORDS)),
        Told::Passed(facts) => ended.found = Some(Found::Good(facts)),
        Told::Rejected { reason, words } => {
            ended.found = Some(Found::Bad(reason));
            ended.words = Some(printable(&words, MOST_WORDS));
        }
    }
}

const MOST_WORDS: usize = 2000;

fn wait(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    const LOOK_EVERY: Duration = Duration::from_millis(5);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}
