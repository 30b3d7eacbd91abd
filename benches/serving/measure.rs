//! Windows, rounds of windows, and what they say.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::cpu::{CpuTime, MachineTime};
use crate::load::{Connections, Span};

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) window: Duration,
}

impl Plan {
    pub(crate) fn new(rounds: u32, window_seconds: f64) -> Self {
        Self { rounds, window: Duration::from_secs_f64(window_seconds.clamp(0.01, 60.0)) }
    }

    /// Each window begins with requests that are not counted: the other server left the caches as it needs
    /// them.
    fn lead(self) -> Duration {
        self.window / 10
    }
}

/// One server for one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// Per request.
    pub(crate) server_cpu_us: f64,
    /// Per request.
    pub(crate) client_cpu_us: f64,
    /// The share of the machine that other processes took.
    pub(crate) others: f64,
}

/// Three windows in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) floor: Window,
    pub(crate) ours: Window,
    pub(crate) floor_again: Window,
}

impl Round {
    /// Ours to the mean of the floor before and after, so that a drift of the machine cancels out.
    pub(crate) fn ours_to_floor(&self, of: impl Fn(&Window) -> f64) -> f64 {
        2.0 * of(&self.ours) / (of(&self.floor) + of(&self.floor_again))
    }

    /// One on a quiet machine.
    pub(crate) fn floor_to_floor(&self, of: impl Fn(&Window) -> f64) -> f64 {
        of(&self.floor_again) / of(&self.floor)
    }
}

/// Our server and the floor, asked the same.
pub(crate) struct Contest<'c> {
    pub(crate) ours: Connections<'c>,
    pub(crate) floor: Connections<'c>,
}

impl Contest<'_> {
    /// All rounds, after one that warms up.
    pub(crate) fn rounds(&mut self, plan: Plan) -> Result<Vec<Round>, Box<dyn Error>> {
        self.round(plan)?;
        (0..plan.rounds).map(|_| self.round(plan)).collect()
    }

    fn round(&mut self, plan: Plan) -> Result<Round, Box<dyn Error>> {
        Ok(Round {
            floor: window(plan, &mut self.floor).map_err(|error| format!("the floor: {error}"))?,
            ours: window(plan, &mut self.ours).map_err(|error| format!("our server: {error}"))?,
            floor_again: window(plan, &mut self.floor)
                .map_err(|error| format!("the floor: {error}"))?,
        })
    }
}

fn window(plan: Plan, connections: &mut Connections<'_>) -> Result<Window, Box<dyn Error>> {
    let from = Instant::now() + plan.lead();
    let span = Span { from, until: from + plan.window };
    let (mut latencies, (cpu, machine)) = connections.drive(span, || {
        sleep_until(span.from);
        let (cpu, machine) = (CpuTime::now(), MachineTime::now());
        sleep_until(span.until);
        (CpuTime::now().since(cpu), MachineTime::now().since(machine))
    })?;
    latencies.sort_unstable();
    let requests = latencies.len() as f64;
    let used = cpu.client + cpu.server;
    Ok(Window {
        requests_per_second: requests / plan.window.as_secs_f64(),
        p50_us: percentile(&latencies, 0.5)?,
        p99_us: percentile(&latencies, 0.99)?,
        p999_us: percentile(&latencies, 0.999)?,
        server_cpu_us: cpu.server.as_secs_f64() * 1e6 / requests,
        client_cpu_us: cpu.client.as_secs_f64() * 1e6 / requests,
        others: machine.share_of_others(used, plan.window),
    })
}

/// In microseconds, of latencies in order.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> Result<f64, Box<dyn Error>> {
    let last = sorted.len().checked_sub(1).ok_or("no request was answered in a whole window")?;
    Ok(f64::from(sorted[(last as f64 * share) as usize]) / 1e3)
}

pub(crate) fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// The middle of some numbers, and between which values the middle half of them lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Quartiles {
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_unstable_by(f64::total_cmp);
        // Linear between neighbours (R's type 7).
        let at = |share: f64| {
            let place = share * (numbers.len() - 1) as f64;
            let (below, above) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}
