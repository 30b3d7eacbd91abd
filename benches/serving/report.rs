//! What was measured, and the file that keeps it for comparisons.
//!
//! The file is one object: `cores`, `window_seconds`, `resident_kib` (of the process: before our server was started, and
//! with its models) and `scenes`, in the order in which they were measured. A scene is one of three kinds:
//!
//! - a contest has `name`, `model`, `protocol`, `connections`, `rate` (of an open loop, in requests a second; else null),
//!   `note`, `request_bytes`; `ratios` by contender (`floor`, `raw`, or a URL) and figure, each with `ours` (to it) and
//!   `itself` (after to before) as `low`, `median` and `high` quartiles over the rounds; and `rounds`, each with the window
//!   of `ours` and the two of each of the `others`, before and after. A window has `requests_per_second`, `p50_us`, `p99_us`,
//!   `p999_us`, `server_cpu_us` and `client_cpu_us` per request, `resident_kib`, and `others`, the share of the machine that
//!   other processes took. The server's time and memory are those of this process, so there are none of other servers.
//! - an event has `beside`, what happened; `ratios` of windows beside it to quiet ones; and its `rounds`.
//! - anything else has its `figures`.

use std::error::Error;
use std::path::Path;

use greenroom::system::cores::Cores;
use serde_json::{Value, json};

use crate::beside::{self, OursAndFloor, Stretch};
use crate::figures::Quartiles;
use crate::measure::{Plan, Round, Window};
use crate::scene::Scene;
use crate::table;

/// What was measured so far.
pub(crate) struct Report {
    plan: Plan,
    /// Of the process, before our server was started and with it.
    resident: [u64; 2],
    scenes: Vec<Value>,
}

/// A scene in which all are asked the same.
pub(crate) struct Row<'r> {
    pub(crate) scene: &'r Scene,
    pub(crate) note: Option<String>,
    /// Of an open loop.
    pub(crate) per_second: Option<f64>,
    pub(crate) others: Vec<String>,
    pub(crate) rounds: Vec<Round>,
}

/// Takes it out of a window.
type Figure = fn(&Window) -> f64;

/// What is compared: its name in the file, its name for people, and where it stands.
const FIGURES: [(&str, &str, Figure); 6] = [
    ("requests_per_second", "requests/s", |window| window.requests_per_second),
    ("p50_us", "p50", |window| window.p50_us),
    ("p99_us", "p99", |window| window.p99_us),
    ("p999_us", "p99.9", |window| window.p999_us),
    ("server_cpu_us", "server CPU", |window| window.server_cpu_us),
    ("resident_kib", "resident memory", |window| window.resident_kib as f64),
];

/// What our server can be compared in with another: of the process of another server nothing is known but its answers.
pub(crate) fn figures_beside(
    other: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, Figure)> {
    let is_known = !is_url(other);
    let of_process = ["server_cpu_us", "resident_kib"];
    FIGURES.iter().filter(move |(figure, ..)| is_known || !of_process.contains(figure))
}

/// Whether a contender runs elsewhere.
pub(crate) fn is_url(contender: &str) -> bool {
    contender.contains("://")
}

impl Report {
    pub(crate) fn new(plan: Plan, resident: [u64; 2]) -> Self {
        Self { plan, resident, scenes: Vec::new() }
    }

    pub(crate) fn print_head(&self) {
        let Plan { rounds, window, .. } = self.plan;
        println!(
            "{}; {rounds} rounds of {} ms windows, ours between two of each other; medians (quartiles)",
            Cores::available(),
            window.as_millis()
        );
        let [before, with] = self.resident.map(|kib| kib / 1024);
        println!(
            "resident memory: {before} MiB before our server was started, {with} MiB with its models"
        );
    }

    /// Prints a scene's figures and keeps them for the file.
    pub(crate) fn add(&mut self, row: &Row<'_>) {
        let Row { scene, note, per_second, others, rounds } = row;
        table::print_row(row);
        let ratios = others.iter().enumerate().map(|(at, name)| {
            let figures = figures_beside(name).map(|(figure, _, of)| {
                let to = Quartiles::of(rounds.iter().map(|round| round.ours_to(at, of)));
                let itself = Quartiles::of(rounds.iter().map(|round| round.to_itself(at, of)));
                let ratio = json!({ "ours": quartiles_json(to), "itself": quartiles_json(itself) });
                ((*figure).to_owned(), ratio)
            });
            (name.clone(), Value::Object(figures.collect()))
        });
        self.scenes.push(json!({
            "name": scene.name,
            "model": scene.model,
            "protocol": scene.protocol.name(),
            "connections": scene.connections,
            "rate": per_second,
            "note": note,
            "request_bytes": scene.request.len(),
            "ratios": Value::Object(ratios.collect()),
            "rounds": rounds.iter().map(|round| round_json(others, round)).collect::<Vec<_>>(),
        }));
    }

    /// Keeps figures of another kind for the file.
    pub(crate) fn add_figures(&mut self, name: &str, figures: Value) {
        self.scenes.push(json!({ "name": name, "figures": figures }));
    }

