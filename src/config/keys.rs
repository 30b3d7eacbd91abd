//! Which keys the settings of the server have, and what each of them may be.

use std::time::Duration;

use super::section::Section;
use super::server::{
    AdminConfig, CaptureConfig, CaptureMode, GrpcConfig, HttpConfig, LimitsConfig, LogConfig,
    LogFormat, LogLevel, MetricsCompat, MetricsListen, RepositoryConfig, ServerConfig,
    ServerSchedulerConfig, ShadowConfig, ShadowMode, ShutdownConfig, WebhookConfig,
};
use super::source::Entry;
use super::value::{
    Parsed, above, above_to, address, address_or, duration, duration_from, names, number, one_of,
    path, positive_duration, size, some, switch, time_window, url, whole, whole_or,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const PIB: u64 = 1 << 50;

/// In less nothing is seen of how long requests take.
const SHORTEST_BLOCK: Duration = Duration::from_millis(500);

impl ServerConfig {
    pub(super) fn read(&mut self, root: &mut Section<'_>) {
        root.read("models", &mut self.models, path);
        root.read("state", &mut self.state, path);
        root.read("onnxruntime", &mut self.onnxruntime, some(path));
        root.section("http", |section| self.http.read(section));
        root.section("grpc", |section| self.grpc.read(section));
        root.section("limits", |section| self.limits.read(section));
        root.section("scheduler", |section| self.scheduler.read(section));
        root.section("repository", |section| self.repository.read(section));
        root.section("shadow", |section| self.shadow.read(section));
        root.section("capture", |section| self.capture.read(section));
        root.section("admin", |section| self.admin.read(section));
        root.section("metrics", |section| {
            section.read("listen", &mut self.metrics.listen, metrics_listen);
            let compat = one_of(&[("triton", MetricsCompat::Triton)]);
            section.read("compat", &mut self.metrics_compat, some(compat));
        });
        root.section("shutdown", |section| self.shutdown.read(section));
        root.section("log", |section| self.log.read(section));
        for (path, entry) in root.list("webhooks").unwrap_or_default() {
            root.open_entry(path, entry, |section| self.webhooks.extend(webhook(section)));
        }
    }
}

fn metrics_listen(entry: &Entry) -> Parsed<MetricsListen> {
    let address = address_or("same-as-admin")(entry)?;
    Ok(address.map_or(MetricsListen::SameAsAdmin, MetricsListen::Addr))
}

fn webhook(section: &mut Section<'_>) -> Option<WebhookConfig> {
    let mut secret_file = None;
    section.read("secret_file", &mut secret_file, some(path));
    section.require("url", url).map(|url| WebhookConfig { url, secret_file })
}

impl HttpConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("listen", &mut self.listen, address);
        section.read("max_body", &mut self.max_body, size(1..=TIB));
        // hyper refuses to work with less than 8 KiB.
        section.read("max_header", &mut self.max_header, size(8 * KIB..=16 * MIB));
        section.read("header_timeout", &mut self.header_timeout, positive_duration);
        section.read("body_timeout", &mut self.body_timeout, positive_duration);
        section.read("max_connections", &mut self.max_connections, whole_or("auto", 1..));
    }
}

impl GrpcConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("listen", &mut self.listen, address_or("off"));
        section.read("max_message", &mut self.max_message, size(1..=TIB));
    }
}

impl LimitsConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        // serde_json follows no further than this.
        section.read("json_depth", &mut self.json_depth, whole(1..=127));
        section.read("inputs", &mut self.inputs, whole(1..));
        section.read("elements", &mut self.elements, whole(1..));
        section.read("string_bytes", &mut self.string_bytes, size(1..=TIB));
    }
}

impl ServerSchedulerConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("threads", &mut self.threads, whole(0..=1024));
    }
}

