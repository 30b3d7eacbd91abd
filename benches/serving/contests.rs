//! Our server against the floor, against the raw `Run` loop, and against other servers: one contest a scene.

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bench::Bench;
use crate::beside::LEAST_IN_A_WINDOW;
use crate::bodies::Ports;
use crate::floor::{self, Floor};
use crate::load::Exchange;
use crate::measure::{Contender, Contest, Pace, Plan, Source};
use crate::raw::RawLoop;
use crate::report::Row;
use crate::scene::{Protocol, Scene};

/// What a window of an open loop is compared at, of what our server answers at most.
const LOADS: [f64; 2] = [0.5, 0.8];

/// Requests that a window is to hold for each that is on its way.
const TURNS_IN_A_WINDOW: u32 = 12;

/// As many requests as can be answered.
pub(crate) fn closed(bench: &mut Bench<'_>, scene: &Scene) -> Result<(), Box<dyn Error>> {
    let (address, plan) = (bench.address(scene.protocol), plan(bench, scene)?);
    let (floor, exchange) = floor_of(bench, scene)?;
    let connect = |address| bench.client.connect(address, scene.connections, exchange.clone());
    let mut others = vec![Contender {
        name: "floor".to_owned(),
        source: Source::Server(connect(floor.address())?),
    }];
    let mut note = None;
    if scene.with_raw {
        let (runtime, model) = (bench.ours.runtime(), bench.ours.model(&scene.model));
        let raw = RawLoop::fastest(runtime, &model, scene.connections, plan.window)?;
        note = Some(format!("raw: {}", raw.settings()));
        others.push(Contender { name: "raw".to_owned(), source: Source::Raw(raw) });
    }
    let contest = Contest { pace: Pace::Closed, ours: connect(address)?, others };
    let (others, rounds) = contest.rounds(plan)?;
    bench.report.add(&Row { scene, note, per_second: None, others, rounds });
    Ok(())
}

/// The floor learns from our server what to answer; then both are asked the same.
fn floor_of(bench: &Bench<'_>, scene: &Scene) -> Result<(Floor, Arc<Exchange>), Box<dyn Error>> {
    let Scene { protocol, request, .. } = scene;
    let answer = bench.client.ask(bench.address(*protocol), *protocol, request)?;
    let floor = floor::start(scene, &answer)?;
    let floor_answer = bench.client.ask(floor.address(), *protocol, request)?;
    if floor_answer.comparable() != answer.comparable() {
        return Err("the floor's answer is not that of our server".into());
    }
    Ok((floor, Arc::new(scene.exchange(answer.body))))
}

/// A constant rate, at which requests come whether those before are answered or not.
pub(crate) fn open(bench: &mut Bench<'_>, scene: &Scene) -> Result<(), Box<dyn Error>> {
    let address = bench.address(scene.protocol);
    let (floor, exchange) = floor_of(bench, scene)?;
    let connect = |address| bench.client.connect(address, scene.connections, exchange.clone());
    let rates = match bench.rate {
        Some(rate) => vec![(rate, "as asked for".to_owned())],
        None => {
            let window = bench.plan.window;
            let least = LEAST_IN_A_WINDOW / window.as_secs_f64();
            let fastest = connect(address)?.fastest(window * 2)?.max(2.0 * least);
            let of_it = |share: f64| {
                (share * fastest, format!("{:.0} % of {fastest:.0} a second", share * 100.0))
            };
            LOADS.map(of_it).to_vec()
        }
    };
    for (per_second, note) in rates {
        let source = Source::Server(connect(floor.address())?);
        let contest = Contest {
            pace: Pace::Open { per_second },
            ours: connect(address)?,
            others: vec![Contender { name: "floor".to_owned(), source }],
        };
        let (others, rounds) = contest.rounds(bench.plan)?;
        let (note, per_second) = (Some(note), Some(per_second));
        bench.report.add(&Row { scene, note, per_second, others, rounds });
    }
    Ok(())
}

