//! What is laid over the settings file: environment variables, and flags over those.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::Origin;
use super::source::{Entry, Value};

/// Settings by their dotted key, each with where it came from.
pub(super) type Overlay = BTreeMap<String, Entry>;

/// What the flags of the command line gave; `None` and `false` where a flag was not used.
///
/// Texts are as they were typed: they are understood together with the other sources, so that a wrong
/// one gets the same message wherever it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`: the settings file, which must be there.
    pub config: Option<PathBuf>,
    /// `--models`: the folder of the models.
    pub models: Option<PathBuf>,
    /// `--state`: the folder of the state.
    pub state: Option<PathBuf>,
    /// `--http`: address and port of the HTTP listener.
    pub http: Option<String>,
    /// `--grpc`: address and port of the gRPC listener, or `off`.
    pub grpc: Option<String>,
    /// `--admin`: address and port of a listener of its own for the admin routes.
    pub admin: Option<String>,
    /// `--onnxruntime`: the library.
    pub onnxruntime: Option<PathBuf>,
    /// `--threads`: worker threads; 0 for as many as cores.
    pub threads: Option<usize>,
    /// `--log`: `human` or `json`.
    pub log: Option<String>,
    /// `--log-level`: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: Option<String>,
    /// `--access-log`: a line per request.
    pub access_log: bool,
    /// `--metrics-compat`: `triton`.
    pub metrics_compat: Option<String>,
}

/// The variables of this process, without those that are not UTF-8: no setting of ours is among them.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Lays the environment and the flags over each other; the flags win.
pub(super) fn overlay(
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Overlay {
    let variables = environment.into_iter().filter(|(name, value)| is_setting(name, value));
    let from_environment = variables.map(|(name, value)| {
        let key = key_of_variable(&name);
        // A name that only resembles its setting stays a name: it is unknown, and has a near key.
        let key = if variable(&key) == name { key } else { name.clone() };
        (key, Entry { value: Value::Word(value), origin: Origin::Environment(name) })
    });
    let from_flags = overrides.settings().into_iter().filter_map(|(flag, key, value)| {
        Some((key.to_owned(), Entry { value: value?, origin: Origin::Flag(flag) }))
    });
    from_environment.chain(from_flags).collect()
}

impl Overrides {
    /// Each flag with its key. `--config` has none: a file cannot name itself.
    fn settings(&self) -> [(&'static str, &'static str, Option<Value>); 11] {
        let path = |path: &Option<PathBuf>| path.clone().map(Value::Path);
        let word = |word: &Option<String>| word.clone().map(Value::Word);
        [
            ("--models", "models", path(&self.models)),
            ("--state", "state", path(&self.state)),
            ("--http", "http.listen", word(&self.http)),
            ("--grpc", "grpc.listen", word(&self.grpc)),
            ("--admin", "admin.listen", word(&self.admin)),
            ("--onnxruntime", "onnxruntime", path(&self.onnxruntime)),
            ("--threads", "scheduler.threads", word(&self.threads.map(|n| n.to_string()))),
            ("--log", "log.format", word(&self.log)),
            ("--log-level", "log.level", word(&self.log_level)),
            ("--access-log", "log.access", self.access_log.then_some(Value::Switch(true))),
            ("--metrics-compat", "metrics.compat", word(&self.metrics_compat)),
        ]
    }
}

const PREFIX: &str = "GREENROOM_";

/// The environment variable of a key: `http.max_body` is `GREENROOM_HTTP__MAX_BODY`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The key of an environment variable, whether there is such a key or not.
pub(super) fn key_of_variable(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).replace("__", ".").to_lowercase()
}

/// Whether a variable means to be a setting of the server.
fn is_setting(name: &str, value: &str) -> bool {
    /// Switches of the test suite.
    const TESTS: [&str; 2] = ["GREENROOM_LONG_TESTS", "GREENROOM_TEST_"];
    /// Where commands that ask a server find it.
    const CLIENT: &str = "GREENROOM_SERVER";
    name.starts_with(PREFIX)
        && name != CLIENT
        && !TESTS.iter().any(|test| name.starts_with(test))
        && !is_service_link(name, value)
}

/// Kubernetes tells every pod about every service of its namespace, and a service called `greenroom` is
/// what one would expect: `GREENROOM_SERVICE_HOST`, `GREENROOM_SERVICE_PORT_HTTP`,
/// `GREENROOM_PORT=tcp://10.0.0.1:8000`, `GREENROOM_PORT_8000_TCP_ADDR`. None may stop the start.
fn is_service_link(name: &str, value: &str) -> bool {
    let names_protocol = |rest: &str| {
        let mut words = rest.split('_');
        let port = words.next().unwrap_or("");
        port.parse::<u16>().is_ok()
            && words.next().is_some_and(|word| matches!(word, "TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.split_once("_PORT_").is_some_and(|(_, rest)| names_protocol(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        overlay(variables, &Overrides::default()).into_keys().collect()
    }

    #[test]
    fn a_variable_is_named_like_its_key() {
        assert_eq!(variable("http.max_body"), "GREENROOM_HTTP__MAX_BODY");
        assert_eq!(key_of_variable("GREENROOM_HTTP__MAX_BODY"), "http.max_body");
        assert_eq!(variable("models"), "GREENROOM_MODELS");
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let foreign = [
            ("PATH", "/bin"),
            ("HTTP__MAX_BODY", "1"),
            ("GREENROOM_SERVER", "http://127.0.0.1:8000"),
            ("GREENROOM_LONG_TESTS", "1"),
            ("GREENROOM_TEST_SEED", "7"),
            ("GREENROOM_SERVICE_HOST", "10.0.0.1"),
            ("GREENROOM_SERVICE_PORT", "8000"),
            ("GREENROOM_SERVICE_PORT_HTTP", "8000"),
            ("GREENROOM_PORT", "tcp://10.0.0.1:8000"),
            ("GREENROOM_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
            ("GREENROOM_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ];
        assert_eq!(keys(&foreign), Vec::<String>::new());
    }

    #[test]
    fn a_variable_that_only_resembles_a_setting_is_not_taken_for_it() {
        let near =
            [("GREENROOM_models", "m"), ("GREENROOM_HTTP.LISTEN", "x"), ("GREENROOM_PORT", "8000")];
        assert_eq!(keys(&near), ["GREENROOM_HTTP.LISTEN", "GREENROOM_models", "port"]);
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let overrides = Overrides { threads: Some(3), ..Overrides::default() };
        let variables = [("GREENROOM_SCHEDULER__THREADS".to_owned(), "2".to_owned())];
        let layers = overlay(variables, &overrides);
        assert_eq!(layers["scheduler.threads"].origin, Origin::Flag("--threads"));
    }
}