impl RepositoryConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("poll", &mut self.poll, positive_duration);
        section.read("settle", &mut self.settle, duration);
        section.read("load_timeout", &mut self.load_timeout, positive_duration);
        section.read("trial", &mut self.trial, switch);
        section.read("events", &mut self.events, switch);
        section.read("memory_budget", &mut self.memory_budget, size(0..=PIB));
        section.read("keep_revisions", &mut self.keep_revisions, whole(1..));
    }
}

impl ShadowConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        let modes = one_of(&[("live", ShadowMode::Live), ("deferred", ShadowMode::Deferred)]);
        section.read("mode", &mut self.mode, modes);
        section.read("window", &mut self.window, some(time_window));
        section.read("max_rps", &mut self.max_rps, number(above(0.0)));
        section.read("max_busy", &mut self.max_busy, number(above_to(0.0, 1.0)));
        section.read("threads", &mut self.threads, whole(1..=1024));
        section.read("queue_jobs", &mut self.queue_jobs, whole(1..));
        section.read("queue_bytes", &mut self.queue_bytes, size(1..=TIB));
        section.read("max_age", &mut self.max_age, positive_duration);
        section.read("off", &mut self.off, number(0.0..=0.9));
        section.read("block", &mut self.block, duration_from(SHORTEST_BLOCK));
    }
}

impl CaptureConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        let modes = one_of(&[
            ("off", CaptureMode::Off),
            ("on", CaptureMode::On),
            ("hash", CaptureMode::Hash),
        ]);
        section.read("mode", &mut self.mode, modes);
        section.read("sample", &mut self.sample, number(0.0..=1.0));
        section.read("redact", &mut self.redact, names);
        section.read("max_bytes", &mut self.max_bytes, size(1..=PIB));
        section.read("max_age", &mut self.max_age, positive_duration);
    }
}

impl AdminConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("listen", &mut self.listen, address);
        section.read("token_file", &mut self.token_file, some(path));
        // In the file the address says where to go when HTTP is not on loopback; the flag asks for it.
        self.own_listener = section.is_set_by_flag("listen");
    }
}

impl ShutdownConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        section.read("drain", &mut self.drain, duration);
        section.read("grace", &mut self.grace, duration);
    }
}

