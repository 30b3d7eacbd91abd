//! Versions on trial, and runs that do not end.
//!
//! A run "hangs" here when nobody tells it to stop: its ticket is kept and not asked, so that its deadline passes
//! without anybody who notices. It ends when the ticket is dropped.

use super::*;
use crate::domain::rollout::RolloutId;
use crate::serving::testing::servable;
use crate::system::thread::ThreadId;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
async fn within<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(outcome) = is_so() {
            return outcome;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A version of the model `slow` on trial.
fn candidate(version: &str) -> Arc<Servable> {
    let servable = servable_of("slow", version, limits());
    servable.set_trial(Some(RolloutId(1)));
    servable
}

/// A request whose run hangs. It must be taken before its deadline, else it is not run at all.
fn hanging() -> InferRequest {
    InferRequest { timeout: Duration::from_millis(500), ..slow(600_000) }
}

/// Waits until a version has so many runs, stranded ones among them.
async fn runs_of(servable: &Servable, runs: usize) {
    within("a run", || (servable.queue().turns()[1] == runs).then_some(())).await;
}

/// Lets so many runs of a version hang, and waits until they are stranded.
async fn hang(scheduler: &Scheduler, servable: &Arc<Servable>, runs: usize) -> Vec<Ticket> {
    let stranded = servable.stranded() + runs;
    let mut tickets = Vec::new();
    for _ in 0..runs {
        tickets.push(scheduler.submit(servable, hanging()).unwrap());
        runs_of(servable, stranded - runs + tickets.len()).await;
    }
    within("stranded runs", || (servable.stranded() == stranded).then_some(())).await;
    tickets
}

/// Waits until the crew has so many threads at work and so many stranded ones.
async fn crew_of(scheduler: &Scheduler, at_work: usize, stranded: usize) -> [Vec<ThreadId>; 2] {
    within("the threads", || {
        Some(scheduler.trial.census())
            .filter(|threads| [threads[0].len(), threads[1].len()] == [at_work, stranded])
    })
    .await
}

/// What the kernel says of a thread; none when it has ended.
#[cfg(target_os = "linux")]
fn policy(thread: ThreadId) -> Option<libc::c_int> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name comes second and may hold anything; the policy is the 41st field.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(38)?.parse().ok()
}

#[track_caller]
fn is_stuck(unanswered: &Unanswered) -> bool {
    if unanswered.error == InferError::Stuck {
        assert!(unanswered.inputs.is_some(), "the inputs are given back");
    }
    unanswered.error == InferError::Stuck
}

#[tokio::test]
async fn a_version_that_hangs_takes_no_thread_and_no_core_of_others() {
    let scheduler = Scheduler::start(4).unwrap();
    let (hung, other) = (candidate("1"), candidate("2"));
    crew_of(&scheduler, 4, 0).await;
    let mut tickets = hang(&scheduler, &hung, 3).await;
    assert!(scheduler.infer(&hung, slow(1)).await.is_ok(), "it may still run once at a time");
    let overdue = hung.longest_overdue(Instant::now()).unwrap();
    assert!(overdue.elapsed >= hanging().timeout, "{overdue:?}");
    tickets.extend(hang(&scheduler, &hung, 1).await);

    let [at_work, stranded] = crew_of(&scheduler, 4, 4).await;
    #[cfg(target_os = "linux")]
    {
        assert!(stranded.iter().all(|thread| policy(*thread) == Some(libc::SCHED_IDLE)));
        assert!(at_work.iter().all(|thread| policy(*thread) == Some(libc::SCHED_BATCH)));
    }
    let runs = (0..4).map(|_| scheduler.submit(&other, slow(60_000)).unwrap());
    let runs: Vec<_> = runs.collect();
    runs_of(&other, 4).await;
    let refused = scheduler.submit(&hung, slow(1)).unwrap_err();
    assert!(is_stuck(&refused), "{refused:?}");
    assert!(scheduler.infer(&servable("1"), row_of_two()).await.is_ok(), "stable has its own");
    drop(runs);

    drop(tickets);
    let [as_before, _] = crew_of(&scheduler, 4, 0).await;
    assert_eq!(as_before, at_work, "those who came stay");
    #[cfg(target_os = "linux")]
    within("threads that have ended", || {
        stranded.iter().all(|thread| policy(*thread).is_none()).then_some(())
    })
    .await;
    assert_eq!((hung.stranded(), hung.longest_overdue(Instant::now())), (0, None));
    assert!(scheduler.infer(&hung, slow(1)).await.is_ok());
}

/// A request for the model `adder`.
fn row_of_two() -> InferRequest {
    let inputs = vec![Tensor::new(vec![1, 2], Elements::F32(vec![1.0, 2.0])).unwrap()];
    InferRequest { inputs, ..slow(0) }
}

#[tokio::test]
async fn who_waits_for_a_version_that_hangs_is_told_at_once() {
    let scheduler = Scheduler::start(2).unwrap();
    let limits = QueueLimits { max_concurrency: 1, ..limits() };
    let hung = servable_of("slow", "1", limits);
    hung.set_trial(Some(RolloutId(1)));
    let ticket = scheduler.submit(&hung, hanging()).unwrap();
    runs_of(&hung, 1).await;
    let waiting: Vec<_> = (0..5).map(|_| scheduler.submit(&hung, slow(1)).unwrap()).collect();
    for waiting in waiting {
        assert!(is_stuck(&waiting.answer().await.unwrap_err()));
    }
    drop(ticket);
    within("an answer", || scheduler.submit(&hung, slow(1)).ok()).await.answer().await.unwrap();
}

