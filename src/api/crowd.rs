//! Everybody who is connected to a listener: no more than there may be.
//!
//! Where all places are taken, a newcomer gets that of whoever keeps the server waiting longest, so that it does not help
//! to come with more connections than there may be: those who have something to ask, ask at once. Nobody has to go
//! whose whole request has arrived. Where everybody's has, newcomers wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::standing::{Phase, Seen, Standing};

/// Who is there.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    epoch: Instant,
    members: Mutex<Members>,
    /// Told when somebody leaves.
    left: Notify,
}

#[derive(Debug)]
struct Members {
    next: u64,
    present: HashMap<u64, Member>,
    /// Those who go next, the first one last, as they were when the list was made.
    next_to_go: Vec<(u64, Seen)>,
    listed: Instant,
    sent_away: u64,
    told: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    standing: Arc<Standing>,
    /// Known as soon as there is a task.
    task: Option<AbortHandle>,
}

/// A connection's place, until it ends.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    standing: Arc<Standing>,
}

/// For how long a client may take its time without being the first to go.
const A_MOMENT: Duration = Duration::from_secs(1);
/// For how long a list of those who go next is good.
const LIST_LASTS: Duration = Duration::from_millis(100);
/// How often a newcomer looks for a place when nobody leaves, since somebody may have begun to wait.
const LOOK: Duration = Duration::from_millis(20);
/// How often the log tells of it.
const TELL: Duration = Duration::from_secs(10);
/// Longer than it takes to read what has arrived, on a machine that has much else to do.
const A_LITTLE: Duration = Duration::from_millis(100);

impl Crowd {
    /// For as many as `most`.
    pub(super) fn new(most: usize) -> Self {
        let epoch = Instant::now();
        let members = Members {
            next: 0,
            present: HashMap::new(),
            next_to_go: Vec::new(),
            listed: epoch,
            sent_away: 0,
            told: None,
        };
        Self { most, epoch, members: Mutex::new(members), left: Notify::new() }
    }

    /// Finds a place. Waits where nobody can be sent away.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_place() {
                return place;
            }
            if !self.send_one_away() {
                self.somebody_leaves().await;
            }
        }
    }

    fn try_place(self: &Arc<Self>) -> Option<Place> {
        let mut members = self.lock();
        if members.present.len() >= self.most {
            return None;
        }
        let (number, standing) = (members.next, Arc::new(Standing::new(self.epoch)));
        members.next += 1;
        members.present.insert(number, Member { standing: standing.clone(), task: None });
        Some(Place { crowd: self.clone(), number, standing })
    }

    /// Says what is to be ended when the connection in this place has to go.
    pub(super) fn can_end(&self, number: u64, task: AbortHandle) {
        // One that has ended already has left.
        if let Some(member) = self.lock().present.get_mut(&number) {
            member.task = Some(task);
        }
    }

    /// Sends away who has waited longest; false where nobody can be.
    pub(super) fn send_one_away(&self) -> bool {
        let now = self.epoch.elapsed();
        let mut members = self.lock();
        // The list is made for many at once: looking at everybody for each newcomer would be an attack of its own.
        let is_old = members.listed.elapsed() > LIST_LASTS;
        if members.next_to_go.is_empty() || is_old {
            members.list(now, self.most);
        }
        while let Some((number, seen)) = members.next_to_go.pop() {
            if members.send_away(number, seen) {
                members.tell(self.most);
                return true;
            }
        }
        false
    }

    /// Sends away who has not taken its answer for longest, and for longer than anybody has to wait; false where nobody
    /// keeps the server waiting for that.
    pub(super) fn send_a_stalled_one_away(&self) -> bool {
        let now = self.epoch.elapsed();
        let mut members = self.lock();
        let stalled = members.present.iter().map(|(number, it)| (*number, it.standing.seen()));
        let stalled = stalled.filter(|(_, it)| it.phase == Phase::Stalled && waits_long(*it, now));
        let longest = stalled.min_by_key(|(_, seen)| seen.since);
        longest.is_some_and(|(number, seen)| members.send_away(number, seen))
    }

    /// Waits until a connection ends, for a short while.
    pub(super) async fn somebody_leaves(&self) {
        let _ = tokio::time::timeout(LOOK, self.left.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    /// Notes who goes next: a small part of all, at least one.
    fn list(&mut self, now: Duration, most: usize) {
        let present = self.present.iter().filter(|(_, member)| member.task.is_some());
        let seen: Vec<(u64, Seen)> =
            present.map(|(number, member)| (*number, member.standing.seen())).collect();
        let order = Order::of(&seen, now);
        let can_go = seen
            .into_iter()
            .filter_map(|(number, seen)| Some((order.rank(seen, now)?, seen.since, number, seen)));
        let key = |(rank, since, number, _): &(u8, Duration, u64, Seen)| (*rank, *since, *number);
        let mut all: Vec<_> = can_go.collect();
        let count = (most / 16).max(1);
        if count < all.len() {
            all.select_nth_unstable_by_key(count, key);
            all.truncate(count);
        }
        all.sort_unstable_by_key(key);
        // How many there are of each kind will be another matter when those of the first are gone.
        let first = all.first().map(|(rank, ..)| *rank);
        all.retain(|(rank, ..)| Some(*rank) == first);
        self.next_to_go =
            all.into_iter().rev().map(|(_, _, number, seen)| (number, seen)).collect();
        self.listed = Instant::now();
    }

    fn send_away(&mut self, number: u64, seen: Seen) -> bool {
        let Some(Member { standing, task: Some(task) }) = self.present.get(&number) else {
            return false;
        };
        if !standing.send_away(seen) {
            return false;
        }
        task.abort();
        self.present.remove(&number);
        true
    }

    fn tell(&mut self, most: usize) {
        self.sent_away += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            tracing::warn!(
                connections = self.sent_away,
                "connections that kept the server waiting were closed for others: there are {most}, as many as may be (`http.max_connections`)"
            );
            self.told = Some(Instant::now());
            self.sent_away = 0;
        }
    }
}

