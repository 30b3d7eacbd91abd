//! The page of `/docs` in a browser: it shows every operation, fits every screen, and asks nobody for anything.
//!
//! With `GREENROOM_PICTURES=FOLDER` it is photographed, as the shadow report's page is.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Described, plan};
use crate::support::{Browser, BrowserPage, TestServer, View};

const LAPTOP: View = View { width: 1280, is_phone: false, is_dark: false };
const PHONE: View = View { width: 390, is_phone: true, is_dark: true };

/// The page that a server gave, in a file.
struct Shown {
    server: TestServer,
    file: PathBuf,
    _folder: TempDir,
}

impl Shown {
    fn new() -> Self {
        let server = plan().start();
        let folder = TempDir::with_prefix("greenroom-docs-").unwrap();
        let file = folder.path().join("docs.html");
        fs::write(&file, server.get("/docs").body).unwrap();
        Self { server, file, _folder: folder }
    }

    fn open<'b>(&self, browser: &'b mut Browser, view: View) -> BrowserPage<'b> {
        browser.open(&self.file, view)
    }
}

#[test]
fn the_page_is_one_that_a_browser_may_keep_to_itself() {
    let answer = plan().start().get("/docs");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn every_operation_is_shown_on_every_screen() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::new();
    let operations = Described::by(&shown.server).operations().count();
    for (name, view) in [
        ("laptop", LAPTOP),
        ("laptop-dark", View { is_dark: true, ..LAPTOP }),
        ("phone", View { is_dark: false, ..PHONE }),
        ("phone-dark", PHONE),
    ] {
        let mut page = shown.open(&mut browser, view);
        assert_eq!(page.count("details.operation"), operations);
        assert_eq!(page.count("details.operation[open]"), 0);
        page.assert_fits(view.width);
        page.keep_picture(&format!("docs-{name}"));
        for id in ["predict", "infer", "rollout", "command_rollout"] {
            page.evaluate(&format!("document.getElementById('{id}').open = true"));
        }
        page.keep_picture(&format!("docs-open-{name}"));
        page.evaluate("document.querySelector('#all').click()");
        assert_eq!(page.count("details.operation[open]"), operations);
        page.evaluate("document.querySelectorAll('.fields').forEach((one) => (one.open = true))");
        page.assert_fits(view.width);
        page.assert_quiet(&shown.file);
    }
}

#[test]
fn an_operation_is_found_by_the_words_of_its_line() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::new();
    let mut page = shown.open(&mut browser, LAPTOP);
    let found = |page: &mut BrowserPage<'_>, words: &str| {
        page.evaluate(&format!(
            "(() => {{ const field = document.querySelector('#wanted'); field.value = {}; \
             field.dispatchEvent(new Event('input')); \
             return [...document.querySelectorAll('details.operation:not([hidden])')].map((one) => one.id); }})()",
            json!(words)
        ))
    };
    let predictions = json!(["predict", "predict_version", "predict_label"]);
    assert_eq!(found(&mut page, "post :PREDICT"), predictions);
    assert_eq!(page.count(".group:not([hidden])"), 1);
    assert_eq!(found(&mut page, "nothing of the kind"), json!([]));
    let all = found(&mut page, "");
    assert_eq!(all.as_array().unwrap().len(), page.count("details.operation"));
    page.assert_quiet(&shown.file);
}

#[test]
fn a_link_opens_its_operation_and_a_command_is_copied_whole() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::new();
    let mut page = shown.open(&mut browser, LAPTOP);
    page.evaluate("location.hash = '#infer', 0");
    page.wait_until("document.querySelector('#infer').open");
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }, 0");
    page.evaluate("document.querySelector('#infer .copy').click()");
    page.wait_until("document.querySelector('#infer .told').textContent === 'Copied'");
    let copied = page.evaluate("copied");
    let address = format!("curl -sS 'http://{}/v2/models/iris/infer' -d '{{", shown.server.http());
    assert!(copied.as_str().unwrap().starts_with(&address), "{copied}");
    page.assert_quiet(&shown.file);
}

#[test]
fn every_command_of_the_page_asks_this_server_something_it_knows() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::new();
    let mut page = shown.open(&mut browser, LAPTOP);
    let commands = page.evaluate(
        "[...document.querySelectorAll('.command code')].map((code) => code.textContent)",
    );
    let commands: Vec<&str> =
        commands.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let requests = Described::by(&shown.server).requests();
    assert!(commands.len() > requests.len(), "{commands:?}");
    for command in commands.into_iter().filter(|command| !command.contains("/events")) {
        let shell = format!("{command} -o /dev/null -w '%{{http_code}} %{{errormsg}}'");
        let output = std::process::Command::new("sh").args(["-c", &shell]).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(["200", "404", "409"].contains(&&told[..3]), "{command}: {told}");
    }
}
