//! What became of one rollout.

use std::time::Duration;

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The candidate was taken back.
    RolledBack,
    /// It was given all traffic, or shown to be good enough where an operator has the last word.
    Promoted,
    /// Neither, until the time was over.
    Undecided,
}

impl Fate {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::RolledBack, Self::Promoted, Self::Undecided];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled-back",
            Self::Promoted => "promoted",
            Self::Undecided => "undecided",
        }
    }
}

/// One rollout that was played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub fate: Fate,
    /// When that was decided: with a promotion, when the candidate got all traffic, although it was watched for longer.
    pub decided: Duration,
    /// How many live requests the candidate had until then.
    pub candidate_requests: u64,
    /// How many answers were failures because of the candidate, until the time was over: those that it failed beyond
    /// what stable would have, and that no other version answered in its place.
    pub bad_answers: f64,
    /// How many requests the candidate failed and stable answered in its place.
    pub rescued: u64,
}
