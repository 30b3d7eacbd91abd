//! Our server, put together as `greenroom serve` does it, with the example models.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use greenroom::app::App;
use greenroom::config::{ServerConfig, ShadowMode};
use greenroom::onnx::Runtime as OnnxRuntime;
use greenroom::system::cores::Cores;
use greenroom::telemetry::logs;
use greenroom::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wire::{self, Connection};

/// The server while it runs.
pub(crate) struct Ours {
    address: SocketAddr,
    grpc: SocketAddr,
    runtime: Runtime,
    running: JoinHandle<Result<(), greenroom::app::StartError>>,
    stop: oneshot::Sender<()>,
    models: TempDir,
    _state: TempDir,
    library: OnnxRuntime,
}

impl Ours {
    /// Starts it with the example models and those of another folder, if that is there, and waits until they are loaded.
    /// The mode is that of requests that are run again.
    pub(crate) fn start(more: Option<&Path>, mode: ShadowMode) -> Result<Self, Box<dyn Error>> {
        logs::start(logs::Format::Human, tracing::Level::WARN, false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(Cores::available().count)
            .thread_name("http")
            .enable_all()
            .build()?;
        let (models, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models"), models.path())?;
        if let Some(more) = more.filter(|more| more.is_dir()) {
            copy_folder(more, models.path())?;
        }
        let mut config = ServerConfig {
            models: models.path().to_path_buf(),
            state: state.path().to_path_buf(),
            ..ServerConfig::default()
        };
        // Large models come one after the other, and nobody writes them slowly.
        config.repository.keep_revisions = 2;
        // This program cannot be the child that tries them.
        config.repository.trial_program = Some(env!("CARGO_BIN_EXE_greenroom").into());
        config.repository.settle = Duration::from_millis(50);
        config.shadow.mode = mode;
        config.http.listen = "127.0.0.1:0".parse()?;
        config.grpc.listen = Some("127.0.0.1:0".parse()?);
        let app = runtime.block_on(App::bind(config, Metrics::install()?))?;
        let library = app.runtime().clone();
        let address = app.addresses().http;
        let grpc = app.addresses().grpc.ok_or("the server does not speak gRPC")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(app.run(async {
            // A sender that is gone says the same.
            let _ = stopped.await;
        }));
        runtime.block_on(ready(address))?;
        Ok(Self { address, grpc, runtime, running, stop, models, _state: state, library })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes calls.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The folder that it serves, which is its own.
    pub(crate) fn models(&self) -> &Path {
        self.models.path()
    }

    /// The file of an example model, or of one that was there beside them.
    pub(crate) fn model(&self, name: &str) -> PathBuf {
        self.models().join(name).join("1.onnx")
    }

    /// ONNX Runtime, which the process has once.
    pub(crate) fn runtime(&self) -> &OnnxRuntime {
        &self.library
    }

    /// Ends it, as a signal would.
    pub(crate) fn stop(self) -> Result<(), Box<dyn Error>> {
        let _ = self.stop.send(());
        Ok(self.runtime.block_on(self.running)??)
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

async fn ready(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let give_up = Instant::now() + Duration::from_secs(60);
    let request = wire::get("/v2/health/ready");
    loop {
        match Connection::open(address).await?.ask(&request).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > give_up => {
                return Err(format!("the server does not become ready: {error}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
