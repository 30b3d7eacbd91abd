//! The account of turns, whatever happens in whatever order: versions change lines and come to the desk, requests wait for
//! others, runs are stranded, lines are deserted. No threads take part, so that each order can be had again.

use std::sync::LazyLock;

use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::domain::rollout::RolloutId;
use crate::serving::ServableSettings;
use crate::serving::scheduler::line::{Line, refuse};
use crate::serving::scheduler::queue::{Gathered, Watched};
use crate::serving::scheduler::stranded::Stranded;

const THREADS: usize = 3;

/// Rows that a run takes.
const ROWS: usize = 3;

/// Something that happens. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(usize),
    /// The same, and a turn that it needs is had at the desk, if that is free.
    SubmitAtDesk(usize),
    /// The turn at the desk begins a run.
    RunAtDesk,
    /// It ends.
    EndAtDesk,
    /// It goes to the line instead.
    LeaveDesk,
    /// Somebody looks after the desk.
    LookAtDesk,
    /// A version has waited long enough for more requests.
    EndGathering(usize),
    /// A version comes on trial, or its trial ends.
    Change(usize),
    /// A thread takes a turn.
    Take(Side),
    /// A run ends.
    End(usize),
    Strand(usize),
    /// The threads for versions on trial are gone, or there again.
    Desert,
    Attend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Stable,
    Trial,
}

fn any_step() -> impl Strategy<Value = Step> {
    let side = any::<bool>().prop_map(|stable| if stable { Side::Stable } else { Side::Trial });
    prop_oneof![
        8 => (0..4usize).prop_map(Step::Submit),
        4 => (0..4usize).prop_map(Step::SubmitAtDesk),
        3 => proptest::strategy::Just(Step::RunAtDesk),
        3 => proptest::strategy::Just(Step::EndAtDesk),
        1 => proptest::strategy::Just(Step::LeaveDesk),
        2 => proptest::strategy::Just(Step::LookAtDesk),
        2 => (0..4usize).prop_map(Step::EndGathering),
        2 => (0..4usize).prop_map(Step::Change),
        6 => side.prop_map(Step::Take),
        6 => any::<usize>().prop_map(Step::End),
        2 => any::<usize>().prop_map(Step::Strand),
        1 => proptest::strategy::Just(Step::Desert),
        1 => proptest::strategy::Just(Step::Attend),
    ]
}

/// What a thread runs.
struct Running {
    servable: Arc<Servable>,
    jobs: Vec<Job>,
    side: Side,
    /// The number of the seat, when it is stranded.
    stranded: Option<usize>,
}

struct World {
    lines: Lines,
    servables: Vec<Arc<Servable>>,
    running: Vec<Running>,
    tickets: Vec<Ticket>,
    seats: usize,
    desk: Option<AtDesk>,
}

/// Who has the desk.
struct AtDesk {
    servable: Arc<Servable>,
    /// What runs there, if something does.
    jobs: Option<Vec<Job>>,
    /// What somebody who looks has seen.
    seen: Option<u64>,
}

impl World {
    fn new() -> Self {
        // Loaded once: a servable with other settings has a queue of its own.
        static LOADED: LazyLock<Arc<Servable>> =
            LazyLock::new(|| servable_of("adder", "1", limits()));
        let delay = Duration::from_secs(1);
        let of = [(0, Duration::ZERO), (1, Duration::ZERO), (2, Duration::ZERO), (2, delay)];
        let servables = of.map(|(max_concurrency, max_queue_delay)| {
            let limits =
                QueueLimits { max_concurrency, max_queue: 20, max_queue_delay, ..limits() };
            let settings = ServableSettings { limits, ..ServableSettings::default() };
            Arc::new(LOADED.with_settings(settings).unwrap())
        });
        Self {
            lines: Lines::default(),
            servables: servables.to_vec(),
            running: Vec::new(),
            tickets: Vec::new(),
            seats: 0,
            desk: None,
        }
    }

    fn line(&self, side: Side) -> &Line {
        match side {
            Side::Stable => &self.lines.stable,
            Side::Trial => &self.lines.trial,
        }
    }

