//! The table for people, and the file for comparisons.

use std::error::Error;
use std::path::Path;

use greenroom::system::cores::Cores;
use serde_json::{Value, json};

use crate::beside::{self, OursAndFloor, Stretch};
use crate::cpu;
use crate::measure::{Plan, Quartiles, Round, Window};
use crate::scene::Scene;

/// What was measured so far.
pub(crate) struct Report {
    plan: Plan,
    scenes: Vec<Value>,
}

impl Report {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, scenes: Vec::new() }
    }

    pub(crate) fn print_head(&self) {
        let Plan { rounds, window } = self.plan;
        println!(
            "{}; {rounds} rounds of floor, ours, floor again, {} ms each; medians (quartiles)",
            Cores::available(),
            window.as_millis()
        );
    }

    /// Prints a scene's figures and keeps them for the file.
    pub(crate) fn add(&mut self, scene: &Scene, rounds: &[Round]) {
        println!("\n{} (model `{}`)", scene.name, scene.model);
        println!(
            "{:<14}{:>12}{:>10}{:>10}{:>10}{:>16}{:>16}",
            "", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "server µs/req", "client µs/req"
        );
        print_windows("floor", rounds.iter().map(|round| &round.floor));
        print_windows("ours", rounds.iter().map(|round| &round.ours));
        print_windows("floor again", rounds.iter().map(|round| &round.floor_again));
        let ratios = Ratios::of(rounds);
        print_ratio("requests/s, ours to floor", ratios.requests);
        print_ratio("requests/s, floor to itself", ratios.floor_requests);
        print_ratio("p50, ours to floor", ratios.p50);
        print_ratio("p99, ours to floor", ratios.p99);
        print_ratio("server CPU, ours to floor", ratios.server_cpu);
        let resident_kib = cpu::resident_kib();
        println!("resident memory of everything together: {} MiB", resident_kib / 1024);
        let others = Quartiles::of(rounds.iter().map(|round| round.ours.others)).median;
        if others > 0.05 {
            println!("other processes took {:.0} % of the machine", others * 100.0);
        }
        self.scenes.push(json!({
            "name": scene.name,
            "model": scene.model,
            "connections": scene.connections,
            "request_bytes": scene.request.len(),
            "ratios": ratios.json(),
            "resident_kib": resident_kib,
            "rounds": rounds.iter().map(round_json).collect::<Vec<_>>(),
        }));
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
        print_ratio("p99, beside to quiet", p99);
        print_ratio("p99, quiet to itself", quiet_p99);
        print_ratio("p50, beside to quiet", p50);
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
        print_ratio("p99 beside to quiet, ours to the floor's", Quartiles::of(p99.into_iter()));
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> Result<(), Box<dyn Error>> {
        // Cargo's folder for such things is beside the one that we want.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("serving.json");
        let report = json!({
            "cores": Cores::available().count,
            "window_seconds": self.plan.window.as_secs_f64(),
            "scenes": self.scenes,
        });
        std::fs::write(&path, format!("{report:#}\n"))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

/// The figures that are compared from one version to the next.
struct Ratios {
    requests: Quartiles,
    floor_requests: Quartiles,
    p50: Quartiles,
    p99: Quartiles,
    server_cpu: Quartiles,
}

impl Ratios {
    fn of(rounds: &[Round]) -> Self {
        let ours_to_floor = |of: fn(&Window) -> f64| {
            Quartiles::of(rounds.iter().map(|round| round.ours_to_floor(of)))
        };
        let requests = |window: &Window| window.requests_per_second;
        Self {
            requests: ours_to_floor(requests),
            floor_requests: Quartiles::of(
                rounds.iter().map(|round| round.floor_to_floor(requests)),
            ),
            p50: ours_to_floor(|window| window.p50_us),
            p99: ours_to_floor(|window| window.p99_us),
            server_cpu: ours_to_floor(|window| window.server_cpu_us),
        }
    }

    fn json(&self) -> Value {
        json!({
            "requests": quartiles_json(self.requests),
            "floor_requests": quartiles_json(self.floor_requests),
            "p50": quartiles_json(self.p50),
            "p99": quartiles_json(self.p99),
            "server_cpu": quartiles_json(self.server_cpu),
        })
    }
}

fn print_windows<'a>(name: &str, windows: impl Iterator<Item = &'a Window> + Clone) {
    let median = |of: fn(&Window) -> f64| Quartiles::of(windows.clone().map(of)).median;
    println!(
        "{name:<14}{:>12.0}{:>10.0}{:>10.0}{:>10.0}{:>16.1}{:>16.1}",
        median(|window| window.requests_per_second),
        median(|window| window.p50_us),
        median(|window| window.p99_us),
        median(|window| window.p999_us),
        median(|window| window.server_cpu_us),
        median(|window| window.client_cpu_us),
    );
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

fn print_ratio(name: &str, Quartiles { low, median, high }: Quartiles) {
    println!("{name:<42}{median:>6.3} ({low:.3} to {high:.3})");
}

fn quartiles_json(Quartiles { low, median, high }: Quartiles) -> Value {
    json!({ "low": low, "median": median, "high": high })
}

fn round_json(round: &Round) -> Value {
    json!({
        "floor": window_json(&round.floor),
        "ours": window_json(&round.ours),
        "floor_again": window_json(&round.floor_again),
    })
}

fn window_json(window: &Window) -> Value {
    json!({
        "requests_per_second": window.requests_per_second,
        "p50_us": window.p50_us,
        "p99_us": window.p99_us,
        "p999_us": window.p999_us,
        "server_cpu_us": window.server_cpu_us,
        "client_cpu_us": window.client_cpu_us,
        "others": window.others,
    })
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
    })
}
