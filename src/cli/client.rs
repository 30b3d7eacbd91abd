//! Asks a running server, for the commands that need one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::events::Events;

/// Which server is asked.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ServerFlags {
    /// The server's admin address [default: the one that DIR/server.json names]
    #[arg(
        long,
        value_name = "URL",
        env = "GREENROOM_SERVER",
        global = true,
        hide_env_values = true
    )]
    server: Option<String>,
    /// The state folder of a server on this machine [default: .greenroom]
    #[arg(
        long,
        value_name = "DIR",
        env = "GREENROOM_STATE",
        global = true,
        hide_env_values = true
    )]
    state: Option<PathBuf>,
    /// The file with the server's admin token, where it wants one
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

impl ServerFlags {
    /// The state folder that was named.
    pub(super) fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// The same with another state folder.
    pub(super) fn with_state(&self, state: &Path) -> Self {
        Self { state: Some(state.to_path_buf()), ..self.clone() }
    }
}

/// Why there is no answer. Each is one sentence for the person who asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody has said where the server is.
    #[error(
        "there is no `{}`, so no server runs here: start one with `greenroom serve`, or name one with \
         --server or its folder with --state",
        file.display()
    )]
    NoServer {
        /// The file that a running server writes.
        file: PathBuf,
    },
    /// A file is not what it should be.
    #[error("`{}` cannot be used: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// The server ended without removing its file.
    #[error(
        "the server that `{}` names (process {pid}) is gone: start one with `greenroom serve`",
        file.display()
    )]
    Gone {
        /// The file that the server wrote.
        file: PathBuf,
        /// The server's process.
        pid: u32,
    },
    /// Nobody answers.
    #[error("no server answers at {url}: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system says.
        cause: String,
    },
    /// Something else answers.
    #[error("what answers at {url} is not greenroom's admin address (status {status})")]
    Foreign {
        /// Where.
        url: String,
        /// How it answered.
        status: u16,
    },
    /// The server does not let just anybody ask.
    #[error(
        "the server at {0} wants its admin token: name the file that it is in with --token-file"
    )]
    Token(String),
    /// The server says no.
    #[error("{sentence}")]
    Refused {
        /// Why, for programs.
        code: String,
        /// Why, for people.
        sentence: String,
    },
    /// The server stopped talking in the middle.
    #[error("the server at {0} ended before there was an outcome")]
    Ended(String),
    /// It took longer than the caller wanted to wait.
    #[error("there was no outcome within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
}

/// What was asked for did not happen, and nothing else did.
const REFUSED: u8 = 1;
/// There is no answer.
const NO_ANSWER: u8 = 4;
/// As `timeout` of coreutils has it.
const TIMED_OUT: u8 = 124;

impl AskError {
    /// Says it, and gives the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let _ = writeln!(std::io::stderr(), "error: {self}");
        ExitCode::from(self.code())
    }

    pub(super) fn code(&self) -> u8 {
        /// What the server says to a request that it understood and does not follow.
        const NOT_FOLLOWED: [&str; 6] = [
            "verb_does_not_fit",
            "needs_fresh",
            "no_such_version",
            "stale",
            "field_does_not_fit",
            "invalid_body",
        ];
        match self {
            Self::Refused { code, .. } if NOT_FOLLOWED.contains(&code.as_str()) => REFUSED,
            Self::TimedOut(_) => TIMED_OUT,
            Self::Refused { .. }
            | Self::NoServer { .. }
            | Self::File { .. }
            | Self::Gone { .. }
            | Self::Unreachable { .. }
            | Self::Foreign { .. }
            | Self::Token(_)
            | Self::Ended(_) => NO_ANSWER,
        }
    }
}

/// A server that can be asked.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
    /// The file that named the server, and the process that wrote it.
    named_by: Option<(PathBuf, u32)>,
}

/// What a running server writes into its state folder.
#[derive(Debug, Deserialize)]
struct ServerFile {
    pid: u32,
    admin: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A stream says something every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

impl Client {
    /// Finds out where the server is. It is not asked yet.
    pub(super) fn find(flags: &ServerFlags) -> Result<Self, AskError> {
        let (url, named_by) = match &flags.server {
            Some(url) => (with_scheme(url)?, None),
            None => {
                let state = flags.state.as_deref().unwrap_or(Path::new(".greenroom"));
                let file = state.join("server.json");
                let ServerFile { pid, admin } = read_server_file(&file)?;
                (admin, Some((file, pid)))
            }
        };
        let token = flags.token_file.as_deref().map(read_token).transpose()?;
        let agent = Agent::config_builder()
            // What a server says beside a status is worth reading.
            .http_status_as_error(false)
            // A proxy for the web is not the way to a server of one's own.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .into();
        Ok(Self { agent, url, token, named_by })
    }

    /// Asks for a path of the admin routes.
    pub(super) fn get(&self, path: &str) -> Result<Value, AskError> {
        let mut request = self.agent.get(self.at(path));
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.read(request.call())
    }

    /// Asks for something to be done; where `if_match` is given, only if the last change there has this number.
    pub(super) fn post(
        &self,
        path: &str,
        body: &Value,
        if_match: Option<u64>,
    ) -> Result<Value, AskError> {
        let mut request = self.agent.post(self.at(path)).content_type("application/json");
        if let Some(seq) = if_match {
            request = request.header("if-match", format!("\"{seq}\""));
        }
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(ANSWER_TIMEOUT)).build();
        self.read(request.send(body.to_string()))
    }

