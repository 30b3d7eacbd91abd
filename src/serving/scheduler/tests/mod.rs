//! Requests through the scheduler, as its callers see it.

mod delay;
mod desk;
mod trial;
mod turns;

use std::time::Duration;

use super::*;
use crate::domain::route::Role;
use crate::domain::tensor::{Elements, Tensor, ValueView};
use crate::serving::error::InferError;
use crate::serving::testing::{limits, servable_of};

/// A request that takes about a millisecond for each loop.
fn slow(loops: i64) -> InferRequest {
    let inputs = vec![
        Tensor::new(vec![1, 2], Elements::F32(vec![1.0, 2.0])).unwrap(),
        Tensor::new(vec![], Elements::I64(vec![loops])).unwrap(),
    ];
    let (role, arrived, timeout) = (Role::Stable, Instant::now(), Duration::from_secs(60));
    InferRequest { inputs, outputs: vec![0], role, arrived, timeout }
}

fn elements(answer: &Answer) -> Elements {
    match answer.outputs.views()[0] {
        ValueView::Tensor(tensor) => match tensor.elements {
            crate::domain::tensor::ElementsView::F32(values) => Elements::F32(values.to_vec()),
            other => panic!("{other:?}"),
        },
        ValueView::ClassScores(_) => panic!("not a classifier"),
    }
}

#[tokio::test]
async fn each_request_gets_its_own_answer() {
    let scheduler = Scheduler::start(2).unwrap();
    let servable = servable_of("slow", "1", limits());
    let answers = (0..50).map(|loops| (loops, scheduler.submit(&servable, slow(loops)).unwrap()));
    for (loops, ticket) in answers.collect::<Vec<_>>() {
        let expected = vec![1.0 + loops as f32, 2.0 + loops as f32];
        assert_eq!(elements(&ticket.answer().await.unwrap()), Elements::F32(expected));
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_callers_who_left_make_room() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("slow", "1", QueueLimits { max_queue: 2, ..limits() });
    let running = scheduler.submit(&servable, slow(60_000)).unwrap();
    while servable.waiting() > 0 {
        tokio::task::yield_now().await; // until the worker has taken it
    }
    let waiting: Vec<_> = (0..2).map(|_| scheduler.submit(&servable, slow(1)).unwrap()).collect();
    let refused = scheduler.submit(&servable, slow(1)).unwrap_err().error;
    assert!(matches!(refused, InferError::QueueFull { waiting: 2, .. }), "{refused}");
    drop(waiting);
    let patient = scheduler.submit(&servable, slow(1)).unwrap();
    drop(running); // stops a run of a minute
    assert!(patient.answer().await.is_ok());
}

#[tokio::test]
async fn a_request_whose_deadline_passed_is_not_run() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("slow", "1", limits());
    let late = InferRequest { timeout: Duration::from_millis(20), ..slow(60_000) };
    let error = scheduler.infer(&servable, late).await.unwrap_err().error;
    assert_eq!(error, InferError::DeadlineExceeded(Duration::from_millis(20)));
    assert!(scheduler.infer(&servable, slow(1)).await.is_ok(), "the worker is free again");
}

#[tokio::test]
async fn a_version_takes_no_more_threads_than_it_may() {
    let scheduler = Scheduler::start(2).unwrap();
    let modest = servable_of("slow", "1", QueueLimits { max_concurrency: 1, ..limits() });
    let other = servable_of("slow", "2", limits());
    let hogs: Vec<_> = (0..3).map(|_| scheduler.submit(&modest, slow(60_000)).unwrap()).collect();
    assert!(scheduler.infer(&other, slow(1)).await.is_ok(), "a thread is left for others");
    drop(hogs);
}

#[tokio::test]
async fn what_waits_is_still_answered_when_the_threads_are_to_end() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("slow", "1", limits());
    let tickets: Vec<_> = (0..20).map(|_| scheduler.submit(&servable, slow(1)).unwrap()).collect();
    scheduler.shut_down();
    for ticket in tickets {
        assert!(ticket.answer().await.is_ok());
    }
}

/// A row for the model `fails`: 0, 1 and 2 are answered with 10, 20 and 30, others fail.
fn row(index: i64) -> InferRequest {
    let inputs = vec![Tensor::new(vec![1], Elements::I64(vec![index])).unwrap()];
    InferRequest { inputs, ..slow(0) }
}

/// Requests that wait behind one that takes long, so that they are taken as one.
fn behind_a_slow_one(
    scheduler: &Scheduler,
    servable: &Arc<Servable>,
    requests: impl IntoIterator<Item = InferRequest>,
) -> Vec<Ticket> {
    let slow_one = scheduler.submit(&servable_of("slow", "1", limits()), slow(60_000)).unwrap();
    let tickets = requests.into_iter().map(|request| scheduler.submit(servable, request));
    let tickets = tickets.collect::<Result<_, _>>().unwrap();
    drop(slow_one);
    tickets
}

#[tokio::test]
async fn requests_that_wait_run_together_and_each_gets_its_own_rows() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("adder", "1", limits());
    let rows = |count: usize, first: usize| {
        let elements = (0..2 * count).map(|index| (first + index) as f32).collect();
        Tensor::new(vec![count, 2], Elements::F32(elements)).unwrap()
    };
    let requests =
        (0..40).map(|first| InferRequest { inputs: vec![rows(1 + first % 3, first)], ..slow(0) });
    for (first, ticket) in
        behind_a_slow_one(&scheduler, &servable, requests).into_iter().enumerate()
    {
        let answer = ticket.answer().await.unwrap();
        let expected: Vec<f32> =
            (0..2 * (1 + first % 3)).map(|index| (first + index) as f32 + 12345.678).collect();
        assert_eq!(elements(&answer), Elements::F32(expected));
        assert_eq!(answer.inputs, [rows(1 + first % 3, first)], "they are given back");
    }
}

#[tokio::test]
async fn one_bad_row_fails_its_own_request_and_no_other() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("fails", "1", limits());
    let index = |place: i64| if place == 17 { 99 } else { place % 3 };
    let requests = (0..32).map(|place| row(index(place)));
    for (place, ticket) in (0..).zip(behind_a_slow_one(&scheduler, &servable, requests)) {
        match ticket.answer().await {
            Ok(answer) => {
                let expected = vec![10.0 + 10.0 * (place % 3) as f32];
                assert_eq!(elements(&answer), Elements::F32(expected));
            }
            Err(error) => {
                assert_eq!(place, 17, "{error:?}");
                assert!(matches!(error.error, InferError::RunFailed(_)), "{error:?}");
                assert_eq!(error.inputs, Some(row(99).inputs), "they are given back");
            }
        }
    }
}

#[tokio::test]
async fn those_who_leave_a_batch_take_nobody_along() {
    let scheduler = Scheduler::start(1).unwrap();
    let servable = servable_of("fails", "1", limits());
    let tickets = behind_a_slow_one(&scheduler, &servable, (0..30).map(|place| row(place % 3)));
    for (place, ticket) in tickets.into_iter().enumerate() {
        if place % 2 == 0 {
            drop(ticket);
        } else {
            let expected = vec![10.0 + 10.0 * (place % 3) as f32];
            assert_eq!(elements(&ticket.answer().await.unwrap()), Elements::F32(expected));
        }
    }
}
