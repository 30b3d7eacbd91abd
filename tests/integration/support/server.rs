//! The real binary as a child process, on a free port and with a state folder of its own.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::disk::SmallDisk;
use super::http::{Answer, Connection, Request};
use super::models::{Models, package};
use super::within;

/// How long a start or an end may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server is started with.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The first to go, since what it is mounted on belongs to the others.
    disk: Option<SmallDisk>,
    models: Models,
    folder: TempDir,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// From where paths are meant; the package's folder where it is not said.
    stands_in: Option<PathBuf>,
}

/// A server that is ready. It ends with the test, and tells its log when the test fails.
#[derive(Debug)]
pub(crate) struct TestServer {
    process: Process,
    plan: Plan,
    http: SocketAddr,
    admin: SocketAddr,
}

impl TestServer {
    /// A plan for a server with these models; [`Plan::start`] starts it.
    pub(crate) fn with_models(models: Models) -> Plan {
        let folder = TempDir::with_prefix("greenroom-test-").unwrap();
        fs::write(folder.path().join("greenroom.toml"), "").unwrap();
        let (disk, flags, environment) = (None, Vec::new(), Vec::new());
        let plan = Plan { disk, models, folder, flags, environment, stands_in: None };
        // Tests do not wait for slow writers or for blocks of time without pairs, unless that is what they are about.
        plan.environment("GREENROOM_REPOSITORY__SETTLE", "50ms")
            .environment("GREENROOM_REPOSITORY__POLL", "200ms")
            .environment("GREENROOM_SHADOW__OFF", "0")
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where it says where it is.
    pub(crate) fn server_file(&self) -> PathBuf {
        self.plan.state().join("server.json")
    }

    /// The folder that it serves.
    pub(crate) fn models(&self) -> &Path {
        self.plan.models.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.plan.state()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// What it has logged so far, before it was started again, too.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.plan.log()).unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.http).unwrap()
    }

    pub(crate) fn connect_admin(&self) -> Connection {
        Connection::open(self.admin).unwrap()
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.ask_at(self.http, request)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path))
    }

    #[track_caller]
    pub(crate) fn predict(&self, model: &str, body: &str) -> Answer {
        self.ask(&Request::predict(model, body))
    }

    #[track_caller]
    pub(crate) fn ask_at(&self, address: SocketAddr, request: &Request) -> Answer {
        let answer = Connection::open(address).and_then(|mut connection| connection.ask(request));
        let answer = answer.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"));
        let told = format!("{}{}", answer.head, answer.text());
        for secret in [self.plan.models.path(), self.plan.folder.path(), package()] {
            let secret = secret.display().to_string();
            assert!(!told.contains(&secret), "an answer tells a path of the machine: {told}");
        }
        answer
    }

    /// The value of a metric, by its whole name with labels; 0 where it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.ask_at(self.admin, &Request::get("/metrics")).text();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Tells it to end, as an operator does.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.process.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Ends it as a power failure does.
    pub(crate) fn kill(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// Starts it again after its end, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let _ = fs::remove_file(self.server_file()); // there only when it was killed
        (self.process, self.http, self.admin) = self.plan.listening();
        self.wait_until_ready();
    }

    /// Adds to its environment, or takes out of it, from the next start on.
    pub(crate) fn set_environment(&mut self, name: &str, value: Option<&str>) {
        self.plan.environment.retain(|(known, _)| known != name);
        self.plan.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// The disk that the state folder has for itself.
    pub(crate) fn disk(&self) -> &SmallDisk {
        self.plan.disk.as_ref().unwrap()
    }

    #[track_caller]
    fn wait_until_ready(&self) {
        within(PATIENCE, "a server that is ready", || {
            (self.get("/v2/health/ready").status == 200).then_some(())
        });
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        within(PATIENCE, "the server's end", || self.process.ended())
    }

    /// Tells it to end, and waits.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

impl Plan {
    /// The text of the settings file.
    pub(crate) fn settings(self, text: &str) -> Self {
        fs::write(self.settings_file(), text).unwrap();
        self
    }

    /// A file beside the settings file.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// Flags in place of, and besides, those that every server gets.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// Starts it in a folder of its own, in which its state is `state`.
    pub(crate) fn in_its_folder(mut self) -> Self {
        self.stands_in = Some(self.folder.path().to_path_buf());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts the state on a disk of its own that is as small as that; none where nothing can be mounted.
    pub(crate) fn on_small_disk(mut self, size: &str) -> Option<Self> {
        fs::create_dir(self.state()).unwrap();
        self.disk = Some(SmallDisk::at(&self.state(), size)?);
        Some(self)
    }

    pub(crate) fn settings_file(&self) -> PathBuf {
        self.folder.path().join("greenroom.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(self) -> TestServer {
        let server = self.launch();
        server.wait_until_ready();
        server
    }

    /// Starts it and waits until it listens; its models may not be loaded yet.
    #[track_caller]
    pub(crate) fn launch(self) -> TestServer {
        let (process, http, admin) = self.listening();
        TestServer { http, admin, process, plan: self }
    }

    /// A process, with its addresses for inference and for operators.
    #[track_caller]
    fn listening(&self) -> (Process, SocketAddr, SocketAddr) {
        let mut process = self.spawn();
        let here = within(PATIENCE, "a server that says where it is", || {
            if let Some(status) = process.ended() {
                panic!("no server ({status}):\n{}", fs::read_to_string(self.log()).unwrap());
            }
            fs::read_to_string(self.state().join("server.json")).ok()
        });
        let here: Value = serde_json::from_str(&here).unwrap();
        let address = |key: &str| address(here[key].as_str().unwrap());
        (process, address("http"), address("admin"))
    }

    /// Starts it without waiting for anything; its words go to its log.
    fn spawn(&self) -> Process {
        let log = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        Process(self.command().stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn command(&self) -> Command {
        let mut command = greenroom();
        for (flag, value) in [
            ("--models", self.models.path()),
            ("--state", &self.state()),
            ("--config", &self.settings_file()),
            ("--http", Path::new("127.0.0.1:0")),
            ("--grpc", Path::new("127.0.0.1:0")),
        ] {
            if !self.flags.iter().any(|own| own == flag) {
                command.arg(flag).arg(value);
            }
        }
        command.args(&self.flags);
        if let Some(folder) = &self.stands_in {
            command.current_dir(folder);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, which must come soon.
    #[track_caller]
    pub(crate) fn run(&self) -> Run {
        Run::of(&mut self.command())
    }
}

/// What a command that ends by itself left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let folder = TempDir::with_prefix("greenroom-run-").unwrap();
        let file = |name: &str| folder.path().join(name);
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| File::create(file(name)).unwrap());
        let mut process = Process(command.stdout(stdout).stderr(stderr).spawn().unwrap());
        let status = within(Duration::from_secs(10), "the command's end", || process.ended());
        let read = |name: &str| fs::read_to_string(file(name)).unwrap();
        Self { code: status.code(), stdout: read("stdout"), stderr: read("stderr") }
    }
}

/// A child that does not outlive its test.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary, in the package's folder, without settings and proxies from the environment of whoever runs the tests.
pub(crate) fn greenroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.current_dir(package()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("GREENROOM_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
}

/// The socket address in `http://…`, from this machine's point of view.
fn address(url: &str) -> SocketAddr {
    let address = url.strip_prefix("http://").unwrap();
    address.replace("0.0.0.0", "127.0.0.1").parse().unwrap()
}

/// The file of the library that servers of this test run use.
pub(crate) fn library() -> Option<PathBuf> {
    let chosen = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    let place = chosen.map_or_else(|| package().join(".onnxruntime"), PathBuf::from);
    if place.is_file() { Some(place) } else { library_in(&place) }
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("libonnxruntime.")
    };
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(is_library).max()
}