    /// Listens to a stream of events, for so long at most.
    pub(super) fn events(&self, path: &str, timeout: Option<Duration>) -> Result<Events, AskError> {
        let mut request = self.agent.get(self.at(path)).header("accept", "text/event-stream");
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        let limits = request.config().timeout_per_read(Some(SILENCE)).timeout_global(timeout);
        let response = match limits.build().call() {
            Ok(response) if response.status().is_success() => response,
            Err(error) if is_timeout(&error) && timeout.is_some() => {
                return Err(AskError::TimedOut(timeout.unwrap_or_default()));
            }
            other => {
                self.read(other)?;
                return Err(AskError::Ended(self.url.clone()));
            }
        };
        Ok(Events::new(response.into_body(), self.url.clone(), timeout))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, AskError> {
        let mut response = answer.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let foreign = || AskError::Foreign { url: self.url.clone(), status: status.as_u16() };
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.map_err(|error| self.unreachable(&error))?;
        let value: Value = serde_json::from_slice(&body).map_err(|_| foreign())?;
        if status.is_success() {
            return Ok(value);
        }
        match (value["error"].as_str(), value["code"].as_str()) {
            (_, Some("no_such_route")) | (None, _) => Err(foreign()),
            (_, Some("unauthorized")) => Err(AskError::Token(self.url.clone())),
            (Some(sentence), code) => Err(AskError::Refused {
                code: code.unwrap_or_default().to_owned(),
                sentence: sentence.to_owned(),
            }),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> AskError {
        match &self.named_by {
            Some((file, pid)) if is_gone(*pid) => AskError::Gone { file: file.clone(), pid: *pid },
            Some(_) | None => AskError::Unreachable { url: self.url.clone(), cause: cause(error) },
        }
    }
}

/// Whether the time that the caller gave is over.
pub(super) fn is_timeout(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Timeout(ureq::Timeout::Global))
}

/// What the system says, without the library's words around it.
fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn with_scheme(url: &str) -> Result<String, AskError> {
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        None => Ok(format!("http://{url}")),
        Some(("http", _)) => Ok(url.to_owned()),
        Some(_) => {
            let cause = "only http:// addresses can be asked".to_owned();
            Err(AskError::Unreachable { url: url.to_owned(), cause })
        }
    }
}

fn read_server_file(file: &Path) -> Result<ServerFile, AskError> {
    let text = std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => AskError::NoServer { file: file.to_path_buf() },
        _ => unusable(file, &error),
    })?;
    serde_json::from_slice(&text).map_err(|error| unusable(file, &error))
}

fn read_token(file: &Path) -> Result<String, AskError> {
    let text = std::fs::read_to_string(file).map_err(|error| unusable(file, &error))?;
    Ok(text.trim().to_owned())
}

fn unusable(file: &Path, cause: &dyn std::fmt::Display) -> AskError {
    AskError::File { file: file.to_path_buf(), cause: cause.to_string() }
}

/// Whether a process is certainly not there any more. Where the system does not tell, it may be.
fn is_gone(pid: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(state: &Path) -> ServerFlags {
        ServerFlags { state: Some(state.to_path_buf()), ..ServerFlags::default() }
    }

    /// What the person reads who asks for a state folder with this `server.json`.
    #[track_caller]
    fn assert_no_answer(server_file: Option<&str>, sentence: &str) {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("server.json");
        if let Some(text) = server_file {
            std::fs::write(&file, text).unwrap();
        }
        let found = Client::find(&flags(state.path()));
        let error = found.and_then(|client| client.get("/admin/v1/models")).unwrap_err();
        let shown = error.to_string().replace(&file.display().to_string(), "FILE");
        assert_eq!((shown.as_str(), error.code()), (sentence, 4));
    }

    #[test]
    fn without_a_server_one_is_told_how_to_get_one() {
        assert_no_answer(
            None,
            "there is no `FILE`, so no server runs here: start one with `greenroom serve`, or name one \
             with --server or its folder with --state",
        );
        assert_no_answer(
            Some("{}"),
            "`FILE` cannot be used: missing field `pid` at line 1 column 2",
        );
    }

    #[test]
    fn a_server_that_did_not_end_cleanly_is_gone() {
        // Process numbers end far below this one.
        assert_no_answer(
            Some(r#"{ "pid": 4294967295, "admin": "http://127.0.0.1:1" }"#),
            "the server that `FILE` names (process 4294967295) is gone: start one with `greenroom serve`",
        );
        let own = format!(r#"{{ "pid": {}, "admin": "http://127.0.0.1:1" }}"#, std::process::id());
        assert_no_answer(
            Some(&own),
            "no server answers at http://127.0.0.1:1: Connection refused (os error 111)",
        );
    }

    #[test]
    fn an_address_may_be_given_without_its_scheme() {
        assert_eq!(with_scheme("127.0.0.1:8000").unwrap(), "http://127.0.0.1:8000");
        assert_eq!(with_scheme("http://gpu-1:8002/").unwrap(), "http://gpu-1:8002");
        let error = with_scheme("https://gpu-1").unwrap_err().to_string();
        assert_eq!(
            error,
            "no server answers at https://gpu-1: only http:// addresses can be asked"
        );
    }

    #[test]
    fn a_refusal_is_told_from_a_server_that_cannot_answer() {
        let refused = |code: &str| AskError::Refused { code: code.into(), sentence: "no".into() };
        assert_eq!(refused("verb_does_not_fit").code(), 1);
        assert_eq!((refused("no_such_model").code(), refused("not_recorded").code()), (4, 4));
        assert_eq!(AskError::TimedOut(Duration::from_secs(60)).code(), 124);
    }
}
