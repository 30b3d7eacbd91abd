//! How fast the server answers, held against the *floor*: a plain axum handler that reads the same body and
//! answers the same bytes without a model; and against the *raw* loop, which runs the model without a server.
//!
//! All of it runs in this process, and so does the load. Machines are noisy, so windows of half a second alternate:
//! floor, raw, ours, raw again, floor again. A round gives one ratio of ours to each of the others, and one of each
//! to itself, which says how much the machine lies. What counts is the median over the rounds.
//!
//! ```text
//! cargo bench --bench serving -- [--filter TEXT] [--windows 20] [--seconds 0.5] [--connections 1,8,64]
//!                                [--rate N] [--json FILE] [--peer URL --model NAME]
//! ```
//!
//! There are four kinds of scenes:
//!
//! - closed loops, as many requests as can be answered, by protocol and number of connections ([`contests::closed`]);
//! - open loops at a constant rate, whose latency counts from when a request was due, so that a stall is seen by all
//!   who would have asked meanwhile ([`contests::open`]);
//! - events, which compare a server with itself, while something happens and while it does not ([`bench::EVENTS`]);
//! - other servers, where `--peer` names some, and then nothing else ([`contests::peers`]).
//!
//! The report is printed and written to `bench/serving.json` in the build folder, or where `--json` says; [`report`]
//! describes the file. A wrong answer ends the bench. `scripts/bench` makes the large models, runs this, and draws.
//!
//! [`scene`] has the requests; [`wire`] knows how one exchange looks, [`load`] how exchanges follow each other.

mod bench;
mod beside;
mod bodies;
mod call;
mod contests;
mod cpu;
mod figures;
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
mod raw;
mod report;
mod scene;
mod self_test;
mod shadow_shares;
mod shadowing;
mod swap_memory;
mod swapping;
mod table;
mod trial;
mod wire;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use greenroom::config::ShadowMode;

use self::bench::{Bench, EVENTS, Measure, Sizes};
use self::load::Client;
use self::measure::Plan;
use self::ours::Ours;
use self::report::Report;
use self::scene::Scene;