impl LogConfig {
    fn read(&mut self, section: &mut Section<'_>) {
        let formats = one_of(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
        let levels = one_of(&[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ]);
        section.read("format", &mut self.format, some(formats));
        section.read("level", &mut self.level, levels);
        section.read("access", &mut self.access, switch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::Overlay;
    use super::*;
    use crate::domain::quiet::TimeWindow;
    use proptest::prelude::*;
    use std::path::Path;

    /// The block of the interface notes, to the letter.
    const EXAMPLE: &str = include_str!("examples/greenroom.toml");

    fn from_file(text: &str) -> Result<ServerConfig, String> {
        ServerConfig::from_layers(text, Path::new("greenroom.toml"), Overlay::new())
            .map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        from_file(text).unwrap_err()
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(from_file("").unwrap(), ServerConfig::default());
    }

    #[test]
    fn the_documented_file_states_the_defaults() {
        let mut config = from_file(EXAMPLE).unwrap();
        config.inactive.clear();
        let default = ServerConfig::default();
        let window = Some(TimeWindow { start: 22 * 60, end: 6 * 60 });
        let webhook = WebhookConfig {
            url: "http://127.0.0.1:9000/hook".to_owned(),
            secret_file: Some("hook.secret".into()),
        };
        let token_file = Some("admin.token".into());
        let documented = ServerConfig {
            shadow: ShadowConfig { window, ..default.shadow.clone() },
            admin: AdminConfig { token_file, ..default.admin.clone() },
            webhooks: vec![webhook],
            ..default
        };
        assert_eq!(config, documented);
    }

    #[test]
    fn all_problems_of_a_file_are_told_at_once_in_their_order() {
        let text = "modles = 'm'\n[http]\nmax_body = 'lots'\nmax_header = '1KiB'\nmax_boddy = 1\n\
                    [htpp]\nlisten = 1\n[limits]\njson_depth = 0\n[admin]\nlisten = 'localhost:1'\n\
                    [repository]\ntrial = 'yes'\npoll = '0s'\nsettle = 5\n[shadow]\nwindow = '22-6'\n\
                    mode = 'dead'\nmax_busy = 2\noff = 1\nblock = '1ms'\n\"a.b\\n\" = 1\n[[webhooks]]\nurl = 'ftp://x'\n\
                    [[webhooks]]\nsecret = 's'";
        insta::assert_snapshot!(complaint(text), @r#"
        greenroom.toml:1: unknown key `modles`; did you mean `models`?
        greenroom.toml:3: `http.max_body` must be a size such as "64MiB", got `"lots"`
        greenroom.toml:4: `http.max_header` must be a size from 8KiB to 16MiB, got `"1KiB"`
        greenroom.toml:5: unknown key `http.max_boddy`; did you mean `http.max_body`?
        greenroom.toml:6: unknown key `htpp`; did you mean `http`?
        greenroom.toml:9: `limits.json_depth` must be a whole number from 1 to 127, got `0`
        greenroom.toml:11: `admin.listen` must be an IP address with a port such as "127.0.0.1:8000", got `"localhost:1"`
        greenroom.toml:13: `repository.trial` must be true or false, got `"yes"`
        greenroom.toml:14: `repository.poll` must be a duration above zero, got `"0s"`
        greenroom.toml:15: `repository.settle` must be a duration with its unit such as "10s" or "500ms", got `5`
        greenroom.toml:17: `shadow.window` must be a time window such as "22:00-06:00", got `"22-6"`
        greenroom.toml:18: `shadow.mode` must be "live" or "deferred", got `"dead"`
        greenroom.toml:19: `shadow.max_busy` must be a number above 0 and at most 1, got `2`
        greenroom.toml:20: `shadow.off` must be a number from 0 to 0.9, got `1`
        greenroom.toml:21: `shadow.block` must be a duration of at least 500ms, got `"1ms"`
        greenroom.toml:22: unknown key `shadow."a.b\n"`
        greenroom.toml:24: `webhooks[0].url` must be a URL that begins with http:// or https://
        greenroom.toml:25: `webhooks[1].url` is missing
        greenroom.toml:26: unknown key `webhooks[1].secret`; did you mean `webhooks[1].secret_file`?
        "#);
    }

    #[test]
    fn broken_toml_is_told_with_line_and_column() {
        assert_eq!(
            complaint("a = 1\n[http\n"),
            "greenroom.toml:2:6: syntax error: unclosed table, expected `]`"
        );
        assert_eq!(
            complaint("state = 's'\nstate = 't'"),
            "greenroom.toml:2:1: syntax error: duplicate key"
        );
    }

    #[test]
    fn nesting_without_end_is_refused() {
        for text in [format!("a = {}", "[".repeat(50_000)), format!("a{} = 1", ".a".repeat(50_000))]
        {
            assert!(complaint(&text).starts_with("greenroom.toml:1:"));
        }
    }

    #[test]
    fn a_table_is_no_value_and_a_value_no_table() {
        assert_eq!(
            complaint("http = 1\n[models]"),
            "greenroom.toml:1: `http` must be a table, got `1`\n\
             greenroom.toml:2: `models` must be a path, got a table"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = from_file(&text);
        }

        #[test]
        fn no_damage_to_a_good_file_makes_it_panic(
            cut in 0..EXAMPLE.len(),
            length in 0..40_usize,
            patch in "[\\[\\]{}\"'=.,#0-9a-z \n-]{0,6}|\\PC{0,6}",
        ) {
            let end = (cut + length).min(EXAMPLE.len());
            if let (Some(before), Some(after)) = (EXAMPLE.get(..cut), EXAMPLE.get(end..))
                && let Err(problems) = from_file(&format!("{before}{patch}{after}"))
            {
                prop_assert!(problems.lines().all(|line| line.starts_with("greenroom.toml:")));
            }
        }
    }
}
