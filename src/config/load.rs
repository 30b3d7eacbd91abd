//! From file, environment and flags to [`ServerConfig`], and what may not be combined in it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::error::ConfigError;
use super::inactive;
use super::layers::{Overlay, Overrides, overlay};
use super::section::Findings;
use super::server::{AdminListener, MetricsListen, ServerConfig, is_loopback};
use super::source::parse;

/// Looked for in the working directory when `--config` names no other.
const DEFAULT_FILE: &str = "greenroom.toml";

impl ServerConfig {
    /// Reads the settings file (the one that `--config` names, which must be there, or `greenroom.toml`
    /// in the working directory, if it is there), and lays `environment` and the flags over it.
    ///
    /// Of the environment only the variables that begin with `GREENROOM_` count; use
    /// [`environment`](super::environment) for that of the process.
    ///
    /// Paths in a file are relative to the folder of the file, so that it means the same from everywhere;
    /// paths in variables and flags, and the defaults, are relative to the working directory.
    pub fn load(
        overrides: &Overrides,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<ServerConfig, ConfigError> {
        let file = overrides.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match &overrides.config {
                Some(named) => return Err(ConfigError::Missing(named.clone())),
                None => String::new(),
            },
            Err(source) => return Err(ConfigError::Unreadable { path: file.to_owned(), source }),
        };
        Self::from_layers(&text, file, overlay(environment, overrides))
    }

    /// Understands the text of a settings file as if there were nothing else.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn from_text(text: &str) -> Result<Self, ConfigError> {
        Self::from_layers(text, Path::new(DEFAULT_FILE), Overlay::new())
    }

    pub(super) fn from_layers(
        text: &str,
        file: &Path,
        overlay: Overlay,
    ) -> Result<Self, ConfigError> {
        let tree = parse(text, file).map_err(|problem| ConfigError::Invalid(vec![problem]))?;
        let (mut config, mut findings) = Findings::read(tree, overlay, |root| {
            let mut config = Self::default();
            config.read(root);
            config
        });
        if findings.is_clean() {
            config.refuse_clashes(&mut findings);
        }
        config.inactive = inactive::of_server(&config, &findings);
        findings.into_result().map(|()| config)
    }

    fn refuse_clashes(&self, findings: &mut Findings) {
        if self.models == self.state {
            let text = format!("`models` and `state` are both `{}`", self.models.display());
            findings.clash(&["state", "models"], text);
        }
        if let AdminListener::Own(address) = self.admin_listener()
            && !is_loopback(address)
            && self.admin.token_file.is_none()
        {
            let text = format!(
                "`admin.token_file` must be set, because `admin.listen` is {address}, which is not loopback"
            );
            findings.clash(&["admin.listen"], text);
        }
        self.refuse_shared_addresses(findings);
        self.refuse_a_webhook_twice(findings);
    }

    /// What is still to be told to one is found again by its URL.
    fn refuse_a_webhook_twice(&self, findings: &mut Findings) {
        for (index, hook) in self.webhooks.iter().enumerate() {
            let earlier = self.webhooks[..index].iter().position(|other| other.url == hook.url);
            if let Some(earlier) = earlier {
                let key = format!("webhooks[{index}].url");
                let text = format!("`{key}` is the same as `webhooks[{earlier}].url`");
                findings.clash(&[&key], text);
            }
        }
    }

    fn refuse_shared_addresses(&self, findings: &mut Findings) {
        let mut listeners = vec![("http.listen", self.http.listen)];
        listeners.extend(self.grpc.listen.map(|address| ("grpc.listen", address)));
        if let AdminListener::Own(address) = self.admin_listener() {
            listeners.push(("admin.listen", address));
        }
        if let MetricsListen::Addr(address) = self.metrics.listen {
            listeners.push(("metrics.listen", address));
        }
        for (index, (key, address)) in listeners.iter().enumerate() {
            let earlier = &listeners[..index];
            if let Some((other, taken)) =
                earlier.iter().find(|(_, other)| collide(*other, *address))
            {
                let text = format!("`{key}` is {address}, but `{other}` is {taken} already");
                findings.clash(&[key, other], text);
            }
        }
    }
}

/// Whether two listeners cannot be there at once; port 0 is a free one each time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let overlap = one.ip() == other.ip() || (is_everywhere && one.is_ipv4() == other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && overlap
}

#[cfg(test)]
mod tests {
    use super::super::server::{
        AdminConfig, GrpcConfig, HttpConfig, LogConfig, LogFormat, LogLevel, MetricsCompat,
        MetricsConfig, ServerSchedulerConfig,
    };
    use super::*;
    use proptest::prelude::*;

    fn load(
        text: &str,
        variables: &[(&str, &str)],
        overrides: &Overrides,
    ) -> Result<ServerConfig, String> {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        ServerConfig::from_layers(text, Path::new("greenroom.toml"), overlay(variables, overrides))
            .map_err(|error| error.to_string())
    }

    fn from_file(text: &str) -> Result<ServerConfig, String> {
        load(text, &[], &Overrides::default())
    }