/// Who goes first, in what there is of both kinds of connections that may be good: those between two requests, and those
/// that have just come. Neither kind can crowd out the other: from the larger one somebody goes.
#[derive(Clone, Copy, Debug)]
struct Order {
    /// None while they may stay.
    resting: Option<u8>,
    arriving: u8,
    /// For how long those have been there at least that may go for having just come.
    after: Duration,
}

impl Order {
    fn of(all: &[(u64, Seen)], now: Duration) -> Self {
        let count = |is_it: fn(Seen, Duration) -> bool| {
            all.iter().filter(|(_, seen)| is_it(*seen, now)).count()
        };
        let resting = count(|seen, _| seen.phase == Phase::Resting);
        let new = count(|seen, _| seen.phase == Phase::New);
        let arriving = count(|seen, now| seen.phase == Phase::Arriving && !waits_long(seen, now));
        if resting >= arriving + new {
            Self { resting: Some(2), arriving: 3, after: Duration::ZERO }
        } else {
            // From the others somebody can go, at once or as soon as it is seen that they have sent nothing. Until then
            // the only one that is seen to wait may be one whose request is being read.
            let after = if new == 0 { Duration::ZERO } else { A_LITTLE };
            Self { resting: None, arriving: 2, after }
        }
    }

    /// The lower the sooner, and among those with the same who has waited longest. None for who may stay.
    fn rank(self, seen: Seen, now: Duration) -> Option<u8> {
        match seen.phase {
            Phase::Arriving if waits_long(seen, now) => Some(0),
            Phase::Stalled if waits_long(seen, now) => Some(1),
            Phase::Resting => self.resting,
            Phase::Arriving if now.saturating_sub(seen.since) < self.after => None,
            Phase::Arriving => Some(self.arriving),
            Phase::Stalled => Some(4),
            // What it has sent may be a whole request.
            Phase::New => None,
            Phase::Working | Phase::Leaving => None,
        }
    }
}

/// Whether it keeps the server waiting for longer than anybody has to.
fn waits_long(seen: Seen, now: Duration) -> bool {
    now.saturating_sub(seen.since) >= A_MOMENT
}

impl Place {
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().present.remove(&self.number);
        self.crowd.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who is there until told to go.
    async fn arrival(crowd: &Arc<Crowd>) -> (Arc<Standing>, tokio::task::JoinHandle<()>) {
        let place = crowd.place().await;
        let (standing, number) = (place.standing().clone(), place.number());
        standing.enter(Phase::Arriving);
        let task = tokio::spawn(async move {
            let _place = place;
            std::future::pending::<()>().await;
        });
        crowd.can_end(number, task.abort_handle());
        (standing, task)
    }

