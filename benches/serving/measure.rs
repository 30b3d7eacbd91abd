//! Windows, rounds of windows, and what they say.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use crate::cpu::{self, CpuTime, MachineTime};
use crate::figures::{Span, Tally, percentile, to_mean};
use crate::load::Connections;
use crate::raw::RawLoop;

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) window: Duration,
    /// Rounds before them that are not counted.
    pub(crate) warm_ups: u32,
}

impl Plan {
    pub(crate) fn new(rounds: u32, window_seconds: f64) -> Self {
        let window = Duration::from_secs_f64(window_seconds.clamp(0.01, 60.0));
        Self { rounds, window, warm_ups: 1 }
    }

    /// Just long enough to see that everything works.
    pub(crate) fn brief() -> Self {
        Self { warm_ups: 0, ..Self::new(1, 0.05) }
    }

    /// Each window begins with requests that are not counted: the other server left the caches as it needs
    /// them.
    fn lead(self) -> Duration {
        self.window / 10
    }
}

/// One contender for one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// Per request, of all threads of this process but the clients'.
    pub(crate) server_cpu_us: f64,
    /// Per request.
    pub(crate) client_cpu_us: f64,
    /// The share of the machine that other processes took.
    pub(crate) others: f64,
    /// Of this process, with all servers in it, when the window ended.
    pub(crate) resident_kib: u64,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each connection asks again once it has its answer.
    Closed,
    /// So many a second, whether those before are answered or not.
    Open { per_second: f64 },
}

/// Who answers.
pub(crate) enum Source<'c> {
    Server(Connections<'c>),
    /// Nobody is between the loop and the model.
    Raw(RawLoop),
}

impl Source<'_> {
    fn drive<T>(
        &mut self,
        pace: Pace,
        span: Span,
        meanwhile: impl FnOnce() -> T,
    ) -> io::Result<(Tally, T)> {
        match (self, pace) {
            (Self::Server(connections), Pace::Closed) => connections.drive(span, meanwhile),
            (Self::Server(connections), Pace::Open { per_second }) => {
                connections.stream(per_second, span, meanwhile)
            }
            (Self::Raw(raw), Pace::Closed | Pace::Open { .. }) => raw.drive(span, meanwhile),
        }
    }
}

/// One of those who are asked the same.
pub(crate) struct Contender<'c> {
    pub(crate) name: String,
    pub(crate) source: Source<'c>,
}

/// Two windows of one contender, around one of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) before: Window,
    pub(crate) after: Window,
}

/// A window of ours in the middle, and the others around it, the first of them outermost.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) ours: Window,
    pub(crate) others: Vec<Around>,
}

impl Round {
    /// Ours to the mean of another before and after.
    pub(crate) fn ours_to(&self, other: usize, of: impl Fn(&Window) -> f64) -> f64 {
        let Around { before, after } = &self.others[other];
        to_mean(of(&self.ours), of(before), of(after))
    }

    /// One on a quiet machine.
    pub(crate) fn to_itself(&self, other: usize, of: impl Fn(&Window) -> f64) -> f64 {
        let Around { before, after } = &self.others[other];
        of(after) / of(before)
    }
}

/// Our server and others, asked the same.
pub(crate) struct Contest<'c> {
    pub(crate) pace: Pace,
    pub(crate) ours: Connections<'c>,
    pub(crate) others: Vec<Contender<'c>>,
}

impl<'c> Contest<'c> {
    /// All rounds, after one that warms up, and the names of the others.
    pub(crate) fn rounds(self, plan: Plan) -> Result<(Vec<String>, Vec<Round>), Box<dyn Error>> {
        let names = self.others.iter().map(|other| other.name.clone()).collect();
        let Self { pace, ours, mut others } = self;
        let mut ours = Contender { name: "our server".to_owned(), source: Source::Server(ours) };
        let mut round = || Self::round(pace, &mut ours, &mut others, plan);
        for _ in 0..plan.warm_ups {
            round()?;
        }
        Ok((names, (0..plan.rounds).map(|_| round()).collect::<Result<_, _>>()?))
    }

    fn round(
        pace: Pace,
        ours: &mut Contender<'c>,
        others: &mut [Contender<'c>],
        plan: Plan,
    ) -> Result<Round, Box<dyn Error>> {
        let mut before = Vec::with_capacity(others.len());
        for other in &mut *others {
            before.push(window(plan, pace, other)?);
        }
        let ours = window(plan, pace, ours)?;
        let mut around = Vec::with_capacity(others.len());
        for (other, before) in others.iter_mut().zip(before).rev() {
            around.push(Around { before, after: window(plan, pace, other)? });
        }
        around.reverse();
        Ok(Round { ours, others: around })
    }
}

fn window(plan: Plan, pace: Pace, who: &mut Contender<'_>) -> Result<Window, Box<dyn Error>> {
    let mut window = || -> Result<Option<Window>, Box<dyn Error>> {
        measured(plan, pace, who).map_err(|error| format!("{}: {error}", who.name).into())
    };
    // On a machine that is busy with other things, a short window may pass without anybody's turn.
    for _ in 0..EMPTY_WINDOWS {
        if let Some(window) = window()? {
            return Ok(window);
        }
    }
    Err("no request was answered in several windows".into())
}

/// So many in a row are too many.
const EMPTY_WINDOWS: u32 = 10;

fn measured(
    plan: Plan,
    pace: Pace,
    who: &mut Contender<'_>,
) -> Result<Option<Window>, Box<dyn Error>> {
    let from = Instant::now() + plan.lead();
    let span = Span { from, until: from + plan.window };
    let (tally, (cpu, machine, resident_kib)) = who.source.drive(pace, span, || {
        sleep_until(span.from);
        let (cpu, machine) = (CpuTime::now(), MachineTime::now());
        sleep_until(span.until);
        let resident_kib = cpu::resident_kib();
        (CpuTime::now().since(cpu), MachineTime::now().since(machine), resident_kib)
    })?;
    let Tally { mut latencies, requests } = tally;
    if latencies.is_empty() {
        return Ok(None);
    }
    latencies.sort_unstable();
    let used = cpu.client + cpu.server;
    Ok(Some(Window {
        requests_per_second: requests / plan.window.as_secs_f64(),
        p50_us: percentile(&latencies, 0.5)?,
        p99_us: percentile(&latencies, 0.99)?,
        p999_us: percentile(&latencies, 0.999)?,
        server_cpu_us: cpu.server.as_secs_f64() * 1e6 / requests,
        client_cpu_us: cpu.client.as_secs_f64() * 1e6 / requests,
        others: machine.share_of_others(used, plan.window),
        resident_kib,
    }))
}

pub(crate) fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