    /// The same for what requests notice of something beside them.
    pub(crate) fn add_beside(
        &mut self,
        name: &str,
        model: &str,
        what: &str,
        rounds: &[beside::Round],
    ) {
        println!("\n{name} (`{model}`; {what})");
        println!(
            "{:<14}{:>12}{:>10}{:>10}{:>10}{:>10}",
            "", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "s"
        );
        print_stretches("quiet", rounds.iter().map(|round| &round.quiet));
        print_stretches("beside", rounds.iter().map(|round| &round.beside));
        print_stretches("quiet again", rounds.iter().map(|round| &round.quiet_again));
        let to_quiet = |of: fn(&Stretch) -> f64| {
            Quartiles::of(rounds.iter().map(|round| round.beside_to_quiet(of)))
        };
        let p99 = |stretch: &Stretch| stretch.p99_us;
        let quiet_p99 = Quartiles::of(rounds.iter().map(|round| round.quiet_to_quiet(p99)));
        let (p50, p99) = (to_quiet(|stretch| stretch.p50_us), to_quiet(p99));
        table::print_ratio("p99, beside to quiet", p99);
        table::print_ratio("p99, quiet to itself", quiet_p99);
        table::print_ratio("p50, beside to quiet", p50);
        self.scenes.push(json!({
            "name": name,
            "model": model,
            "beside": what,
            "ratios": {
                "p99": quartiles_json(p99),
                "quiet_p99": quartiles_json(quiet_p99),
                "p50": quartiles_json(p50),
            },
            "rounds": rounds.iter().map(beside_json).collect::<Vec<_>>(),
        }));
    }

    /// The same where the floor was beside it as well.
    pub(crate) fn add_beside_with_floor(
        &mut self,
        name: &str,
        model: &str,
        what: &str,
        rounds: &OursAndFloor,
    ) {
        self.add_beside(name, model, what, &rounds.ours);
        let of_floor = format!("{what}; the floor");
        self.add_beside(name, model, &of_floor, &rounds.floor);
        let p99 = rounds.ours_to_floor(|stretch| stretch.p99_us);
        table::print_ratio(
            "p99 beside to quiet, ours to the floor's",
            Quartiles::of(p99.into_iter()),
        );
    }

    /// Writes the file: where it is said, or into the build folder.
    pub(crate) fn write(&self, file: Option<&Path>) -> Result<(), Box<dyn Error>> {
        // Cargo's folder for such things is beside the one that we want.
        let usual = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        let path = file.map_or_else(|| usual.join("serving.json"), Path::to_path_buf);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let report = json!({
            "cores": Cores::available().count,
            "window_seconds": self.plan.window.as_secs_f64(),
            "resident_kib": self.resident,
            "scenes": self.scenes,
        });
        std::fs::write(&path, format!("{report:#}\n"))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

fn print_stretches<'a>(name: &str, stretches: impl Iterator<Item = &'a Stretch> + Clone) {
    let median = |of: fn(&Stretch) -> f64| Quartiles::of(stretches.clone().map(of)).median;
    println!(
        "{name:<14}{:>12.0}{:>10.0}{:>10.0}{:>10.0}{:>10.2}",
        median(|stretch| stretch.requests_per_second),
        median(|stretch| stretch.p50_us),
        median(|stretch| stretch.p99_us),
        median(|stretch| stretch.p999_us),
        median(|stretch| stretch.seconds),
    );
}

fn quartiles_json(Quartiles { low, median, high }: Quartiles) -> Value {
    json!({ "low": low, "median": median, "high": high })
}

fn round_json(names: &[String], round: &Round) -> Value {
    let others = names.iter().zip(&round.others).map(|(name, around)| {
        let mut windows = [around.before, around.after].map(|window| window_json(&window));
        if is_url(name) {
            let of_process = |window: &mut Value| {
                window["server_cpu_us"] = Value::Null;
                window["resident_kib"] = Value::Null;
            };
            windows.iter_mut().for_each(of_process);
        }
        (name.clone(), json!(windows))
    });
    json!({ "ours": window_json(&round.ours), "others": Value::Object(others.collect()) })
}

fn window_json(window: &Window) -> Value {
    let figures = FIGURES.iter().map(|(figure, _, of)| ((*figure).to_owned(), json!(of(window))));
    let mut window_json = Value::Object(figures.collect());
    window_json["client_cpu_us"] = json!(window.client_cpu_us);
    window_json["others"] = json!(window.others);
    window_json
}

fn beside_json(round: &beside::Round) -> Value {
    json!({
        "quiet": stretch_json(&round.quiet),
        "beside": stretch_json(&round.beside),
        "quiet_again": stretch_json(&round.quiet_again),
    })
}

fn stretch_json(stretch: &Stretch) -> Value {
    json!({
        "seconds": stretch.seconds,
        "requests_per_second": stretch.requests_per_second,
        "p50_us": stretch.p50_us,
        "p99_us": stretch.p99_us,
        "p999_us": stretch.p999_us,
        "longest_us": stretch.longest_us,
        "stalls": stretch.stalls,
    })
}