    fn from_environment(name: &str, value: &str) -> Result<ServerConfig, String> {
        load("", &[(name, value)], &Overrides::default())
    }

    fn complaint(text: &str) -> String {
        from_file(text).unwrap_err()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let text = "[scheduler]\nthreads = 1\n[http]\nmax_body = '1MiB'\nbody_timeout = '1s'";
        let variables =
            [("GREENROOM_SCHEDULER__THREADS", "2"), ("GREENROOM_HTTP__MAX_BODY", "2MiB")];
        let overrides = Overrides { threads: Some(3), ..Overrides::default() };
        let config = load(text, &variables, &overrides).unwrap();
        assert_eq!(config.scheduler.threads, 3);
        assert_eq!(config.http.max_body, 2 << 20);
        assert_eq!(config.http.body_timeout.as_secs(), 1);
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let text = |text: &str| Some(text.to_owned());
        let overrides = Overrides {
            config: None,
            models: Some("m".into()),
            state: Some("s".into()),
            http: text("0.0.0.0:80"),
            grpc: text("off"),
            admin: text("127.0.0.1:90"),
            onnxruntime: Some("libonnxruntime.so".into()),
            threads: Some(4),
            log: text("json"),
            log_level: text("debug"),
            access_log: true,
            metrics_compat: text("triton"),
        };
        let config = load("models = 'other'", &[], &overrides).unwrap();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let default = ServerConfig::default();
        let listen = address("127.0.0.1:90");
        let format = Some(LogFormat::Json);
        let expected = ServerConfig {
            models: "m".into(),
            state: "s".into(),
            http: HttpConfig { listen: address("0.0.0.0:80"), ..default.http.clone() },
            grpc: GrpcConfig { listen: None, ..default.grpc.clone() },
            scheduler: ServerSchedulerConfig { threads: 4 },
            admin: AdminConfig { listen, own_listener: true, token_file: None },
            onnxruntime: Some("libonnxruntime.so".into()),
            log: LogConfig { format, level: LogLevel::Debug, access: true },
            metrics_compat: Some(MetricsCompat::Triton),
            ..default
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn a_variable_is_read_as_what_its_setting_is() {
        let variables = [
            ("GREENROOM_MODELS", "42"),
            ("GREENROOM_REPOSITORY__TRIAL", "false"),
            ("GREENROOM_CAPTURE__REDACT", "['a', 'b']"),
            ("GREENROOM_CAPTURE__SAMPLE", "1"),
            ("GREENROOM_HTTP__MAX_BODY", "1048576"),
            ("GREENROOM_METRICS__LISTEN", "0.0.0.0:9100"),
        ];
        let config = load("", &variables, &Overrides::default()).unwrap();
        assert_eq!(config.models, Path::new("42"));
        assert!(!config.repository.trial);
        assert_eq!(config.capture.redact, ["a", "b"]);
        assert_eq!(config.capture.sample, 1.0);
        assert_eq!(config.http.max_body, 1 << 20);
        let listen = MetricsListen::Addr("0.0.0.0:9100".parse().unwrap());
        assert_eq!(config.metrics, MetricsConfig { listen });
    }

    #[test]
    fn a_path_in_a_file_is_relative_to_the_file_and_any_other_to_the_working_directory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, "models = 'm'\nonnxruntime = '/lib/ort.so'").unwrap();
        let overrides = Overrides { config: Some(file), ..Overrides::default() };
        let state = ("GREENROOM_STATE".to_owned(), "s".to_owned());
        let config = ServerConfig::load(&overrides, [state]).unwrap();
        assert_eq!(config.models, folder.path().join("m"));
        assert_eq!(config.onnxruntime.as_deref(), Some(Path::new("/lib/ort.so")));
        assert_eq!(config.state, Path::new("s"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let load = |config: &Path| {
            let overrides = Overrides { config: Some(config.into()), ..Overrides::default() };
            ServerConfig::load(&overrides, []).unwrap_err().to_string()
        };
        let (missing, unreadable) = (folder.path().join("none.toml"), folder.path());
        assert_eq!(load(&missing), format!("settings file `{}` does not exist", missing.display()));
        assert_eq!(
            load(unreadable),
            format!("settings file `{}` cannot be read", unreadable.display())
        );
    }

    #[test]
    fn a_problem_of_a_variable_names_the_variable() {
        let complaint = |name, value| from_environment(name, value).unwrap_err();
        assert_eq!(
            complaint("GREENROOM_HTTP__MAX_BODY", "lots"),
            "environment variable GREENROOM_HTTP__MAX_BODY: must be a size such as \"64MiB\", got `lots`"
        );
        assert_eq!(
            complaint("GREENROOM_HTTP_MAX_BODY", "1MiB"),
            "environment variable GREENROOM_HTTP_MAX_BODY: there is no such setting; did you mean GREENROOM_HTTP__MAX_BODY?"
        );
        assert_eq!(
            complaint("GREENROOM_models", "m"),
            "environment variable GREENROOM_models: there is no such setting; did you mean GREENROOM_MODELS?"
        );
        assert_eq!(
            complaint("GREENROOM_HTTP", "127.0.0.1:1"),
            "environment variable GREENROOM_HTTP: there is no such setting; did you mean GREENROOM_HTTP__LISTEN?"
        );
        assert_eq!(
            complaint("GREENROOM_COLOUR", "red"),
            "environment variable GREENROOM_COLOUR: there is no such setting"
        );
        assert_eq!(
            complaint("GREENROOM_WEBHOOKS", "[]"),
            "environment variable GREENROOM_WEBHOOKS: `webhooks` is a list of tables and cannot be set by environment variables, only in the settings file"
        );
    }

    #[test]
    fn a_problem_of_a_flag_names_the_flag() {
        let overrides = Overrides {
            threads: Some(2000),
            http: Some("here".to_owned()),
            log_level: Some("loud".to_owned()),
            ..Overrides::default()
        };
        insta::assert_snapshot!(load("", &[], &overrides).unwrap_err(), @r#"
        --http: must be an IP address with a port such as "127.0.0.1:8000", got `here`
        --log-level: must be "error", "warn", "info", "debug" or "trace", got `loud`
        --threads: must be a whole number from 0 to 1024, got `2000`
        "#);
    }

    #[test]
    fn the_admin_routes_are_on_http_while_that_is_loopback_and_nobody_wants_otherwise() {
        let listener = |text| from_file(text).map(|config| config.admin_listener());
        let own = |text: &str| Ok(AdminListener::Own(text.parse().unwrap()));
        assert_eq!(listener(""), Ok(AdminListener::OnHttp));
        assert_eq!(listener("http.listen = '[::1]:1'"), Ok(AdminListener::OnHttp));
        assert_eq!(listener("http.listen = '0.0.0.0:1'"), own("127.0.0.1:8002"));
        assert_eq!(listener("admin.listen = '127.0.0.1:9'"), Ok(AdminListener::OnHttp));
        let elsewhere = "http.listen = '0.0.0.0:1'\nadmin.listen = '127.0.0.1:9'";
        assert_eq!(listener(elsewhere), own("127.0.0.1:9"));
        let asked = Overrides { admin: Some("127.0.0.1:9".to_owned()), ..Overrides::default() };
        assert_eq!(load("", &[], &asked).map(|config| config.admin_listener()), own("127.0.0.1:9"));
    }

    #[test]
    fn an_admin_address_that_others_can_reach_needs_a_token() {
        let text = "http.listen = '0.0.0.0:8'\n[admin]\nlisten = '0.0.0.0:9'";
        assert_eq!(
            complaint(text),
            "greenroom.toml:3: `admin.token_file` must be set, because `admin.listen` is 0.0.0.0:9, which is not loopback"
        );
        assert!(from_file(&format!("{text}\ntoken_file = 't'")).is_ok());
    }

    #[test]
    fn no_two_listeners_share_an_address() {
        assert_eq!(
            complaint("grpc.listen = '127.0.0.1:8000'"),
            "greenroom.toml:1: `grpc.listen` is 127.0.0.1:8000, but `http.listen` is 127.0.0.1:8000 already"
        );
        assert_eq!(
            complaint(
                "http.listen = '0.0.0.0:8'\nmetrics.listen = '0.0.0.0:9'\nadmin.listen = '127.0.0.1:9'"
            ),
            "greenroom.toml:2: `metrics.listen` is 0.0.0.0:9, but `admin.listen` is 127.0.0.1:9 already"
        );
        for fine in [
            "http.listen = '0.0.0.0:0'\nadmin.listen = '127.0.0.1:0'",
            "http.listen = '10.0.0.1:9'\nadmin.listen = '[::1]:9'",
            "http.listen = '127.0.0.1:8001'\ngrpc.listen = 'off'",
            "http.listen = '127.0.0.1:8002'",
        ] {
            assert!(from_file(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn models_and_state_are_two_folders() {
        assert_eq!(
            complaint("models = 'x'\nstate = 'x'"),
            "greenroom.toml:2: `models` and `state` are both `x`"
        );
    }

    #[test]
    fn a_webhook_is_there_once() {
        let text = "[[webhooks]]\nurl = 'http://a'\n[[webhooks]]\nurl = 'http://b'\n\
                    [[webhooks]]\nurl = 'http://a'";
        let expected = "greenroom.toml:6: `webhooks[2].url` is the same as `webhooks[0].url`";
        assert_eq!(complaint(text), expected);
    }

    #[test]
    fn what_is_set_without_effect_is_warned_about() {
        let warnings = |text: &str| load(text, &[], &Overrides::default()).unwrap().inactive;
        let window = "[shadow]\nwindow = '22:00-06:00'\n";
        insta::assert_snapshot!(warnings(window).join("\n"), @r#"`shadow.window` (greenroom.toml:2) is for `shadow.mode = "deferred"` alone"#);
        assert_eq!(warnings(&format!("{window}mode = 'deferred'")), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn no_variable_makes_it_panic(name: String, value: String) {
            let _ = from_environment(&format!("GREENROOM_{name}"), &value);
            let _ = from_environment("GREENROOM_CAPTURE__REDACT", &value);
            let _ = from_environment("GREENROOM_SHADOW__WINDOW", &value);
        }
    }
}
