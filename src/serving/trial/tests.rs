use super::*;
use crate::domain::weight::Weight;
use crate::serving::testing::servable;

const DEADLINE: Duration = Duration::from_secs(10);

fn observer() -> Arc<Observer> {
    let parts = ObserverParts {
        saved: None,
        is_sticky: true,
        breaks: true,
        on_trip: Box::new(|| ()),
        longest: patience(DEADLINE),
    };
    let observer = Observer::new(parts, Instant::now());
    (0..20).for_each(|_| observer.candidate_answered()); // it is warm
    Arc::new(observer)
}

fn trial_of(rollout: u64, per_cent: u8, observer: &Arc<Observer>) -> Arc<Trial> {
    let parts = TrialParts {
        rollout: RolloutId(rollout),
        share: Share { weight: Weight::whole(per_cent), epoch: u32::from(per_cent) },
        key: None,
        candidate: servable("2"),
        trusted: servable("1"),
        rescues: true,
        observer: observer.clone(),
    };
    Arc::new(Trial::new(parts, Instant::now()))
}

fn on_candidate(trial: &Arc<Trial>, key: &str) -> bool {
    trial.assign(Some(key.as_bytes())).arm() == Arm::Candidate
}

#[test]
fn the_candidate_gets_its_share() {
    let observer = observer();
    for per_cent in [0, 5, 25, 50, 100] {
        let trial = trial_of(1, per_cent, &observer);
        let candidates =
            (0..20_000).filter(|_| trial.assign(None).arm() == Arm::Candidate).count() as f64;
        let share = f64::from(per_cent) / 100.0;
        let deviation = (20_000.0 * share * (1.0 - share)).sqrt();
        let expected = 20_000.0 * share;
        assert!((candidates - expected).abs() <= 4.0 * deviation, "{per_cent}: {candidates}");
    }
}

#[test]
fn a_key_never_goes_back_while_the_share_grows_and_is_drawn_anew_for_another_rollout() {
    let keys: Vec<String> = (0..5_000).map(|user| format!("user-{user}")).collect();
    let mut before = vec![false; keys.len()];
    for per_cent in [5, 10, 25, 50, 100] {
        // Each has an observer of its own, as after a restart.
        let trial = trial_of(7, per_cent, &observer());
        let now: Vec<bool> = keys.iter().map(|key| on_candidate(&trial, key)).collect();
        assert!(before.iter().zip(&now).all(|(before, now)| !before || *now));
        let share = now.iter().filter(|on_candidate| **on_candidate).count() as f64 / 5_000.0;
        assert!((share - f64::from(per_cent) / 100.0).abs() < 0.03, "{per_cent}: {share}");
        before = now;
    }
    let [one, other] = [7, 8].map(|rollout| trial_of(rollout, 50, &observer()));
    let differ = keys.iter().filter(|key| on_candidate(&one, key) != on_candidate(&other, key));
    assert!((2_000..3_000).contains(&differ.count()));
}

fn begin(trial: &Arc<Trial>, arm: Arm) -> Watched {
    let assigned = Assigned { trial: trial.clone(), arm, key: None };
    let now = Instant::now();
    assigned.begin(now, now + DEADLINE)
}

fn counts(observer: &Observer) -> (Counts, Counts) {
    let totals = observer.observed(Instant::now() + Duration::from_secs(3)).totals();
    (totals.stable, totals.candidate)
}

#[test]
fn both_versions_are_scored_by_the_same_rule() {
    for arm in [Arm::Stable, Arm::Candidate] {
        let observer = observer();
        let trial = trial_of(1, 50, &observer);
        begin(&trial, arm).answered(Instant::now());
        begin(&trial, arm).answered(Instant::now() + Duration::from_secs(7)); // of 10
        begin(&trial, arm).failed(false);
        begin(&trial, arm).call_off();
        drop(begin(&trial, arm)); // a client that leaves early
        let (stable, candidate) = counts(&observer);
        let expected = Counts { requests: 3, failed: 2 };
        let none = Counts::default();
        match arm {
            Arm::Stable => assert_eq!((stable, candidate), (expected, none)),
            Arm::Candidate => assert_eq!((stable, candidate), (none, expected)),
        }
    }
}

#[test]
fn only_the_candidate_is_rescued() {
    let trial = trial_of(1, 50, &observer());
    let assigned = |arm| Assigned { trial: trial.clone(), arm, key: None };
    let rescuer = assigned(Arm::Candidate).rescuer().map(|rescuer| rescuer.version().to_string());
    assert_eq!(rescuer.as_deref(), Some("1"));
    assert!(assigned(Arm::Stable).rescuer().is_none());
}

#[tokio::test]
async fn who_waits_for_a_candidate_that_has_to_go_is_told() {
    let trial = trial_of(1, 50, &observer());
    let mut waits = begin(&trial, Arm::Candidate);
    let told = tokio::spawn(async move {
        waits.trial_is_over().await;
        waits.call_off();
    });
    trial.end();
    told.await.unwrap();
    begin(&trial, Arm::Candidate).trial_is_over().await; // and who comes late as well
}