/// Other servers, wherever they are, which have the same model.
pub(crate) fn peers(
    bench: &mut Bench<'_>,
    urls: &[String],
    model: &str,
) -> Result<(), Box<dyn Error>> {
    let peers: Vec<(&String, bool, SocketAddr)> = urls
        .iter()
        .map(|url| place(url).map(|(grpc, at)| (url, grpc, at)))
        .collect::<Result<_, _>>()?;
    for protocol in [Protocol::V2Json, Protocol::V2Bytes, Protocol::Grpc] {
        let of_protocol: Vec<_> =
            peers.iter().filter(|(_, grpc, _)| *grpc == (protocol == Protocol::Grpc)).collect();
        let Some((_, is_grpc, first)) = of_protocol.first() else { continue };
        let told_by = if *is_grpc { bench.ours.address() } else { *first };
        let request: Bytes = Ports::ask(bench.client, told_by, model)?.request(protocol)?.into();
        for connections in bench.connections.clone() {
            let name = format!("`{model}`, {}, {}", protocol.name(), counted(connections));
            let request = request.clone();
            let scene = Scene {
                name,
                protocol,
                model: model.to_owned(),
                request,
                connections,
                with_raw: false,
            };
            let connect = |who: &str, address| -> Result<_, Box<dyn Error>> {
                let ask = || bench.client.ask(address, protocol, &scene.request);
                let answer = ask().map_err(|error| format!("{who}: {error}"))?;
                if ask()?.body != answer.body {
                    return Err(format!("{who} does not answer the same twice").into());
                }
                let exchange = Arc::new(scene.exchange(answer.body));
                Ok(bench.client.connect(address, connections, exchange)?)
            };
            let others = of_protocol.iter().map(|(url, _, address)| {
                let source = Source::Server(connect(url, *address)?);
                Ok(Contender { name: (*url).clone(), source })
            });
            let contest = Contest {
                pace: Pace::Closed,
                others: others.collect::<Result<_, Box<dyn Error>>>()?,
                ours: connect("our server", bench.address(protocol))?,
            };
            let (others, rounds) = contest.rounds(plan(bench, &scene)?)?;
            bench.report.add(&Row { scene: &scene, note: None, per_second: None, others, rounds });
        }
    }
    Ok(())
}

/// Whether calls go there, and where it is.
fn place(url: &str) -> Result<(bool, SocketAddr), Box<dyn Error>> {
    let known = ["http://", "grpc://"].into_iter().find(|scheme| url.starts_with(scheme));
    let scheme = known.ok_or_else(|| format!("`{url}` begins with neither http:// nor grpc://"))?;
    let place = url[scheme.len()..].trim_end_matches('/');
    let mut places = place.to_socket_addrs().map_err(|error| {
        format!("`{url}` does not say where a server is, as http://127.0.0.1:8000 does: {error}")
    })?;
    let place = places.next().ok_or_else(|| format!("`{place}` is nowhere"))?;
    Ok((scheme == "grpc://", place))
}

/// In words.
pub(crate) fn counted(connections: usize) -> String {
    match connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    }
}

/// Windows are longer where a request takes long, and there are fewer of them.
fn plan(bench: &Bench<'_>, scene: &Scene) -> Result<Plan, Box<dyn Error>> {
    let ask = || bench.client.ask(bench.address(scene.protocol), scene.protocol, &scene.request);
    ask()?;
    let began = Instant::now();
    ask()?;
    let at_once = u32::try_from(scene.connections).unwrap_or(u32::MAX).div_ceil(2);
    let needed = (began.elapsed() * at_once * TURNS_IN_A_WINDOW).min(Duration::from_secs(60));
    let Plan { rounds, window, .. } = bench.plan;
    Ok(match scene.with_raw && needed > window {
        true => Plan { rounds: rounds.div_ceil(4), window: needed, ..bench.plan },
        false => bench.plan,
    })
}
