//! A browser shows what the report says, all of it and nothing else.
//!
//! The reports are made by `make_reports.py`. With `GREENROOM_PICTURES=FOLDER` the pages are photographed, for people
//! who want to see them.

pub(crate) mod schema;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use greenroom::api::{PageLinks, shadow_page};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Browser, BrowserPage, View, package};

const LAPTOP: View = View { width: 1280, is_phone: false, is_dark: false };
const PHONE: View = View { width: 390, is_phone: true, is_dark: true };

/// A report as a page, in a file.
struct Shown {
    answer: Value,
    file: PathBuf,
    _folder: TempDir,
}

#[test]
fn every_figure_draws_what_the_report_says() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::fixture("classification");
    let mut page = shown.open(&mut browser, LAPTOP);
    let report = &shown.answer["reports"][0];
    let output = &report["outputs"][1];
    let hours = length(&report["sampling"]["by_hour"]);
    let evidence = length(&report["evidence"]);
    let [changed, kept] = [true, false].map(|changed| cells(output, changed));
    for (nodes, expected) in [
        ("[data-plot=evidence] g.for path", 1),
        ("[data-plot=evidence] g.against path", 1),
        ("[data-plot=evidence] g.threshold line", 2),
        ("[data-plot=estimate] g.band path", 1),
        ("[data-plot=estimate] g.threshold line", 2),
        ("[data-plot=agreement] g.hours circle", hours),
        ("[data-plot=agreement] g.whiskers line", hours),
        ("[data-plot=agreement] g.executed rect", hours),
        ("[data-plot=transitions] g.changed rect", changed),
        ("[data-plot=transitions] g.kept rect", kept),
        ("[data-plot=class-share] g.stable rect", length(&output["class_share"])),
        ("[data-plot=class-share] g.candidate rect", length(&output["class_share"])),
        ("[data-plot=margins] g.bins rect", bins(output)),
        ("[data-plot=margins] g.whiskers line", bins(output)),
        ("[data-plot=scatter] g.points circle", length(&output["scatter"])),
        ("[data-plot=scatter] g.diagonal path", 1),
        ("[data-plot=residuals] g.points circle", length(&output["scatter"])),
        ("[data-plot=ecdf-abs] g.candidate path", 1),
        ("[data-plot=ecdf-abs] g.noise path", 1),
        ("[data-plot=latency] g.candidate path", 1),
        ("[data-plot=latency] g.same line", 1),
        ("[data-plot=drops-reason] g.reasons rect", 3),
        ("[data-plot=drops-size] g.sizes rect", length(&report["sampling"]["by_size"])),
        ("[data-plot=slices] g.slices circle", length(&report["slices"])),
        ("[data-table=gates] tbody tr", length(&report["verdict"]["gates"])),
        ("[data-table=latency] tbody tr", 3),
        ("[data-table=slices] tbody tr", length(&report["slices"])),
        ("[data-table=metrics]:first-of-type", 2),
        ("[data-list=worst] .example", length(&report["worst"])),
        ("[data-list=worst] .copy", length(&report["worst"])),
    ] {
        assert_eq!(page.count(nodes), expected, "{nodes}");
    }
    // A corner for each point, on a staircase one more for each but the first.
    for (curve, expected) in [
        ("[data-plot=evidence] g.for path", evidence),
        ("[data-plot=estimate] g.value path", evidence),
        ("[data-plot=ecdf-abs] g.candidate path", staircase(length(&output["ecdf"]["abs"]))),
        ("[data-plot=ecdf-abs] g.noise path", staircase(length(&output["ecdf"]["noise"]))),
        ("[data-plot=latency] g.candidate path", staircase(length(&report["latency"]["ecdf"]))),
    ] {
        assert_eq!(page.corners(curve), expected, "{curve}");
    }
    page.assert_quiet(&shown.file);
    page.keep_picture("classification-laptop");
}

#[test]
fn figures_without_data_are_not_drawn() {
    let Some(mut browser) = Browser::start() else { return };
    for (fixture, figures, tables) in [
        ("empty", json!([]), json!([])),
        ("begun", json!([]), json!(["gates"])),
        (
            "embedding",
            json!([
                "evidence",
                "estimate",
                "agreement",
                "ecdf-cosine",
                "latency",
                "drops-reason",
                "drops-size"
            ]),
            json!(["gates", "metrics", "latency", "noise"]),
        ),
        (
            "regression",
            json!([
                "evidence",
                "estimate",
                "agreement",
                "ecdf-abs",
                "scatter",
                "residuals",
                "latency",
                "slices",
                "drops-reason",
                "drops-size"
            ]),
            json!(["gates", "metrics", "latency", "slices", "noise"]),
        ),
    ] {
        let shown = Shown::fixture(fixture);
        let mut page = shown.open(&mut browser, LAPTOP);
        assert_eq!(page.names("plot"), figures, "{fixture}");
        assert_eq!(page.names("table"), tables, "{fixture}");
        assert_eq!(page.count("figure"), length(&figures), "{fixture}");
        assert_eq!(page.count("figure svg:empty, section:empty, figure .canvas:empty"), 0);
        page.assert_quiet(&shown.file);
        page.keep_picture(&format!("{fixture}-laptop"));
    }
}

