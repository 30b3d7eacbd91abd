//! What a version on trial costs each request: the draw, and the counting of what came of it.
//!
//! ```text
//! cargo bench --bench routing
//! ```
//!
//! The baseline is a route without a trial. With keys, each of a hundred thousand users comes again and again.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use greenroom::domain::batching::Batching;
use greenroom::domain::model::Digest;
use greenroom::domain::rollout::{RolloutId, Share};
use greenroom::domain::route::StickyKey;
use greenroom::domain::weight::Weight;
use greenroom::onnx::{Runtime, Session, SessionOptions};
use greenroom::serving::{
    ModelRoute, Naming, Observer, ObserverParts, Picked, QueueLimits, Servable, ServableParts,
    ServableSettings, Trial, TrialParts,
};

const DEADLINE: Duration = Duration::from_secs(10);

fn servable(session: &Arc<Session>, version: u8) -> Arc<Servable> {
    Arc::new(Servable::new(ServableParts {
        model: "adder".parse().expect("a name"),
        version: version.to_string().parse().expect("a label"),
        digest: Digest::from_bytes([version; 32]),
        session: session.clone(),
        probed: Ok(()),
        settings: ServableSettings {
            naming: Naming::default(),
            limits: QueueLimits::default(),
            batching: Batching::Auto,
            max_request_rows: None,
            max_batch_rows: 64,
        },
    }))
}

/// The candidate has a tenth of the traffic.
fn trial(stable: &Arc<Servable>, candidate: &Arc<Servable>, key: Option<StickyKey>) -> Arc<Trial> {
    let parts = ObserverParts {
        saved: None,
        is_sticky: key.is_some(),
        breaks: true,
        on_trip: Box::new(|| ()),
        longest: DEADLINE,
    };
    let parts = TrialParts {
        rollout: RolloutId(1),
        share: Share { weight: Weight::whole(10), epoch: 1 },
        key,
        candidate: candidate.clone(),
        trusted: stable.clone(),
        rescues: true,
        observer: Arc::new(Observer::new(parts, Instant::now())),
    };
    Arc::new(Trial::new(parts, Instant::now()))
}

/// Routes a request, and counts its answer.
fn request(route: &ModelRoute, key: Option<&[u8]>) {
    let Ok(Picked { assigned, .. }) = route.pick(None, key) else { return };
    if let Some(assigned) = assigned {
        let now = Instant::now();
        assigned.begin(now, now + DEADLINE).answered(Instant::now());
    }
}

fn routing(criterion: &mut Criterion) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/adder.onnx");
    let runtime = Runtime::load(None).expect("`scripts/onnxruntime` fetches the library");
    let session = Session::load(&runtime, &file, SessionOptions::default()).expect("a model");
    let session = Arc::new(session);
    let (stable, candidate) = (servable(&session, 1), servable(&session, 2));
    let plain = ModelRoute::to(stable.clone());
    let route = |key| plain.clone().with_trial(trial(&stable, &candidate, key));
    let (random, sticky) = (route(None), route(Some(StickyKey::Header("x-user".to_owned()))));
    let mut user = 0_u32;
    let mut group = criterion.benchmark_group("a request");
    group.bench_function("without a trial", |bencher| bencher.iter(|| request(&plain, None)));
    group.bench_function("drawn at random", |bencher| bencher.iter(|| request(&random, None)));
    group.bench_function("that sticks by a key", |bencher| {
        bencher.iter(|| {
            user = (user + 7919) % 100_000;
            request(&sticky, Some(&user.to_le_bytes()));
        });
    });
    group.finish();
}

criterion_group!(benches, routing);
criterion_main!(benches);