/// Measures the server against a plain axum handler, and against running the model without a server.
#[derive(Debug, Parser)]
struct Flags {
    /// Measure the scenes with this in their names.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Rounds per scene, each with a window for the server and two for each of the others.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    windows: u32,
    /// How long a window is; longer for models whose runs are long.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    seconds: f64,
    /// Connections at once; 1, 8 and 64 where it is not said, and 1 and 8 for large models.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    connections: Vec<u16>,
    /// Requests a second in the open loops; 50 % and 80 % of what the server can where it is not said.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Where the report goes.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder of more models; `bench/models` in the build folder where it is not said.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Another server, as http://HOST:PORT or grpc://HOST:PORT, to be compared with ours; may be repeated.
    #[arg(long, value_name = "URL", requires = "model")]
    peer: Vec<String>,
    /// The model that other servers and ours have.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// MiB of the model that is swapped again and again while memory is looked at.
    #[arg(long, value_name = "MIB", default_value_t = 20)]
    swapped_mebibytes: u64,
    /// Requests that are run again wait on the disk until the server is quiet.
    #[arg(long)]
    deferred: bool,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    greenroom::system::process::prepare();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Only `cargo bench` says so; a test runner wants to know what there is, and whether it works.
    if !has("--bench") || has("--test") {
        return self_test::run(&arguments);
    }
    match measure(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let usual = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench").join("models");
    let models = flags.models.as_deref().unwrap_or(&usual);
    if !models.join("resnet50").is_dir() {
        println!(
            "the large models are not there and are left out: `scripts/bench` makes them, or \
             `scripts/make_models.py --bench {}` with Python",
            models.display()
        );
    }
    let connections: Vec<usize> = flags.connections.iter().copied().map(Into::into).collect();
    let sizes = Sizes {
        large_mebibytes: 100,
        swaps: 100_u32.div_ceil(flags.windows),
        memory_swaps: 200,
        swapped_mebibytes: flags.swapped_mebibytes,
    };
    let mode = if flags.deferred { ShadowMode::Deferred } else { ShadowMode::Live };
    let plan = Plan::new(flags.windows, flags.seconds);
    with_bench(plan, sizes, Some(models), mode, |bench| {
        bench.rate = flags.rate;
        let of_large = if connections.is_empty() { vec![1, 8] } else { connections.clone() };
        if !connections.is_empty() {
            bench.connections.clone_from(&connections);
        }
        match &flags.model {
            Some(model) if !flags.peer.is_empty() => contests::peers(bench, &flags.peer, model)?,
            Some(_) | None => measure_scenes(bench, &flags.filter, &of_large)?,
        }
        bench.report.write(flags.json.as_deref())
    })
}

/// Every scene for a moment, and ourselves as another server.
fn try_all() -> Result<(), Box<dyn Error>> {
    let sizes = Sizes { large_mebibytes: 1, swaps: 2, memory_swaps: 2, swapped_mebibytes: 1 };
    with_bench(Plan::brief(), sizes, None, ShadowMode::Live, |bench| {
        bench.connections = vec![1];
        measure_scenes(bench, "", &[1])?;
        let urls =
            [format!("http://{}", bench.ours.address()), format!("grpc://{}", bench.ours.grpc())];
        contests::peers(bench, &urls, "digits")
    })
}

fn with_bench(
    plan: Plan,
    sizes: Sizes,
    models: Option<&Path>,
    mode: ShadowMode,
    measure: impl FnOnce(&mut Bench<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let client = Client::start()?;
    let before = cpu::resident_kib();
    let ours = Ours::start(models, mode)?;
    let report = Report::new(plan, [before, cpu::resident_kib()]);
    report.print_head();
    let small = scene::small(64).swap_remove(0);
    let connections = vec![1, 8, 64];
    let (client, server) = (&client, &ours);
    measure(&mut Bench {
        client,
        ours: server,
        plan,
        connections,
        rate: None,
        sizes,
        report,
        small,
    })?;
    ours.stop()
}

/// Measures the scenes with `filter` in their names, and prints what comes out.
fn measure_scenes(
    bench: &mut Bench<'_>,
    filter: &str,
    of_large: &[usize],
) -> Result<(), Box<dyn Error>> {
    type OfScene = fn(&mut Bench<'_>, &Scene) -> Result<(), Box<dyn Error>>;
    let mut scenes: Vec<(Scene, OfScene)> = Vec::new();
    let most = bench.connections.iter().copied().max().unwrap_or(1);
    for &connections in &bench.connections {
        // Pixels tell nothing new with fewer connections.
        let small = scene::small(connections).into_iter();
        let small = small.filter(|scene| connections == most || scene.model != "digits");
        scenes.extend(small.map(|scene| (scene, contests::closed as OfScene)));
    }
    for &connections in of_large {
        let large = scene::large(bench.client, bench.ours, connections)?;
        scenes.extend(large.into_iter().map(|scene| (scene, contests::closed as OfScene)));
    }
    let open = scene::small(most).into_iter().filter(|scene| scene.model != "digits");
    scenes.extend(open.map(|scene| {
        let name = format!("{}, open loop", scene.name);
        (Scene { name, ..scene }, contests::open as OfScene)
    }));

    let named = |(scene, _): &(Scene, OfScene)| scene.name.clone();
    let known: Vec<String> =
        scenes.iter().map(named).chain(EVENTS.iter().map(|(name, _)| (*name).to_owned())).collect();
    if !known.iter().any(|name| name.contains(filter)) {
        let known = known.join("; ");
        return Err(format!("no scene has `{filter}` in its name; there are: {known}").into());
    }
    let failed = |name: &str, error: Box<dyn Error>| format!("scene `{name}`: {error}");
    for (scene, measure) in scenes.iter().filter(|(scene, _)| scene.name.contains(filter)) {
        measure(bench, scene).map_err(|error| failed(&scene.name, error))?;
    }
    let events: Vec<&(&str, Measure)> =
        EVENTS.iter().filter(|(name, _)| name.contains(filter)).collect();
    for (name, measure) in events {
        measure(bench).map_err(|error| failed(name, error))?;
    }
    Ok(())
}