#[test]
fn what_pairs_cost_is_said_in_plain_words() {
    let Some(mut browser) = Browser::start() else { return };
    for (fixture, words) in [
        (
            "classification",
            "Pairs slow the stable version down by less than 1.5\u{a0}% (95\u{a0}%), and its",
        ),
        ("regression", "Less than 2\u{a0}% needs about 240 more blocks. Seen in 61 blocks of time"),
        ("regression", "so there are half as many now"),
    ] {
        let shown = Shown::fixture(fixture);
        let mut page = shown.open(&mut browser, LAPTOP);
        let said = page.evaluate("document.querySelector('[data-part=interference]').textContent");
        assert!(said.as_str().unwrap().contains(words), "{said}");
        page.assert_quiet(&shown.file);
    }
}

#[test]
fn members_that_are_null_are_as_good_as_absent() {
    let Some(mut browser) = Browser::start() else { return };
    let mut nothing = answer("begun");
    let report = nothing["reports"][0].as_object_mut().unwrap();
    for member in ["sampling", "noise", "evidence", "outputs", "latency", "errors", "contract"] {
        report.insert(member.to_owned(), Value::Null);
    }
    report["verdict"]["gates"][0]["prove"] = Value::Null;
    let shown = Shown::new(nothing);
    let mut page = shown.open(&mut browser, LAPTOP);
    assert_eq!(page.names("table"), json!(["gates"]));
    assert_eq!(page.count("figure, .notice"), 0);
    page.assert_quiet(&shown.file);
}

#[test]
fn the_value_under_the_pointer_is_told() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::fixture("classification");
    let mut page = shown.open(&mut browser, LAPTOP);
    for (plot, mark, words) in [
        ("scatter", "g.points circle", "candidate"),
        ("transitions", "g.changed rect", "of stable's"),
        ("agreement", "g.hours circle", "agree"),
        ("margins", "g.bins rect", "margin 0 to 0.1"),
        ("evidence", "g.for path", "against:"),
        ("latency", "g.candidate path", "of pairs"),
    ] {
        page.point_at(&format!("[data-plot={plot}] {mark}"));
        page.wait_until(&format!(
            "document.querySelector('[data-plot={plot}] g[aria-label=tip]')?.textContent.includes({})",
            json!(words)
        ));
    }
    page.assert_quiet(&shown.file);
}

#[test]
fn no_word_of_a_report_does_anything() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::fixture("hostile");
    let mut page = shown.open(&mut browser, LAPTOP);
    assert_eq!(page.evaluate("window.broken"), Value::Null);
    // The markup of our own has these, and four scripts: the answer, the library's two, the page's.
    for (nodes, expected) in [
        ("img, iframe, object, embed, base, form, link, svg[onload], [onerror], [onload]", 0),
        ("script", 4),
        ("main > *", 1),
        ("a[href]:not([href^='#'])", 0),
    ] {
        assert_eq!(page.count(nodes), expected, "{nodes}");
    }
    let report = &shown.answer["reports"][0];
    let cells = cells(&report["outputs"][1], true) + cells(&report["outputs"][1], false);
    assert_eq!(
        page.count("[data-plot=transitions] g.changed rect, [data-plot=transitions] g.kept rect"),
        cells
    );
    assert_eq!(page.count("[data-table=slices] tbody tr"), length(&report["slices"]));
    assert_eq!(page.count(".contract li"), length(&report["contract"]));
    let text = page.evaluate("document.querySelector('main').textContent");
    for words in [&report["model"], &report["rollout"], &report["verdict"]["reason"]] {
        assert!(text.as_str().unwrap().contains(words.as_str().unwrap()), "{words}");
    }
    page.assert_quiet(&shown.file);
    page.keep_picture("hostile-laptop");
}

#[test]
fn every_page_fits_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    for fixture in ["classification", "embedding", "empty", "hostile"] {
        let shown = Shown::fixture(fixture);
        let mut page = shown.open(&mut browser, PHONE);
        page.assert_fits(390);
        page.keep_picture(&format!("{fixture}-phone-dark"));
        // What has figures is drawn anew when the phone is turned.
        for width in [844, 1280] {
            page.look(View { width, ..LAPTOP });
            page.wait_until(&format!("innerWidth === {width} && {ALL_DRAWN}"));
            page.assert_fits(width);
        }
        page.assert_quiet(&shown.file);
    }
}