#[tokio::test]
async fn when_no_thread_is_left_everybody_is_told_until_one_is_back() {
    let scheduler = Scheduler::start(1).unwrap();
    let versions: Vec<_> = (1..=5).map(|version: u32| candidate(&version.to_string())).collect();
    let mut hung = Vec::new();
    for version in &versions[..4] {
        hung.extend(hang(&scheduler, version, 1).await);
    }
    crew_of(&scheduler, 1, 4).await;
    hung.push(scheduler.submit(&versions[4], hanging()).unwrap());
    runs_of(&versions[4], 1).await;
    let innocent = candidate("6");
    let waiting = scheduler.submit(&innocent, slow(1)).unwrap();
    assert!(is_stuck(&waiting.answer().await.unwrap_err()), "it waited for the last thread");
    crew_of(&scheduler, 0, 5).await;
    assert!(is_stuck(&scheduler.infer(&innocent, slow(1)).await.unwrap_err()));

    innocent.set_trial(None);
    assert!(scheduler.infer(&innocent, slow(1)).await.is_ok(), "nothing of it is left behind");
    innocent.set_trial(Some(RolloutId(1)));
    hung.pop();
    crew_of(&scheduler, 1, 4).await;
    assert!(scheduler.infer(&innocent, slow(1)).await.is_ok());
    drop(hung);
    crew_of(&scheduler, 1, 0).await;
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_and_that_cannot_stop_is_stranded_before_its_deadline() {
    let scheduler = Scheduler::start(1).unwrap();
    let stubborn = servable_of("stubborn", "1", limits());
    stubborn.set_trial(Some(RolloutId(1)));
    // Less than a second, on a core of its own: a stranded run hardly gets one on a busy machine.
    let inputs = vec![Tensor::new(vec![1, 2], Elements::F32(vec![700.0, 1.0])).unwrap()];
    let ticket = scheduler.submit(&stubborn, InferRequest { inputs, ..slow(0) }).unwrap();
    runs_of(&stubborn, 1).await;
    drop(ticket);
    within("a stranded run", || (stubborn.stranded() == 1).then_some(())).await;
    assert!(scheduler.infer(&candidate("2"), slow(1)).await.is_ok(), "another thread is there");
    within("its end", || (stubborn.stranded() == 0).then_some(())).await;
    assert!(scheduler.infer(&stubborn, row_of_two()).await.is_ok());
}

#[tokio::test]
async fn a_run_that_stops_in_time_and_one_that_comes_too_late_keep_their_thread() {
    let scheduler = Scheduler::start(1).unwrap();
    let candidate = candidate("1");
    let [before, _] = crew_of(&scheduler, 1, 0).await;
    let left = scheduler.submit(&candidate, slow(60_000)).unwrap();
    runs_of(&candidate, 1).await;
    drop(left);
    // Longer than the grace of the run before it, and of the one that waits behind it.
    let long = scheduler.submit(&candidate, slow(300)).unwrap();
    let late = InferRequest { timeout: Duration::from_millis(1), ..slow(1) };
    let _late = scheduler.submit(&candidate, late).unwrap();
    long.answer().await.unwrap();
    assert!(scheduler.infer(&candidate, slow(1)).await.is_ok());
    assert_eq!(scheduler.trial.census(), [before, Vec::new()]);
}

#[tokio::test]
async fn what_waits_for_a_version_moves_with_it() {
    let scheduler = Scheduler::start(1).unwrap();
    let (stable, trial, moving) =
        (servable_of("slow", "1", limits()), candidate("2"), servable_of("slow", "3", limits()));
    let on_stable = scheduler.submit(&stable, slow(60_000)).unwrap();
    let on_trial = scheduler.submit(&trial, slow(60_000)).unwrap();
    let waiting: Vec<_> = (0..10).map(|_| scheduler.submit(&moving, slow(1)).unwrap()).collect();
    moving.set_trial(Some(RolloutId(1)));
    drop(on_stable);
    // The thread is free as soon as the other version's turn has left its line.
    assert!(scheduler.infer(&stable, slow(1)).await.is_ok());
    assert_eq!(moving.waiting(), 10, "they wait on the other side now");
    moving.set_trial(None);
    drop(on_trial);
    for ticket in waiting {
        assert!(ticket.answer().await.is_ok());
    }
    assert_eq!(moving.queue().turns()[2], 0);
}

#[tokio::test]
async fn the_end_waits_for_what_runs_and_not_for_what_hangs() {
    let scheduler = Scheduler::start(1).unwrap();
    let (hung, other) = (candidate("1"), candidate("2"));
    let ticket = hang(&scheduler, &hung, 1).await;
    let waiting: Vec<_> = (0..20).map(|_| scheduler.submit(&other, slow(1)).unwrap()).collect();
    scheduler.shut_down();
    for waiting in waiting {
        assert!(waiting.answer().await.is_ok());
    }
    let refused = scheduler.infer(&other, slow(1)).await.unwrap_err();
    assert_eq!(refused.error, InferError::ShuttingDown);
    drop(scheduler);
    drop(ticket);
    within("the end of the run", || (Arc::strong_count(&hung) == 1).then_some(())).await;
}
