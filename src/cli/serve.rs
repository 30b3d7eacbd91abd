//! `greenroom serve`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::config::{self, LogFormat, LogLevel, Overrides, ServerConfig};
use crate::system::breadcrumbs;
use crate::system::cores::Cores;
use crate::system::process;
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;

/// The flags of `greenroom serve`. They win over the environment, which wins over the settings file.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The folder of the models [default: models]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The folder of what the server remembers [default: .greenroom]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The settings file [default: greenroom.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen for HTTP; port 0 is any free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<String>,
    /// Where to listen for gRPC, or `off` [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDR:PORT")]
    grpc: Option<String>,
    /// A listener of its own for the admin routes [default: none while --http is loopback, else 127.0.0.1:8002]
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<String>,
    /// The library of ONNX Runtime [default: searched for]
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// Threads that run models [default: the cores of the cgroup]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How log lines look: `human` or `json` [default: human on a terminal]
    #[arg(long, value_name = "FORMAT")]
    log: Option<String>,
    /// From which level on: `error`, `warn`, `info`, `debug` or `trace` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log each request
    #[arg(long)]
    access_log: bool,
    /// Metrics by the names of another server, too: `triton`
    #[arg(long, value_name = "SERVER")]
    metrics_compat: Option<String>,
}

impl From<Flags> for Overrides {
    fn from(flags: Flags) -> Self {
        Self {
            config: flags.config,
            models: flags.models,
            state: flags.state,
            http: flags.http,
            grpc: flags.grpc,
            admin: flags.admin,
            onnxruntime: flags.onnxruntime,
            threads: flags.threads,
            log: flags.log,
            log_level: flags.log_level,
            access_log: flags.access_log,
            metrics_compat: flags.metrics_compat,
        }
    }
}

/// The exit code when there is no server.
const NOT_STARTED: u8 = 2;

/// Serves until the process is told to end. Exit code 2 means that it did not start.
pub(super) fn run(flags: Flags) -> ExitCode {
    let config = match ServerConfig::load(&flags.into(), config::environment()) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    start_log(&config);
    let threads = Cores::available().count;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("http")
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(serve(config)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        // Loads and runs that cannot be interrupted must not keep the process, nor crash at its end.
        Ok(()) => process::end(0),
        Err(error) => {
            fail(error.as_ref());
            process::end(i32::from(NOT_STARTED))
        }
    }
}

async fn serve(config: ServerConfig) -> Result<(), Box<dyn std::error::Error>> {
    let (terminate, interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let metrics = Metrics::install()?;
    let app = App::bind(config, metrics).await?;
    app.run(told_to_end(terminate, interrupt)).await?;
    Ok(())
}

/// Waits for the first signal. A second one ends the process at once.
async fn told_to_end(mut terminate: Signal, mut interrupt: Signal) {
    either(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::warn!("told to end twice: ending at once");
        breadcrumbs::end();
        process::end(1);
    });
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn start_log(config: &ServerConfig) {
    let format = match config.log.format {
        Some(LogFormat::Human) => logs::Format::Human,
        Some(LogFormat::Json) => logs::Format::Json,
        None => logs::Format::fitting(),
    };
    let level = match config.log.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    logs::start(format, level, config.log.access);
}

/// Says why there is no server, and what the cause was.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::from(NOT_STARTED)
}
