//! Mixtures of bets: nobody knows by how much a candidate is worse, so the stake is spread over guesses.

/// One bet of a mixture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bet {
    /// Its share of the stake.
    pub(super) weight: f64,
    /// The log of what each unit of it has grown to.
    pub(super) growth: f64,
}

impl Bet {
    /// The same bet with a share of what is on it.
    pub(super) fn scaled(self, share: f64) -> Self {
        Self { weight: self.weight * share, ..self }
    }
}

/// How many times as often as is tolerated something may happen, with the share of the stake on each guess.
const RISKS: [(f64, f64); 7] =
    [(1.5, 0.10), (2.0, 0.20), (3.0, 0.25), (5.0, 0.20), (10.0, 0.15), (30.0, 0.07), (100.0, 0.03)];

/// Bets on a mean, as fractions of the largest that cannot be ruined by one outcome; an equal stake on each.
const FRACTIONS: [f64; 6] = [0.90, 0.50, 0.25, 0.12, 0.06, 0.03];

/// The log of what is left when such a bet is lost, ln(1 − fraction): it is asked for all the time.
const LOST: [f64; 6] = [
    -std::f64::consts::LN_10,
    -std::f64::consts::LN_2,
    -0.2876820724517809,
    -0.12783337150988489,
    -0.06187540371808747,
    -0.030459207484708546,
];

/// "It always happens" is refuted by one exception, and no bet is infinite.
const NEARLY_ALWAYS: f64 = 1.0 - 1e-9;

/// One bet for each guess of the relative risk.
pub(super) fn on_risks(growth: impl Fn(f64) -> f64) -> [Bet; 7] {
    RISKS.map(|(risk, weight)| Bet { weight, growth: growth(risk) })
}

/// One bet for each fraction of the largest safe bet, by the fraction and the log of what is left when all of it is lost.
pub(super) fn on_fractions(growth: impl Fn(f64, f64) -> f64) -> [Bet; 6] {
    let bets: [(f64, f64); 6] = std::array::from_fn(|bet| (FRACTIONS[bet], LOST[bet]));
    bets.map(|(fraction, lost)| Bet { weight: 1.0 / 6.0, growth: growth(fraction, lost) })
}

/// An equal stake on each guess.
pub(super) fn evenly<const K: usize>(guesses: [f64; K], growth: impl Fn(f64) -> f64) -> [Bet; K] {
    guesses.map(|guess| Bet { weight: 1.0 / K as f64, growth: growth(guess) })
}

/// Against "it happens in at most the share `limit` of the cases", after `hits` of `cases`: with the chance p of a
/// guess, a hit is a factor of p/limit and a miss one of (1−p)/(1−limit).
///
/// No guess is above `cap`, since a certain event leaves nothing to bet on; a guess that is no longer above the
/// limit is no bet. Counts may be fractions: the fortune is then smaller than that of betting on each fraction,
/// by the inequality of means.
pub(super) fn more_often_than(limit: f64, cap: f64, cases: f64, hits: f64) -> [Bet; 7] {
    on_risks(|risk| likelihood_ratio(hits, cases - hits, (limit * risk).min(cap).max(limit), limit))
}

/// Against "it happens in at least the share `limit` of the cases", after `hits` of `cases`: the factor of a case is
/// 1 + λ(limit − X), where X is 1 for a hit and 0 for a miss, and λ a fraction of 1/(1−limit).
pub(super) fn less_often_than(limit: f64, cases: f64, hits: f64) -> [Bet; 6] {
    let limit = limit.min(NEARLY_ALWAYS);
    on_fractions(|fraction, lost| {
        let bet = fraction / (1.0 - limit);
        times(cases - hits, (bet * limit).ln_1p()) + times(hits, lost)
    })
}

/// The log of the likelihood ratio of chance `p` to chance `p0`.
pub(super) fn likelihood_ratio(hits: f64, misses: f64, p: f64, p0: f64) -> f64 {
    if p == p0 {
        return 0.0;
    }
    times(hits, (p / p0).ln()) + times(misses, (-p).ln_1p() - (-p0).ln_1p())
}

