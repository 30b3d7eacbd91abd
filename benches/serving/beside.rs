//! A steady stream of requests, as many as keep half of the machine busy, first alone and then beside something else.
//!
//! Windows alternate: quiet; beside what is measured; quiet again. A round of three gives one ratio of the one to the
//! other, and one of quiet to itself, which says how much the machine lies.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cpu::CpuTime;
use crate::figures::{Span, percentile, to_mean};
use crate::floor;
use crate::load::{Client, Connections, Exchange};
use crate::measure::Plan;
use crate::ours::Ours;
use crate::scene::Scene;

/// One window of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) longest_us: f64,
    /// Requests that took longer than [`STALL`].
    pub(crate) stalls: usize,
}

/// What a request takes when something is in its way.
const STALL: Duration = Duration::from_millis(5);

/// Three windows in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) quiet: Stretch,
    pub(crate) beside: Stretch,
    pub(crate) quiet_again: Stretch,
}

impl Round {
    /// Beside something else to the mean of quiet before and after.
    pub(crate) fn beside_to_quiet(&self, of: impl Fn(&Stretch) -> f64) -> f64 {
        to_mean(of(&self.beside), of(&self.quiet), of(&self.quiet_again))
    }

    /// One on a machine that has nothing else to do.
    pub(crate) fn quiet_to_quiet(&self, of: impl Fn(&Stretch) -> f64) -> f64 {
        of(&self.quiet_again) / of(&self.quiet)
    }
}

/// The same rounds for our server and for the [`floor`], in the same process and in turn: what the floor notices, the
/// machine does, and no server could help it.
#[derive(Debug, Default)]
pub(crate) struct OursAndFloor {
    pub(crate) ours: Vec<Round>,
    pub(crate) floor: Vec<Round>,
}

impl OursAndFloor {
    /// All rounds, after one each that warms up.
    pub(crate) fn measure(
        client: &Client,
        ours: &Ours,
        scene: &Scene,
        plan: Plan,
        mut round: impl FnMut(&mut Stream<'_>) -> Result<Round, Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let answer = client.ask_v1(ours.address(), &scene.request)?;
        let floor = floor::start(scene, &answer)?;
        let exchange = Arc::new(Exchange::v1(scene.request.clone(), answer.body));
        let stream = |address| Stream::open(client, address, exchange.clone(), plan);
        let mut streams = [stream(ours.address())?, stream(floor.address())?];
        for _ in 0..plan.warm_ups {
            for stream in &mut streams {
                round(stream)?;
            }
        }
        let mut rounds = Self::default();
        for _ in 0..plan.rounds {
            let [of_ours, of_floor] = &mut streams;
            rounds.ours.push(round(of_ours)?);
            rounds.floor.push(round(of_floor)?);
        }
        Ok(rounds)
    }

    /// By how much more than the floor our server notices it, for each pair of rounds.
    pub(crate) fn ours_to_floor(&self, of: impl Fn(&Stretch) -> f64 + Copy) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.floor);
        pairs.map(|(ours, floor)| ours.beside_to_quiet(of) / floor.beside_to_quiet(of)).collect()
    }
}

/// Connections to one server, and how many requests a second go over them.
pub(crate) struct Stream<'c> {
    connections: Connections<'c>,
    per_second: f64,
}

impl<'c> Stream<'c> {
    fn open(
        client: &'c Client,
        address: SocketAddr,
        exchange: Arc<Exchange>,
        plan: Plan,
    ) -> Result<Self, Box<dyn Error>> {
        const CONNECTIONS: usize = 16;
        let mut connections = client.connect(address, CONNECTIONS, exchange)?;
        let per_second = half_load(&mut connections, plan)?;
        Ok(Self { connections, per_second })
    }

    /// One window, for as long as `meanwhile` takes.
    pub(crate) fn stretch(
        &mut self,
        meanwhile: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<Stretch, Box<dyn Error>> {
        stretch(&mut self.connections, self.per_second, meanwhile)
    }
}

/// Requests in a window, at the least.
pub(crate) const LEAST_IN_A_WINDOW: f64 = 10.0;

/// How many requests a second keep half of the machine busy, with those who send them.
pub(crate) fn half_load(
    connections: &mut Connections<'_>,
    plan: Plan,
) -> Result<f64, Box<dyn Error>> {
    // A request costs less when many are answered at once, so what it costs is seen at a rate that is low anyway.
    let fastest = connections.fastest(plan.window)?;
    let (seen, used) = connections.stream(fastest / 8.0, from_now_on(), || {
        let before = CpuTime::now();
        std::thread::sleep(plan.window * 2);
        CpuTime::now().since(before)
    })?;
    let of_one = (used.client + used.server).as_secs_f64() / seen.requests.max(1.0);
    let cores = std::thread::available_parallelism()?.get() as f64;
    // A window with fewer requests would say nothing.
    let least = LEAST_IN_A_WINDOW / plan.window.as_secs_f64();
    Ok((0.5 * cores / of_one).max(least))
}

pub(crate) fn rest(duration: Duration) -> Result<(), Box<dyn Error>> {
    std::thread::sleep(duration);
    Ok(())
}

/// All that is asked.
fn from_now_on() -> Span {
    let from = Instant::now();
    Span { from, until: from + Duration::from_hours(24) }
}

pub(crate) fn stretch(
    connections: &mut Connections<'_>,
    per_second: f64,
    meanwhile: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<Stretch, Box<dyn Error>> {
    let (seen, done) = connections.stream(per_second, from_now_on(), || {
        let began = Instant::now();
        meanwhile().map(|()| began.elapsed().as_secs_f64())
    })?;
    let (seconds, mut latencies) = (done?, seen.latencies);
    latencies.sort_unstable();
    Ok(Stretch {
        seconds,
        requests_per_second: latencies.len() as f64 / seconds,
        p50_us: percentile(&latencies, 0.5)?,
        p99_us: percentile(&latencies, 0.99)?,
        p999_us: percentile(&latencies, 0.999)?,
        longest_us: percentile(&latencies, 1.0)?,
        stalls: latencies.iter().filter(|&&took| u128::from(took) > STALL.as_nanos()).count(),
    })
}
