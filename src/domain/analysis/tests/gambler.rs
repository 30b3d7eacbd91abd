//! A gambler who bets case by case and keeps every start apart: what counters must come to, made the long way.

/// What a gambler's unit becomes with one case.
pub(super) type Factor<C> = Box<dyn Fn(&C) -> f64>;

/// Shares of the stake, and what happens to them.
pub(super) type Bets<C> = Vec<(f64, Factor<C>)>;

pub(super) const RISKS: [(f64, f64); 7] =
    [(1.5, 0.1), (2.0, 0.2), (3.0, 0.25), (5.0, 0.2), (10.0, 0.15), (30.0, 0.07), (100.0, 0.03)];

pub(super) const FRACTIONS: [f64; 6] = [0.9, 0.5, 0.25, 0.12, 0.06, 0.03];

struct Gambler<C> {
    bets: Bets<C>,
    /// The stake of each start and the logs of what its bets have grown to.
    starts: Vec<(f64, Vec<f64>)>,
}

impl<C> Gambler<C> {
    fn new(bets: Bets<C>, stake: f64) -> Self {
        let mut gambler = Self { bets, starts: Vec::new() };
        gambler.start(stake);
        gambler
    }

    fn start(&mut self, stake: f64) {
        self.starts.push((stake, vec![0.0; self.bets.len()]));
    }

    fn bet(&mut self, case: &C) {
        for (_, growth) in &mut self.starts {
            for ((_, factor), growth) in self.bets.iter().zip(growth) {
                *growth += factor(case).ln();
            }
        }
    }

    fn log_evidence(&self) -> f64 {
        let spent: f64 = self.starts.iter().map(|(stake, _)| stake).sum();
        let fortunes = self.starts.iter().map(|(stake, growth)| {
            let grown = self.bets.iter().zip(growth).map(|((weight, _), log)| weight * log.exp());
            stake * grown.sum::<f64>()
        });
        (fortunes.sum::<f64>() + 1.0 - spent).ln()
    }
}

/// With half of the stake, and more in every epoch after the first.
pub(super) fn gambled<'c, C: 'c>(epochs: impl Iterator<Item = &'c [C]>, bets: Bets<C>) -> f64 {
    let mut gambler = Gambler::new(bets, 0.5);
    for (number, epoch) in epochs.enumerate() {
        if number > 0 {
            gambler.start(0.5 / 60.0);
        }
        epoch.iter().for_each(|case| gambler.bet(case));
    }
    gambler.log_evidence()
}

/// With all of it at once.
pub(super) fn proven<C>(cases: &[C], bets: Bets<C>) -> f64 {
    let mut gambler = Gambler::new(bets, 1.0);
    cases.iter().for_each(|case| gambler.bet(case));
    gambler.log_evidence()
}

/// `p` if it happens, the rest if not, as a ratio to the chances that are tolerated.
pub(super) fn ratio(happens: bool, p: f64, tolerated: f64) -> f64 {
    if happens { p / tolerated } else { (1.0 - p) / (1.0 - tolerated) }
}

pub(super) fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * (1.0 + a.abs())
}