    /// The threads of one side that run something and are not stranded.
    fn busy(&self, side: Side) -> usize {
        let on_side = |run: &&Running| run.side == side && run.stranded.is_none();
        self.running.iter().filter(on_side).count()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit(version) => {
                if self.submit(version) == Some(Added::NeedsTurn) {
                    self.lines.add(self.servables[version].clone());
                }
            }
            Step::SubmitAtDesk(version) => {
                if self.submit(version) == Some(Added::NeedsTurn) {
                    let servable = self.servables[version].clone();
                    if self.desk.is_some() {
                        return self.lines.add(servable);
                    }
                    servable.queue().come_to_desk(ROWS);
                    self.desk = Some(AtDesk { servable, jobs: None, seen: None });
                }
            }
            Step::RunAtDesk => {
                if let Some(AtDesk { servable, jobs: jobs @ None, .. }) = &mut self.desk {
                    servable.queue().take_at_desk(ROWS, jobs.insert(Vec::new()));
                }
            }
            Step::EndAtDesk => {
                let Some(AtDesk { servable, jobs, .. }) = &mut self.desk else { return };
                let Some(jobs) = jobs.take() else { return };
                finish(jobs);
                if !servable.queue().end_turn_at_desk() {
                    self.desk = None;
                }
            }
            Step::LeaveDesk => {
                if let Some(AtDesk { servable, .. }) = self.desk.take_if(|desk| desk.jobs.is_none())
                {
                    servable.queue().leave_desk();
                    self.lines.add(servable);
                }
            }
            Step::LookAtDesk => {
                let Some(AtDesk { servable, seen, .. }) = &mut self.desk else { return };
                if servable.queue().look_at_desk(seen, THREADS) == Watched::NeedsTurn {
                    self.lines.add(servable.clone());
                }
            }
            Step::EndGathering(version) => {
                let servable = &self.servables[version];
                let Some(number) = servable.queue().gathering() else { return };
                match servable.queue().end_gathering(number, THREADS) {
                    Gathered::NeedsTurn => self.lines.add(servable.clone()),
                    Gathered::HasTurns => {}
                    Gathered::InVain(jobs) => refuse(jobs, &InferError::Stuck),
                }
            }
            Step::Change(version) => {
                let servable = &self.servables[version];
                let next = servable.trial().is_none().then_some(RolloutId(1));
                servable.set_trial(next);
            }
            Step::Take(side) => {
                if self.busy(side) < THREADS && !self.line(side).turns().is_empty() {
                    let turn = self.line(side).next();
                    self.go_on(side, turn);
                }
            }
            Step::End(which) if !self.running.is_empty() => {
                let run = self.running.remove(which % self.running.len());
                finish(run.jobs);
                let queue = run.servable.queue();
                match run.stranded {
                    Some(seat) => {
                        if queue.end_stranded(seat) {
                            self.lines.add(run.servable);
                        }
                    }
                    None => {
                        let goes_on = queue.end_turn();
                        let turn = goes_on.then(|| self.line(run.side).swap(run.servable));
                        self.go_on(run.side, turn);
                    }
                }
            }
            Step::Strand(which) if !self.running.is_empty() => {
                let which = which % self.running.len();
                let run = &mut self.running[which];
                if run.side == Side::Trial && run.stranded.is_none() {
                    self.seats += 1;
                    run.stranded = Some(self.seats);
                    let stranded =
                        Stranded { seat: self.seats, began: Instant::now(), clock: None };
                    refuse(run.servable.queue().strand(stranded), &InferError::Stuck);
                }
            }
            Step::End(_) | Step::Strand(_) => {}
            Step::Desert if self.busy(Side::Trial) == 0 => self.lines.trial.desert(),
            Step::Desert => {}
            Step::Attend => self.lines.trial.attend(),
        }
    }

    fn submit(&mut self, version: usize) -> Option<Added> {
        let (job, ticket) = Job::new(row(0), Instant::now());
        let added = self.servables[version].queue().push(job, THREADS, ROWS).ok()?;
        self.tickets.push(ticket);
        Some(added)
    }

    /// What a thread does with its turn, as far as the run.
    fn go_on(&mut self, side: Side, mut turn: Option<Arc<Servable>>) {
        while let Some(servable) = turn {
            let Some(servable) = self.lines.keep(self.line(side), servable) else { return };
            let mut jobs = Vec::new();
            servable.queue().take(ROWS, &mut jobs);
            if !jobs.is_empty() {
                return self.running.push(Running { servable, jobs, side, stranded: None });
            }
            turn = servable.queue().end_turn().then(|| self.line(side).swap(servable));
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let lines = [self.lines.stable.turns(), self.lines.trial.turns()].concat();
        for servable in &self.servables {
            let is_it = |other: &Arc<Servable>| Arc::ptr_eq(servable, other);
            let in_line = lines.iter().filter(|other| is_it(other)).count();
            let running = self.running.iter().filter(|run| is_it(&run.servable));
            let stranded = running.clone().filter(|run| run.stranded.is_some()).count();
            let at_desk = self.desk.as_ref().filter(|desk| is_it(&desk.servable));
            let runs_at_desk = at_desk.is_some_and(|desk| desk.jobs.is_some());
            let running = running.count() + usize::from(runs_at_desk);
            let waits_at_desk = usize::from(at_desk.is_some() && !runs_at_desk);
            let turns = servable.queue().turns();
            prop_assert_eq!(turns, [in_line + waits_at_desk + running, running, stranded]);
            prop_assert_eq!(servable.stranded(), stranded);
            prop_assert!(turns[0] <= most(servable), "no more than may run at once");
            let will_have_turn = turns[0] > stranded || servable.queue().gathering().is_some();
            prop_assert!(servable.waiting() == 0 || will_have_turn, "nobody waits in vain");
        }
        Ok(())
    }

    /// Lets everything come to its end.
    fn settle(&mut self) {
        self.step(Step::Attend);
        while self.desk.is_some()
            || self.servables.iter().any(|servable| servable.queue().gathering().is_some())
            || !self.running.is_empty()
            || [Side::Stable, Side::Trial].map(|side| self.line(side).turns().len()) != [0, 0]
        {
            let take = [Step::Take(Side::Stable), Step::Take(Side::Trial), Step::EndGathering(3)];
            for step in [Step::End(0), Step::EndAtDesk, Step::RunAtDesk].into_iter().chain(take) {
                self.step(step);
            }
        }
    }
}

fn finish(jobs: Vec<Job>) {
    for job in jobs {
        job.finish(Err(InferError::RunFailed(String::new())));
    }
}

fn most(servable: &Servable) -> usize {
    match servable.limits().max_concurrency {
        0 => THREADS,
        limit => limit,
    }
}

proptest! {
    #[test]
    fn no_turn_is_lost_and_none_is_given_twice(
        steps in proptest::collection::vec(any_step(), 1..200)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check()?;
        }
        world.settle();
        world.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for ticket in world.tickets {
            let unanswered = runtime.block_on(ticket.answer()).unwrap_err().error;
            let is_answer = matches!(unanswered, InferError::RunFailed(_) | InferError::Stuck);
            prop_assert!(is_answer, "{unanswered}");
        }
    }
}
