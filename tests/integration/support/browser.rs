//! A headless Chromium, asked over pipes.
//!
//! It speaks the DevTools protocol on its file descriptors 3 and 4, as JSON messages with a NUL behind each. So
//! nothing else is needed: no driver, no port to find, no WebSocket; and when the test ends, the pipes close and the
//! browser ends with them.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::within;

/// How long the browser may take for one answer before a test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// Descriptors 3 and 4 are made of the two that a child gets from us; its own words go to the log.
const WITH_PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#;

/// It shows one page, asks nobody on the network, and leaves nothing behind.
const FLAGS: &[&str] = &[
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox", // which root cannot have, and containers often do not let anybody have
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-default-browser-check",
    "--no-first-run",
];

/// A browser of the test's own.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// What came while something else was waited for.
    events: VecDeque<Value>,
    asked: u64,
    folder: TempDir,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) width: u32,
    pub(crate) is_phone: bool,
    pub(crate) is_dark: bool,
}

/// A page that is open.
#[derive(Debug)]
pub(crate) struct BrowserPage<'b> {
    browser: &'b mut Browser,
    session: String,
    target: String,
    /// What happened to it so far.
    events: Vec<Value>,
}

impl Browser {
    /// Starts Chromium. Where there is none the caller's test is skipped, but not in CI, which has to have one.
    pub(crate) fn start() -> Option<Self> {
        let Some(chromium) = chromium() else {
            let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!is_ci, "there is no `chromium`, which CI installs");
            eprintln!("SKIPPED: there is no `chromium`, the browser that the page is shown to");
            return None;
        };
        let folder = TempDir::with_prefix("greenroom-browser-").unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", WITH_PIPES])
            .arg(chromium)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (to, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let from = messages(answers);
        Some(Self { process, to, from, events: VecDeque::new(), asked: 0, folder })
    }

