//! Our server, put together as `greenroom serve` does it, with the example models.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use greenroom::app::App;
use greenroom::config::ServerConfig;
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
    runtime: Runtime,
    running: JoinHandle<Result<(), greenroom::app::StartError>>,
    stop: oneshot::Sender<()>,
    _state: TempDir,
}

impl Ours {
    /// Starts it, and waits until the models are loaded.
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        logs::start(logs::Format::Human, tracing::Level::WARN, false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(Cores::available().count)
            .thread_name("http")
            .enable_all()
            .build()?;
        let state = tempfile::tempdir()?;
        let mut config = ServerConfig {
            models: Path::new(env!("CARGO_MANIFEST_DIR")).join("models"),
            state: state.path().to_path_buf(),
            ..ServerConfig::default()
        };
        config.http.listen = "127.0.0.1:0".parse()?;
        let app = runtime.block_on(App::bind(config, Metrics::install()?))?;
        let address = app.addresses().http;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(app.run(async {
            // A sender that is gone says the same.
            let _ = stopped.await;
        }));
        runtime.block_on(ready(address))?;
        Ok(Self { address, runtime, running, stop, _state: state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, as a signal would.
    pub(crate) fn stop(self) -> Result<(), Box<dyn Error>> {
        let _ = self.stop.send(());
        Ok(self.runtime.block_on(self.running)??)
    }
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
