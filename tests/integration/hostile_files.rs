//! Whatever is dropped into the models' folder, the server goes on: it says what is wrong, nobody else notices, and the
//! next good version is served.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::hostile::{Fate, HOSTILE, Hostile};
use crate::support::{Finally, Models, TestServer, adder, within};

const PATIENCE: Duration = Duration::from_secs(180);
const ROW: &str = r#"{"instances": [[1, 2]]}"#;

/// A server of a good model, in a folder that others lie beside.
fn server(folder: &Path) -> TestServer {
    let models = folder.join("models");
    fs::create_dir_all(models.join("good")).unwrap();
    fs::write(models.join("good/1.onnx"), adder(1.0)).unwrap();
    // A loop without an end is given up once it had a quarter of that on the cores.
    TestServer::with_models(Models::made())
        .flags(&["--models", models.to_str().unwrap()])
        .settings("repository.load_timeout = '20s'")
        .start()
}

/// Writes a version beside the folder, and moves it there in one step.
fn drop_version(folder: &Path, model: &str, version: &str, write: impl Fn(&Path)) {
    let elsewhere = folder.join("elsewhere/model").join(version);
    fs::create_dir_all(&elsewhere).unwrap();
    write(&elsewhere);
    let model = folder.join("models").join(model);
    fs::create_dir_all(&model).unwrap();
    fs::rename(elsewhere, model.join(version)).unwrap();
}

/// What becomes of a hostile version, and then of a good one.
fn drop_hostile(server: &TestServer, folder: &Path, hostile: &Hostile) {
    let Hostile { name, write, fate } = hostile;
    drop_version(folder, name, "1", write);
    let told = |wanted: &str| {
        within(PATIENCE, &format!("`{name}` is {wanted}"), || {
            server.version(name, "1").filter(|version| version["state"] == wanted)
        })
    };
    match fate {
        Fate::NotTaken(part) => within(PATIENCE, name, || {
            let answer = server.get(&format!("/admin/v1/models/{name}"));
            let model = if answer.status == 404 { return None } else { answer.ok() };
            let reason = model["not_taken"][0]["reason"].as_str()?.to_owned();
            assert!(reason.contains(part), "{name}: {reason}");
            Some(())
        }),
        Fate::Refused(part) | Fate::FailsItsTrial(part) => {
            let told = told("quarantined");
            let reason = told["reason"].as_str().unwrap();
            assert!(reason.contains(part), "{name}: {reason}");
        }
        Fate::Answers => {
            told("ready");
            return;
        }
    }
    drop_version(folder, name, "2", |version| {
        fs::write(version.join("model.onnx"), adder(2.0)).unwrap();
    });
    within(PATIENCE, &format!("the next version of `{name}`"), || {
        let answer = server.predict(name, ROW);
        (answer.status == 200 && answer.json() == json!({ "predictions": [[3.0, 4.0]] }))
            .then_some(())
    });
}

#[test]
fn no_file_takes_the_server_down_and_the_next_good_one_is_served() {
    let folder = TempDir::with_prefix("greenroom-hostile-").unwrap();
    let server = server(folder.path());
    let pid = server.pid();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut asked = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = server.predict("good", ROW).ok();
                assert_eq!(answer, json!({ "predictions": [[2.0, 3.0]] }));
                asked += 1;
            }
            asked
        });
        let until = Finally(|| is_over.store(true, Ordering::Relaxed));
        for hostile in HOSTILE {
            drop_hostile(&server, folder.path(), hostile);
        }
        drop(until);
        assert!(client.join().unwrap() > 1000);
    });
    assert_eq!(server.get("/v2/health/live").status, 200);
    assert_eq!(server.pid(), pid);
}