/// Against "what happens, happens on the candidate's side at most `tolerated` times as often as on stable's", where a
/// request is on the candidate's side with the chance `weight`: the log of what the bet on `risk` times as much grows
/// to, after it happened so often on either side.
///
/// With ρ times as much it is the candidate's side in the share wρ/(wρ+1−w) of all times. What does not happen tells
/// nothing, and so it does not matter how often something happens on both sides.
pub(super) fn relative_risk(
    weight: f64,
    tolerated: f64,
    risk: f64,
    (candidate, stable): (f64, f64),
) -> f64 {
    let other = 1.0 - weight;
    let dilution = ((weight * tolerated + other) / (weight * tolerated * risk + other)).ln();
    times(candidate, risk.ln() + dilution) + times(stable, dilution)
}

/// `count` factors with this log. What did not happen has no weight, whatever the log; a count that is
/// negative by rounding did not happen.
pub(super) fn times(count: f64, log: f64) -> f64 {
    if count > 0.0 { count * log } else { 0.0 }
}

/// The log of the fortune: `ln Σ weight·e^growth`.
pub(super) fn log_value(bets: &[Bet]) -> f64 {
    log_total(bets.iter().copied())
}

/// [`log_value`] of bets that are made on the way.
pub(super) fn log_total(bets: impl Iterator<Item = Bet> + Clone) -> f64 {
    let highest = bets.clone().map(|bet| bet.growth).fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return highest;
    }
    highest + bets.map(|bet| bet.weight * (bet.growth - highest).exp()).sum::<f64>().ln()
}

/// The same bets, with stakes that make a whole.
pub(super) fn normalised(mut bets: Vec<Bet>) -> Vec<Bet> {
    let whole: f64 = bets.iter().map(|bet| bet.weight).sum();
    bets.iter_mut().for_each(|bet| bet.weight /= whole);
    bets
}

/// `ln(e^a + e^b)`.
pub(super) fn log_sum(a: f64, b: f64) -> f64 {
    log_value(&[a, b].map(|growth| Bet { weight: 1.0, growth }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::analysis::tests::assert_near;

    #[test]
    fn a_stake_is_spread_whole() {
        let spread: [f64; 2] = [
            on_risks(|_| 0.0).map(|bet| bet.weight).iter().sum(),
            on_fractions(|_, _| 0.0).map(|bet| bet.weight).iter().sum(),
        ];
        for sum in spread {
            assert!((sum - 1.0).abs() < 1e-15, "{sum}");
        }
    }

    #[test]
    fn what_is_left_of_a_lost_bet_is_known() {
        for (fraction, lost) in FRACTIONS.into_iter().zip(LOST) {
            assert!(((-fraction).ln_1p() - lost).abs() <= f64::EPSILON * lost.abs(), "{fraction}");
        }
    }

    #[test]
    fn a_mean_of_fortunes_is_a_fortune_of_them_all() {
        let mean = |bets: &[(f64, f64)]| {
            let bets = bets.iter().map(|&(weight, growth)| Bet { weight, growth });
            log_value(&normalised(bets.collect()))
        };
        assert_near(mean(&[(0.35, 4.0), (0.15, 1.0), (0.25, -2.0), (0.25, 0.5)]), 2.993886);
        assert_near(mean(&[(0.35, 4.0), (0.25, -2.0)]), 3.462772);
    }

    #[test]
    fn a_fortune_too_large_for_a_number_has_a_log() {
        let bets = [(0.5, 2000.0), (0.5, -1e9)].map(|(weight, growth)| Bet { weight, growth });
        assert!((log_value(&bets) - (2000.0 - 2f64.ln())).abs() < 1e-9);
        assert_eq!(log_sum(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(log_sum(f64::NEG_INFINITY, -3.0), -3.0);
    }

    #[test]
    fn what_did_not_happen_has_no_weight() {
        assert_eq!(times(0.0, f64::NEG_INFINITY), 0.0);
        assert_eq!(times(-1e-17, 5.0), 0.0);
        assert_eq!(times(2.0, 5.0), 10.0);
    }

    #[test]
    fn a_limit_near_certainty_leaves_nothing_to_bet_on() {
        for limit in [0.95, 0.99, 1.0] {
            let bets = more_often_than(limit, 0.95, 1000.0, 1000.0);
            assert_eq!(log_value(&bets), 0.0, "{limit}");
        }
    }
}