    /// Opens a file and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path, view: View) -> BrowserPage<'_> {
        let target = self.ask(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let target = target["targetId"].as_str().unwrap().to_owned();
        let attached = self.ask(
            None,
            "Target.attachToTarget",
            &json!({ "targetId": target, "flatten": true }),
        );
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let mut page = BrowserPage { browser: self, session, target, events: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network", "Inspector"] {
            page.ask(&format!("{domain}.enable"), &json!({}));
        }
        page.look(view);
        page.ask("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        page.wait_for("Page.loadEventFired");
        page
    }

    /// Asks, and waits for the answer.
    fn ask(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.next(deadline, method);
            if message["id"] == self.asked {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    fn next(&mut self, deadline: Instant, awaited: &str) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        self.from.recv_timeout(left).unwrap_or_else(|error| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            panic!("no answer to {awaited}: {error}\nthe browser's log:\n{log}")
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it only when it may end by itself. All fails when it has ended already.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            let _ = self.from.recv_timeout(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl BrowserPage<'_> {
    /// Changes how it is looked at.
    pub(crate) fn look(&mut self, view: View) {
        let View { width, is_phone, is_dark } = view;
        let height = if is_phone { 844 } else { 800 };
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.ask("Runtime.evaluate", &wanted);
        let exception = answer["exceptionDetails"].take();
        assert!(exception.is_null(), "{expression}: {exception}");
        answer["result"]["value"].take()
    }

    /// Waits until a condition of the page holds.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, condition: &str) {
        within(PATIENCE, condition, || (self.evaluate(condition) == true).then_some(()));
    }

    /// Puts the pointer on the middle of the first element that this selects.
    pub(crate) fn point_at(&mut self, selector: &str) {
        let middle = self.evaluate(&format!(
            "(() => {{ const one = document.querySelector({}); one.scrollIntoView({{ behavior: 'instant' }}); \
             const box = one.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        let place = json!({ "type": "mouseMoved", "x": middle[0], "y": middle[1] });
        self.ask("Input.dispatchMouseEvent", &place);
    }

    /// What the page complained about: errors and warnings of its scripts, of the browser about it, dialogs.
    pub(crate) fn troubles(&mut self) -> Vec<String> {
        let is_trouble = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
            "Runtime.consoleAPICalled" => {
                ["error", "warning", "assert"].iter().any(|kind| event["params"]["type"] == *kind)
            }
            "Log.entryAdded" => {
                ["error", "warning"].iter().any(|level| event["params"]["entry"]["level"] == *level)
            }
            method => [
                "Runtime.exceptionThrown",
                "Page.javascriptDialogOpening",
                "Inspector.targetCrashed",
            ]
            .contains(&method),
        };
        self.happened().iter().filter(is_trouble).map(Value::to_string).collect()
    }

    /// The address of everything that the page asked for, itself included.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        let requests = self.happened().iter();
        let requests = requests.filter(|event| event["method"] == "Network.requestWillBeSent");
        let address =
            |event: &Value| event["params"]["request"]["url"].as_str().unwrap().to_owned();
        requests.map(address).collect()
    }

    /// The whole page as a picture.
    pub(crate) fn picture(&mut self, file: &Path) {
        let size = self.ask("Page.getLayoutMetrics", &json!({}))["cssContentSize"].take();
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let wanted = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.ask("Page.captureScreenshot", &wanted);
        fs::write(file, STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// How many elements this selects.
    #[track_caller]
    pub(crate) fn count(&mut self, selector: &str) -> usize {
        let count =
            self.evaluate(&format!("document.querySelectorAll({}).length", json!(selector)));
        usize::try_from(count.as_u64().unwrap()).unwrap()
    }

    /// Nothing reaches over the right edge, and no table over that of its card.
    #[track_caller]
    pub(crate) fn assert_fits(&mut self, width: u32) {
        assert_eq!(self.evaluate("innerWidth"), width);
        let too_wide = self.evaluate(
            "[document.scrollingElement, ...document.querySelectorAll('.table')] \
             .filter((one) => one.scrollWidth > one.clientWidth) \
             .map((one) => one.outerHTML.slice(0, 200))",
        );
        let reaching = self.evaluate(
            "[...document.querySelectorAll('body *')] \
             .filter((one) => one.getBoundingClientRect().right > innerWidth + 1) \
             .map((one) => one.outerHTML.slice(0, 200))",
        );
        assert_eq!((too_wide, reaching), (json!([]), json!([])), "at a width of {width}");
    }

    /// No complaint of the browser, and not one request but for the page.
    #[track_caller]
    pub(crate) fn assert_quiet(&mut self, file: &Path) {
        assert_eq!(self.troubles(), Vec::<String>::new());
        assert_eq!(self.requests(), [format!("file://{}", file.display())]);
    }

    /// Keeps a picture of it where somebody wants to see some (`GREENROOM_PICTURES`).
    pub(crate) fn keep_picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("GREENROOM_PICTURES") {
            fs::create_dir_all(&folder).unwrap();
            self.picture(&Path::new(&folder).join(format!("{name}.png")));
        }
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.browser.ask(Some(&self.session), method, parameters)
    }

    /// All that happened to the page, in order.
    fn happened(&mut self) -> &[Value] {
        // An answer comes behind what happened before it.
        self.evaluate("0");
        self.gather();
        &self.events
    }

    fn gather(&mut self) {
        let session = &self.session;
        let own = self.browser.events.drain(..).filter(|event| event["sessionId"] == *session);
        self.events.extend(own);
    }

    fn wait_for(&mut self, method: &str) {
        let deadline = Instant::now() + PATIENCE;
        self.gather();
        while !self.events.iter().any(|event| event["method"] == method) {
            let event = self.browser.next(deadline, method);
            self.browser.events.push_back(event);
            self.gather();
        }
    }
}

impl Drop for BrowserPage<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.browser.ask(None, "Target.closeTarget", &json!({ "targetId": self.target }));
        }
    }
}

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
    folders.map(|folder| folder.join("chromium")).find(|file| file.is_file())
}

/// The messages of a browser, until it ends.
fn messages(from: impl Read + Send + 'static) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(from).split(0) {
            let Ok(message) = message else { return };
            let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}
