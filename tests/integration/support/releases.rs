//! Versions that come and go: files as people put them there, and what the server says of them.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::models::adder;
use super::onnx::HeavyAdder;
use super::server::TestServer;
use super::within;

/// How long a release may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What answered a request to an adder: a version, and what it added.
pub(crate) type Served = (String, f64);

/// Whether the tests that take minutes are wanted.
pub(crate) fn is_long() -> bool {
    std::env::var_os("GREENROOM_LONG_TESTS").is_some()
}

/// One row for an adder of which the answer tells what was added.
pub(crate) fn row(model: &str) -> Request {
    Request::predict(model, r#"{"instances": [[0, 1000]]}"#)
}

/// Who answered [`row`], when the answer is whole; else a sentence.
pub(crate) fn whole(answer: &Answer) -> Result<Served, String> {
    let broken = || format!("{} {}", answer.status, answer.text());
    if answer.status != 200 {
        return Err(broken());
    }
    let version = answer.header("x-model-version").ok_or_else(broken)?;
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| broken())?;
    let added = body["predictions"][0][0].as_f64().ok_or_else(broken)?;
    let expected = json!({ "predictions": [[added, 1000.0 + added]] });
    if body == expected { Ok((version.to_owned(), added)) } else { Err(broken()) }
}

impl TestServer {
    /// Puts a file there in one step.
    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let (unfinished, path) = self.beside(path);
        fs::write(&unfinished, content).unwrap();
        fs::rename(unfinished, path).unwrap();
    }

    /// Puts a large model there in one step. The disk does not hold its zeros.
    pub(crate) fn put_heavy(&self, path: &str, model: &HeavyAdder) {
        let (unfinished, path) = self.beside(path);
        let mut file = File::create(&unfinished).unwrap();
        file.write_all(&model.beginning).unwrap();
        file.set_len(model.length).unwrap();
        fs::rename(unfinished, path).unwrap();
    }

    /// Puts a file there in one step that claims to have been changed then.
    pub(crate) fn put_dated(&self, path: &str, content: impl AsRef<[u8]>, date: SystemTime) {
        let (unfinished, path) = self.beside(path);
        fs::write(&unfinished, content).unwrap();
        File::options().append(true).open(&unfinished).unwrap().set_modified(date).unwrap();
        fs::rename(unfinished, path).unwrap();
    }

    /// Writes a file where it is, as `cp` does.
    pub(crate) fn copy(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.models().join(path), content).unwrap();
    }

    /// A file's place, and a name beside it that no model has.
    fn beside(&self, path: &str) -> (PathBuf, PathBuf) {
        let path = self.models().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        (path.with_file_name(format!(".{name}.new")), path)
    }

    /// What operators are told of a model.
    #[track_caller]
    pub(crate) fn told(&self, model: &str) -> Value {
        self.admin_get(&format!("/admin/v1/models/{model}")).ok()
    }

    /// What operators are told of one of a model's versions, once there is something.
    pub(crate) fn version(&self, model: &str, label: &str) -> Option<Value> {
        let answer = self.admin_get(&format!("/admin/v1/models/{model}"));
        let model = if answer.status == 404 { return None } else { answer.ok() };
        let mut versions = model["versions"].as_array().unwrap().iter();
        versions.find(|version| version["version"] == label).cloned()
    }

    /// What operators are told of a model's rollout.
    #[track_caller]
    pub(crate) fn rollout(&self, model: &str) -> Value {
        self.admin_get(&format!("/admin/v1/models/{model}/rollout")).ok()
    }

    /// `stable → candidate phase` of each rollout, the first one first.
    #[track_caller]
    pub(crate) fn history(&self, model: &str) -> Vec<String> {
        let told = self.admin_get(&format!("/admin/v1/models/{model}/rollouts?limit=1000")).ok();
        let line = |rollout: &Value| {
            let text = |key: &str| rollout[key].as_str().unwrap_or("-").to_owned();
            format!("{} → {} {}", text("stable"), text("candidate"), text("phase"))
        };
        told["rollouts"].as_array().unwrap().iter().rev().map(line).collect()
    }

    /// `version state role` of each version of a model.
    #[track_caller]
    pub(crate) fn versions(&self, model: &str) -> Vec<String> {
        let told = self.told(model);
        let line = |version: &Value| {
            let text = |key: &str| version[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("version"), text("state"), text("role"))
        };
        told["versions"].as_array().unwrap().iter().map(line).collect()
    }

    #[track_caller]
    pub(crate) fn admin_get(&self, path: &str) -> Answer {
        self.ask_at(self.admin(), &Request::get(path))
    }

    /// Has an operator ask for something.
    #[track_caller]
    pub(crate) fn operate(&self, model: &str, verb: &str, wish: Value) -> Answer {
        let path = format!("/admin/v1/models/{model}/rollout/{verb}");
        self.ask_at(self.admin(), &Request::post(&path, wish.to_string()))
    }

    /// Who answers now.
    #[track_caller]
    pub(crate) fn served(&self, model: &str) -> Served {
        whole(&self.ask(&row(model))).unwrap_or_else(|answer| panic!("{model}: {answer}"))
    }

    /// Waits until this one answers.
    #[track_caller]
    pub(crate) fn serves(&self, model: &str, version: &str, added: f64) {
        let expected = (version.to_owned(), added);
        within(PATIENCE, &format!("version {version} of {model}, which adds {added}"), || {
            (whole(&self.ask(&row(model))).as_ref() == Ok(&expected)).then_some(())
        });
    }

    /// Waits until what is told of the model's rollout is so.
    #[track_caller]
    pub(crate) fn reaches(&self, model: &str, phase: &str) -> Value {
        within(PATIENCE, &format!("{model} is {phase}"), || {
            Some(self.rollout(model)).filter(|rollout| rollout["phase"] == phase)
        })
    }

    /// Waits until a file that is put there now is served: by then everything that was there before has been
    /// seen, and whatever follows from it has happened or will not.
    #[track_caller]
    pub(crate) fn looks_again(&self) {
        static MARKERS: AtomicUsize = AtomicUsize::new(0);
        let number = MARKERS.fetch_add(1, Ordering::Relaxed) + 1;
        let marker = format!("marker-{number}");
        let added = 0.5 + number as f32;
        self.put(&format!("{marker}.onnx"), adder(added));
        self.serves(&marker, "1", added.into());
    }

    /// Asks a model all the time while something is done. Gives who answered, each as often as it took over.
    #[track_caller]
    pub(crate) fn watched(&self, model: &str, act: impl FnOnce()) -> Vec<Served> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut seen: Vec<Served> = Vec::new();
                let mut connection = self.connect();
                let mut is_last = false;
                while !is_last {
                    is_last = done.load(Ordering::Relaxed); // once more when it is done
                    let served = whole(&connection.ask(&row(model)).unwrap()).unwrap();
                    if seen.last() != Some(&served) {
                        seen.push(served);
                    }
                    std::thread::sleep(Duration::from_millis(1)); // others need the machine, too
                }
                seen
            });
            let guard = Finally(|| done.store(true, Ordering::Relaxed));
            act();
            drop(guard);
            watching.join().unwrap()
        })
    }
}

/// Does something in any case.
pub(crate) struct Finally<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
