//! How fast the server answers, held against the *floor*: a plain axum handler that reads the same body and
//! answers the same bytes without a model.
//!
//! Both run in this process, and so does the load. Machines are noisy, so windows of half a second alternate:
//! floor, ours, floor again. A round of three gives one ratio of ours to the floor, and one of the floor to
//! itself, which says how much the machine lies. What counts is the median over the rounds.
//!
//! ```text
//! cargo bench --bench serving -- [--filter TEXT] [--windows 20] [--seconds 0.5]
//! ```
//!
//! Four scenes compare a server with itself: [`loading`], [`shadowing`], [`hanging`] and [`hostile_files`], while ours
//! loads a large model, runs every request again on a slow candidate, has candidates that hang or is given files that are
//! to do harm, and while it does not. All but the second do so with the floor as well, which shares the process: what it
//! notices is the machine's doing.
//!
//! The report is printed and written to `bench/serving.json` in the build folder. A wrong answer ends the bench.
//!
//! A scene is a row in [`scenes`]; [`wire`] knows how one exchange looks, [`load`] how exchanges follow each
//! other. A new protocol is a new way to make an [`wire::Exchange`].

mod beside;
mod call;
mod cpu;
mod floor;
mod hanging;
#[expect(dead_code, reason = "the tests know what comes of each file")]
#[path = "../../tests/integration/support/hostile.rs"]
mod hostile;
mod hostile_files;
#[rustfmt::skip]
#[expect(unreachable_pub, clippy::all, reason = "it is written by a program")]
#[path = "../../tests/integration/grpc/generated/inference.rs"]
mod inference;
mod load;
mod loading;
mod measure;
#[path = "../../tests/integration/support/onnx.rs"]
mod onnx;
mod ours;
mod report;
mod scene;
mod shadowing;
mod trial;
mod wire;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use self::hanging::Hanging;
use self::hostile_files::HostileFiles;
use self::load::{Client, Exchange};
use self::loading::Loading;
use self::measure::{Contest, Plan, Round};
use self::ours::Ours;
use self::report::Report;
use self::scene::{Protocol, Scene, scenes};
use self::shadowing::Shadowing;

/// Measures the server against a plain axum handler.
#[derive(Debug, Parser)]
struct Flags {
    /// Measure the scenes with this in their names.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Rounds per scene, each with a window for the server and two for the floor.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    windows: u32,
    /// How long a window is.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    seconds: f64,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What this program was started for.
enum Purpose {
    /// By `cargo bench`: to measure.
    Measure(Flags),
    /// By `cargo test`: to see whether everything works, as quickly as that can be seen.
    Try,
    /// By a test runner: to tell which tests there are. There are none.
    List,
}

impl Purpose {
    fn of_this_start() -> Self {
        let has = |flag| std::env::args().any(|argument| argument == flag);
        if has("--list") {
            Self::List
        } else if has("--bench") && !has("--test") {
            Self::Measure(Flags::parse())
        } else {
            Self::Try
        }
    }
}

fn main() -> ExitCode {
    greenroom::system::process::prepare();
    let outcome = match Purpose::of_this_start() {
        Purpose::Measure(flags) => {
            let plan = Plan::new(flags.windows, flags.seconds);
            measure_scenes(&flags.filter, plan, 100).and_then(|report| report.write())
        }
        Purpose::Try => measure_scenes("", Plan::new(1, 0.05), 1).map(drop),
        Purpose::List => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the scenes with `filter` in their names, and prints what comes out. A large model has so many MiB.
fn measure_scenes(
    filter: &str,
    plan: Plan,
    large_mebibytes: u64,
) -> Result<Report, Box<dyn Error>> {
    let scenes = scenes();
    let known: Vec<_> = scenes
        .iter()
        .map(|scene| scene.name)
        .chain([loading::NAME, shadowing::NAME, hanging::NAME, hostile_files::NAME])
        .collect();
    if !known.iter().any(|name| name.contains(filter)) {
        return Err(format!(
            "no scene has `{filter}` in its name; there are: {}",
            known.join("; ")
        )
        .into());
    }
    let client = Client::start()?;
    let ours = Ours::start()?;
    let mut report = Report::new(plan);
    report.print_head();
    for scene in scenes.iter().filter(|scene| scene.name.contains(filter)) {
        let rounds = measure(scene, &client, &ours, plan)
            .map_err(|error| format!("scene `{}`: {error}", scene.name))?;
        report.add(scene, &rounds);
    }
    if let Some(scene) = scenes.first().filter(|_| loading::NAME.contains(filter)) {
        let mebibytes = large_mebibytes;
        let rounds = Loading { client: &client, ours: &ours, scene, mebibytes }
            .rounds(plan)
            .map_err(|error| format!("scene `{}`: {error}", loading::NAME))?;
        let beside = format!("while one of {mebibytes} MiB is loaded");
        report.add_beside_with_floor(loading::NAME, scene.model, &beside, &rounds);
    }
    if shadowing::NAME.contains(filter) {
        let rounds = Shadowing { client: &client, ours: &ours }
            .rounds(plan)
            .map_err(|error| format!("scene `{}`: {error}", shadowing::NAME))?;
        report.add_beside(shadowing::NAME, shadowing::MODEL, "with a trial", &rounds);
    }
    if let Some(scene) = scenes.first().filter(|_| hanging::NAME.contains(filter)) {
        let rounds = Hanging { client: &client, ours: &ours, scene }
            .rounds(plan)
            .map_err(|error| format!("scene `{}`: {error}", hanging::NAME))?;
        report.add_beside_with_floor(
            hanging::NAME,
            scene.model,
            "with four runs that hang",
            &rounds,
        );
    }
    if let Some(scene) = scenes.first().filter(|_| hostile_files::NAME.contains(filter)) {
        let rounds = HostileFiles { client: &client, ours: &ours, scene }
            .rounds(plan)
            .map_err(|error| format!("scene `{}`: {error}", hostile_files::NAME))?;
        report.add_beside_with_floor(
            hostile_files::NAME,
            scene.model,
            "while hostile files are dropped",
            &rounds,
        );
    }
    ours.stop()?;
    Ok(report)
}

/// The floor learns from our server what to answer; then both are asked the same.
fn measure(
    scene: &Scene,
    client: &Client,
    ours: &Ours,
    plan: Plan,
) -> Result<Vec<Round>, Box<dyn Error>> {
    let address = match scene.protocol {
        Protocol::V1Json | Protocol::V2Json | Protocol::V2Bytes => ours.address(),
        Protocol::Grpc => ours.grpc(),
    };
    let protocol = scene.protocol;
    let answer = client.ask(address, protocol, &scene.request)?;
    let floor = floor::start(scene, &answer)?;
    let floor_answer = client.ask(floor.address(), protocol, &scene.request)?;
    if floor_answer.comparable() != answer.comparable() {
        return Err("the floor's answer is not that of our server".into());
    }
    let exchange =
        Arc::new(Exchange { protocol, request: scene.request.clone(), body: answer.body });
    let mut contest = Contest {
        ours: client.connect(address, scene.connections, exchange.clone())?,
        floor: client.connect(floor.address(), scene.connections, exchange)?,
    };
    contest.rounds(plan)
}
