//! The table for people.

use crate::figures::Quartiles;
use crate::measure::Window;
use crate::report::{Row, figures_beside, is_url};

/// What our server may add to the wire and the run when it is asked for one thing at a time, in µs.
const OWN_COST_US: f64 = 15.0;

/// Medians of each contender, and ratios.
pub(crate) fn print_row(row: &Row<'_>) {
    let Row { scene, note, per_second, others, rounds } = row;
    let rate = per_second.map_or_else(String::new, |rate| format!(", {rate:.0} a second"));
    let note = note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    println!("\n{}{rate} (model `{}`{note})", scene.name, scene.model);
    println!(
        "{:<24}{:>12}{:>10}{:>10}{:>10}{:>16}{:>16}{:>10}",
        "", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "server µs/req", "client µs/req", "MiB"
    );
    for (at, name) in others.iter().enumerate() {
        print_windows(name, rounds.iter().map(|round| &round.others[at].before));
    }
    print_windows("ours", rounds.iter().map(|round| &round.ours));
    for (at, name) in others.iter().enumerate().rev() {
        let again = format!("{name} again");
        print_windows(&again, rounds.iter().map(|round| &round.others[at].after));
    }
    for (at, name) in others.iter().enumerate() {
        for (_, figure, of) in figures_beside(name) {
            let ours = Quartiles::of(rounds.iter().map(|round| round.ours_to(at, of)));
            let itself = Quartiles::of(rounds.iter().map(|round| round.to_itself(at, of)));
            print_ratio(&format!("{figure}, ours to {name}"), ours);
            print_ratio(&format!("{figure}, {name} to itself"), itself);
        }
    }
    print_own_cost(row);
    let taken = Quartiles::of(rounds.iter().map(|round| round.ours.others)).median;
    if taken > 0.05 {
        println!("other processes took {:.0} % of the machine", taken * 100.0);
    }
}

/// With one connection, what our server adds to the floor and the run.
fn print_own_cost(Row { scene, others, rounds, .. }: &Row<'_>) {
    let place = |who: &str| others.iter().position(|other| other == who);
    let (1, Some(floor), Some(raw)) = (scene.connections, place("floor"), place("raw")) else {
        return;
    };
    let p50 = |other: usize| {
        Quartiles::of(rounds.iter().map(|round| {
            let around = round.others[other];
            (around.before.p50_us + around.after.p50_us) / 2.0
        }))
        .median
    };
    let ours = Quartiles::of(rounds.iter().map(|round| round.ours.p50_us)).median;
    let (floor, raw) = (p50(floor), p50(raw));
    let most = floor + raw + OWN_COST_US;
    println!(
        "p50 {ours:.1} µs, of which {:.1} are ours; floor {floor:.1} + raw run {raw:.1} + {OWN_COST_US:.0} = {most:.1} µs: {}",
        ours - floor - raw,
        if ours <= most { "kept" } else { "exceeded" }
    );
}

fn print_windows<'a>(name: &str, windows: impl Iterator<Item = &'a Window> + Clone) {
    let median = |of: fn(&Window) -> f64| Quartiles::of(windows.clone().map(of)).median;
    // Of a server elsewhere nothing is known but its answers.
    let of_process = |of: fn(&Window) -> f64, digits: usize| match is_url(name) {
        true => "-".to_owned(),
        false => format!("{:.digits$}", median(of)),
    };
    println!(
        "{name:<24} {:>11.1}{:>10.0}{:>10.0}{:>10.0}{:>16}{:>16.1}{:>10}",
        median(|window| window.requests_per_second),
        median(|window| window.p50_us),
        median(|window| window.p99_us),
        median(|window| window.p999_us),
        of_process(|window| window.server_cpu_us, 1),
        median(|window| window.client_cpu_us),
        of_process(|window| window.resident_kib as f64 / 1024.0, 0),
    );
}

pub(crate) fn print_ratio(name: &str, Quartiles { low, median, high }: Quartiles) {
    println!("{name:<41} {median:>6.3} ({low:.3} to {high:.3})");
}