#[test]
fn an_example_is_asked_again_by_one_command() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::fixture("classification");
    let mut page = shown.open(&mut browser, LAPTOP);
    let versions = "http://127.0.0.1:8000/v1/models/ticket-router/versions";
    let expected = format!(
        "sample=$(curl -sS 'http://127.0.0.1:8002/shadow/samples/s-000001')\n\
         printf '%s' \"$sample\" | curl -sS '{versions}/2026-08-12:predict' -d @-\n\
         printf '%s' \"$sample\" | curl -sS '{versions}/2026-08-30:predict' -d @-"
    );
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }, 0");
    page.evaluate("document.querySelector('[data-list=worst] .copy').click()");
    page.wait_until("document.querySelector('[data-list=worst] .told').textContent === 'Copied'");
    assert_eq!(page.evaluate("copied"), expected);
    // Of an example whose inputs were not kept, only what was kept is fetched.
    let without = "[...document.querySelectorAll('.example')].find((example) => \
                   example.textContent.includes('inputs not kept')).querySelector('pre').textContent";
    let command = page.evaluate(without);
    assert_eq!(command, "curl -sS 'http://127.0.0.1:8002/shadow/samples/s-000006'");
}

#[test]
fn no_name_breaks_out_of_a_command() {
    let Some(mut browser) = Browser::start() else { return };
    let shown = Shown::fixture("hostile");
    let mut page = shown.open(&mut browser, LAPTOP);
    let commands = page.evaluate(
        "[...document.querySelectorAll('.command code')].map((code) => code.textContent)",
    );
    let commands = commands.as_array().unwrap();
    assert!(commands.len() > 10, "{commands:?}");
    let folder = TempDir::with_prefix("greenroom-commands-").unwrap();
    for command in commands {
        // In place of curl stands a function that asks nobody and tells whether its address is one of ours.
        let script = format!("{IN_PLACE_OF_CURL}\n{}", command.as_str().unwrap());
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let is_good = output.status.success() && told.contains("ran") && !told.contains("astray");
        assert!(is_good, "{command}: {told}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a name has become a command");
}

#[test]
fn several_reports_are_reached_from_the_top() {
    let Some(mut browser) = Browser::start() else { return };
    let fixtures = ["classification", "regression", "embedding"].map(answer);
    let reports: Vec<&Value> = fixtures.iter().map(|answer| &answer["reports"][0]).collect();
    let shown = Shown::new(json!({ "schema": "shadow.report/1", "reports": reports }));
    let mut page = shown.open(&mut browser, LAPTOP);
    assert_eq!(page.count(".reports a"), 3);
    assert_eq!(page.count("article [data-plot=evidence]"), 3);
    let reached = page.evaluate(
        "[...document.querySelectorAll('.reports a')].map((link) => \
         document.querySelector(link.hash).querySelector('h2').textContent.split(' ')[0])",
    );
    assert_eq!(reached, json!(["ticket-router", "delivery-time", "phrase-vectors"]));
    page.assert_quiet(&shown.file);
    page.keep_picture("several-laptop");
}

const IN_PLACE_OF_CURL: &str =
    "curl() { case $2 in http://127.0.0.1:800[02]/*) echo ran;; *) echo astray;; esac; }";

/// True once each figure is drawn in the width that it has now.
const ALL_DRAWN: &str = "[...document.querySelectorAll('.canvas')].every((canvas) => \
                         canvas.firstChild && canvas.drawnWidth === Math.floor(canvas.clientWidth))";

impl Shown {
    fn fixture(name: &str) -> Self {
        Self::new(answer(name))
    }

    fn new(answer: Value) -> Self {
        let folder = TempDir::with_prefix("greenroom-page-").unwrap();
        let file = folder.path().join("report.html");
        let links = PageLinks {
            inference: "http://127.0.0.1:8000".to_owned(),
            admin: "http://127.0.0.1:8002/".to_owned(),
            admin_wants_token: false,
        };
        fs::write(&file, shadow_page(&answer, &links)).unwrap();
        Self { answer, file, _folder: folder }
    }

    /// Opens it and waits until all of it is drawn.
    fn open<'b>(&self, browser: &'b mut Browser, view: View) -> BrowserPage<'b> {
        let mut page = browser.open(&self.file, view);
        page.wait_until(ALL_DRAWN);
        page
    }
}

impl BrowserPage<'_> {
    /// How many points the one path that this selects goes through.
    fn corners(&mut self, selector: &str) -> usize {
        let path = format!("document.querySelector({}).getAttribute('d')", json!(selector));
        self.evaluate(&path).as_str().unwrap().matches(['M', 'L']).count()
    }

    /// The names of the figures (`plot`) or tables (`table`), in their order.
    fn names(&mut self, what: &str) -> Value {
        self.evaluate(&format!(
            "[...document.querySelectorAll('[data-{what}]')].map((one) => one.dataset.{what})"
        ))
    }
}

fn answer(name: &str) -> Value {
    let file = package().join(format!("tests/integration/shadow_page/{name}.json"));
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn length(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

fn cells(output: &Value, changed: bool) -> usize {
    let cells = output["transitions"].as_array().unwrap().iter();
    cells.filter(|cell| (cell["from"] != cell["to"]) == changed).count()
}

/// The bins of margins that have rows.
fn bins(output: &Value) -> usize {
    output["margins"].as_array().unwrap().iter().filter(|bin| bin["n"] != 0).count()
}

/// A curve of steps begins at the left edge and ends at the right one.
fn staircase(points: usize) -> usize {
    2 * (points + 2) - 1
}