    async fn has_to_go(task: tokio::task::JoinHandle<()>) -> bool {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        task.is_finished()
    }

    async fn later(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_is_room_nobody_has_to_go() {
        let crowd = Arc::new(Crowd::new(2));
        let (_, first) = arrival(&crowd).await;
        later(60).await;
        let (_, second) = arrival(&crowd).await;
        assert!(!has_to_go(first).await && !has_to_go(second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_keeps_the_server_waiting_longest_goes_first() {
        let crowd = Arc::new(Crowd::new(3));
        let (resting, rests) = arrival(&crowd).await;
        resting.enter(Phase::Resting);
        let (working, works) = arrival(&crowd).await;
        working.enter(Phase::Working);
        let (_, slow) = arrival(&crowd).await;
        later(5).await;
        let (_, quick) = arrival(&crowd).await;
        assert!(has_to_go(slow).await, "the slow one goes first");
        let _second = arrival(&crowd).await;
        assert!(has_to_go(rests).await, "then the one that rests");
        let _third = arrival(&crowd).await;
        assert!(has_to_go(quick).await, "and only then one that has just come");
        assert!(!has_to_go(works).await, "but never one with a request");
    }

    #[tokio::test(start_paused = true)]
    async fn neither_those_who_come_nor_those_who_rest_can_crowd_out_the_others() {
        let crowd = Arc::new(Crowd::new(64));
        let mut resting = Vec::new();
        for _ in 0..16 {
            let (standing, task) = arrival(&crowd).await;
            standing.enter(Phase::Resting);
            resting.push(task);
        }
        for _ in 0..1000 {
            arrival(&crowd).await;
        }
        tokio::task::yield_now().await;
        assert!(resting.iter().all(|task| !task.is_finished()), "few rest, and they stay");
        let mut last = Vec::new();
        for _ in 0..1000 {
            let (standing, task) = arrival(&crowd).await;
            standing.enter(Phase::Resting);
            last.push(task);
        }
        let (_, newcomer) = arrival(&crowd).await;
        for _ in 0..10 {
            let (standing, _) = arrival(&crowd).await;
            standing.enter(Phase::Resting);
        }
        assert!(!has_to_go(newcomer).await, "many rest, and a newcomer has time to ask");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_been_looked_at_stays_and_does_not_drive_out_those_who_rest() {
        let crowd = Arc::new(Crowd::new(3));
        let (resting, rests) = arrival(&crowd).await;
        resting.enter(Phase::Resting);
        let new = [crowd.place().await, crowd.place().await];
        new.iter().for_each(|place| crowd.can_end(place.number(), rests.abort_handle()));
        let newcomer = tokio::time::timeout(Duration::from_secs(60), crowd.place()).await;
        assert!(newcomer.is_err() && !has_to_go(rests).await);
        new[0].standing().enter(Phase::Arriving);
        new[1].standing().enter(Phase::Working);
        let newcomer = tokio::time::timeout(Duration::from_secs(60), crowd.place()).await;
        assert!(newcomer.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whose_request_is_being_read_stays_while_nobody_has_looked_at_the_others() {
        let crowd = Arc::new(Crowd::new(3));
        let (reading, task) = arrival(&crowd).await;
        reading.enter(Phase::Resting);
        reading.enter(Phase::Arriving);
        for _ in 0..2 {
            let (standing, _) = arrival(&crowd).await;
            standing.enter(Phase::New);
        }
        assert!(!crowd.send_one_away());
        later(1).await;
        assert!(crowd.send_one_away() && has_to_go(task).await, "but not for long");
    }

    #[tokio::test(start_paused = true)]
    async fn where_everybody_has_a_request_newcomers_wait() {
        let crowd = Arc::new(Crowd::new(1));
        let (standing, task) = arrival(&crowd).await;
        standing.enter(Phase::Working);
        let waiting = tokio::time::timeout(Duration::from_secs(60), crowd.place()).await;
        assert!(waiting.is_err(), "nobody can be sent away");
        standing.enter(Phase::Resting);
        let found = tokio::time::timeout(Duration::from_secs(1), crowd.place()).await;
        assert!(found.is_ok() && has_to_go(task).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_again_when_its_connection_ends() {
        let crowd = Arc::new(Crowd::new(1));
        drop(crowd.place().await);
        assert!(crowd.try_place().is_some());
    }
}
