//! Requests wait for others where the model's settings ask for that.

use super::*;
use crate::serving::scheduler::queue::Gathered;

/// A version of `fails`, whose requests wait so long for others.
fn patient(max_queue_delay: Duration) -> Arc<Servable> {
    servable_of("fails", "1", QueueLimits { max_queue_delay, ..limits() })
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_request_waits_as_long_as_its_model_says_and_is_then_answered_alone() {
    let scheduler = Scheduler::start(2).unwrap();
    let delay = Duration::from_millis(30);
    let servable = patient(delay);
    let asked = Instant::now();
    let answer = scheduler.infer(&servable, row(1)).await.unwrap();
    assert!(asked.elapsed() >= delay && answer.waiting >= delay, "{:?}", answer.waiting);
    assert_eq!(elements(&answer), Elements::F32(vec![20.0]));
}

#[tokio::test]
async fn as_soon_as_there_are_enough_rows_nobody_waits_any_longer() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = patient(LONG);
    let tickets: Vec<_> =
        (0..64).map(|place| scheduler.submit(&servable, row(place % 3)).unwrap()).collect();
    for (place, ticket) in tickets.into_iter().enumerate() {
        let expected = vec![10.0 + 10.0 * (place % 3) as f32];
        assert_eq!(elements(&ticket.answer().await.unwrap()), Elements::F32(expected));
    }
    let alone = scheduler.submit(&servable, row(0)).unwrap();
    assert_eq!(servable.waiting(), 1, "and the next one waits again");
    drop(alone);
}

#[tokio::test]
async fn no_deadline_is_missed_for_others() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = patient(LONG);
    let hasty = InferRequest { timeout: Duration::from_millis(20), ..row(0) };
    let error = scheduler.infer(&servable, hasty).await.unwrap_err().error;
    assert_eq!(error, InferError::DeadlineExceeded(Duration::from_millis(20)));
}

#[tokio::test]
async fn versions_whose_requests_run_one_by_one_do_not_wait() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = servable_of("slow", "1", QueueLimits { max_queue_delay: LONG, ..limits() });
    assert!(scheduler.infer(&servable, slow(1)).await.is_ok());
}

#[tokio::test]
async fn who_waits_for_others_is_answered_when_the_threads_are_to_end() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = patient(LONG);
    let ticket = scheduler.submit(&servable, row(2)).unwrap();
    scheduler.shut_down();
    assert_eq!(elements(&ticket.answer().await.unwrap()), Elements::F32(vec![30.0]));
    // And whoever comes afterwards is told at once.
    assert!(matches!(
        scheduler.infer(&servable, row(2)).await.unwrap_err().error,
        InferError::ShuttingDown
    ));
}

/// Forty rows, of which a run takes 64.
fn forty() -> Job {
    let inputs = vec![Tensor::new(vec![40], Elements::I64(vec![0; 40])).unwrap()];
    Job::new(InferRequest { inputs, ..slow(0) }, Instant::now()).0
}

#[test]
fn who_did_not_fit_into_a_run_does_not_wait_for_those_who_come_later() {
    let servable = patient(LONG);
    let queue = servable.queue();
    let push = || queue.push(forty(), 2, 64).unwrap();
    assert!(matches!(push(), Added::NeedsTime(1, _)));
    assert_eq!(push(), Added::NeedsTurn, "both are more than a run takes");
    let mut jobs = Vec::new();
    queue.take(64, &mut jobs);
    assert_eq!((jobs.len(), queue.waiting()), (1, 1));
    assert!(matches!(push(), Added::NeedsTime(2, _)), "while the first one runs");
    assert!(queue.end_turn(), "the second one goes on at once");
    queue.take(64, &mut jobs);
    assert_eq!((jobs.len(), queue.waiting()), (2, 1));
    assert!(!queue.end_turn(), "and the third one waits for others");
    assert!(matches!(queue.end_gathering(2, 2), Gathered::NeedsTurn));
    assert_eq!(queue.turns(), [1, 0, 0]);
}
