//! Quick versions have their turn where their requests are.

use super::*;
use crate::domain::rollout::RolloutId;
use crate::serving::scheduler::queue::Watched;

/// A request for the model `adder`.
fn pair(first: f32) -> InferRequest {
    let inputs = vec![Tensor::new(vec![1, 2], Elements::F32(vec![first, first])).unwrap()];
    InferRequest { inputs, ..slow(0) }
}

/// A version of the model, of which it is known that its runs are quick.
fn quick(model: &str) -> Arc<Servable> {
    let servable = servable_of(model, "1", limits());
    servable.queue().observe_run(Duration::from_micros(10), 1);
    servable
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_together_runs_together_and_each_gets_its_own_answer() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = quick("adder");
    // The other thread is kept busy, so that this one has to pause before anything runs.
    let (let_go, holds) = std::sync::mpsc::channel::<()>();
    let (is_held, held) = tokio::sync::oneshot::channel();
    let holding = tokio::spawn(async move {
        let _ = is_held.send(());
        let _ = holds.recv();
    });
    held.await.unwrap();
    let (scheduler, asked) = (Arc::new(scheduler), servable.clone());
    let submitted = tokio::spawn(async move {
        let tickets = (0..40).map(|first| scheduler.submit(&asked, pair(first as f32)).unwrap());
        (tickets.collect::<Vec<_>>(), scheduler)
    });
    let (tickets, _scheduler) = submitted.await.unwrap();
    for (first, ticket) in tickets.into_iter().enumerate() {
        let expected = first as f32 + 12345.678;
        let answer = ticket.answer().await.unwrap();
        assert_eq!(elements(&answer), Elements::F32(vec![expected, expected]));
    }
    assert_eq!(servable.queue().desk_runs(), 1);
    drop(let_go);
    holding.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_are_not_known_to_be_quick_or_are_on_trial_have_no_turn_there() {
    let scheduler = Scheduler::start(2).unwrap();
    let new = servable_of("adder", "1", limits());
    assert!(scheduler.infer(&new, pair(0.0)).await.is_ok());
    assert_eq!(new.queue().desk_runs(), 0, "its first run");

    let slow_one = servable_of("slow", "1", limits());
    slow_one.queue().observe_run(Duration::from_secs(1000), 1);
    assert!(scheduler.infer(&slow_one, slow(0)).await.is_ok());
    assert_eq!(slow_one.queue().desk_runs(), 0);

    let candidate = quick("adder");
    candidate.set_trial(Some(RolloutId(1)));
    assert!(scheduler.infer(&candidate, pair(0.0)).await.is_ok());
    assert_eq!(candidate.queue().desk_runs(), 0);
    candidate.set_trial(None);
    assert!(scheduler.infer(&candidate, pair(0.0)).await.is_ok());
    assert_eq!(candidate.queue().desk_runs(), 1);
}

#[tokio::test]
async fn a_thread_that_is_the_only_one_to_speak_http_runs_no_models() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = quick("adder");
    assert!(scheduler.infer(&servable, pair(0.0)).await.is_ok());
    assert_eq!(servable.queue().desk_runs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn whoever_waits_behind_a_run_that_turns_out_to_be_long_is_answered_by_the_pool() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = quick("slow");
    let endless = scheduler.submit(&servable, slow(60_000)).unwrap();
    while servable.queue().desk_runs() == 0 {
        tokio::task::yield_now().await;
    }
    // The first one waits for the desk, and the second one for nobody.
    for _ in 0..2 {
        assert!(scheduler.infer(&servable, slow(0)).await.is_ok());
    }
    let other = quick("adder");
    assert!(scheduler.infer(&other, pair(0.0)).await.is_ok());
    assert_eq!(other.queue().desk_runs(), 0, "the desk is taken");

    drop(endless); // its caller leaves, and so it ends
    while servable.queue().turns() != [0, 0, 0] {
        tokio::task::yield_now().await;
    }
    assert!(scheduler.infer(&other, pair(0.0)).await.is_ok());
    assert_eq!(other.queue().desk_runs(), 1, "and is free again");
}

#[test]
fn who_comes_before_a_run_begins_and_does_not_fit_into_it_is_looked_after() {
    let servable = quick("adder");
    let queue = servable.queue();
    let job = |rows: usize| {
        let inputs = vec![Tensor::new(vec![rows, 2], Elements::F32(vec![0.0; 2 * rows])).unwrap()];
        Job::new(InferRequest { inputs, ..slow(0) }, Instant::now()).0
    };
    assert_eq!(queue.push(job(1), 2, 64).unwrap(), Added::NeedsTurn);
    queue.come_to_desk(64);
    assert_eq!(queue.push(job(64), 2, 64).unwrap(), Added::HasTurns);
    let mut jobs = Vec::new();
    assert!(queue.take_at_desk(64, &mut jobs), "one waits behind the run");
    assert_eq!((jobs.len(), queue.waiting()), (1, 1));
    let mut seen = None;
    assert_eq!(queue.look_at_desk(&mut seen, 2), Watched::Fine);
    assert_eq!(queue.look_at_desk(&mut seen, 2), Watched::NeedsTurn, "it is the same run");
    assert_eq!(queue.look_at_desk(&mut seen, 2), Watched::Fine, "and has a turn now");
    assert_eq!(queue.turns(), [2, 1, 0]);
}
