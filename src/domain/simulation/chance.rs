//! Chance with a seed, so that a simulation is the same each time: SplitMix64 of Steele, Lea and Flood (2014).

/// From this mean on a count is drawn by rejection; below it, event by event.
const MANY: f64 = 10.0;

/// A source of chance.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Chance {
    /// One of its own for each run of each scene. Both are numbers below 2³².
    pub fn new(scene: u64, run: u64) -> Self {
        let mut chance = Self { state: scene << 32 | run, spare: None };
        chance.state = chance.next();
        chance
    }

    /// Any number of 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and without 1.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of so many, by its index. There is at least one.
    pub(super) fn index(&mut self, of: usize) -> usize {
        ((u128::from(self.next()) * of as u128) >> 64) as usize
    }

    /// Whether what has this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.uniform() < probability
    }

    /// With mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }

    /// How many cases pass before the next one in which something with this probability happens.
    pub(super) fn gap(&mut self, probability: f64) -> u64 {
        if probability <= 0.0 {
            return u64::MAX;
        }
        // As a cast saturates, what never happens is far away.
        ((1.0 - self.uniform()).ln() / (-probability).ln_1p()) as u64
    }

    /// In how many of so many cases something with this probability happens.
    pub(super) fn binomial(&mut self, cases: u64, probability: f64) -> u64 {
        if probability > 0.5 {
            return cases - self.binomial(cases, 1.0 - probability);
        }
        if cases as f64 * probability >= MANY {
            return self.many_of(cases, probability);
        }
        let (mut hits, mut at) = (0, self.gap(probability));
        while at < cases {
            hits += 1;
            at = at.saturating_add(1).saturating_add(self.gap(probability));
        }
        hits
    }

    /// How many of something there are where `mean` are to be expected.
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        if mean >= MANY {
            return self.many(mean);
        }
        let (mut count, mut left) = (0, self.uniform());
        let never = (-mean).exp();
        while left > never {
            left *= self.uniform();
            count += 1;
        }
        count
    }

    /// W. Hörmann, *The generation of binomial random variates* (1993): the algorithm BTRS.
    fn many_of(&mut self, cases: u64, p: f64) -> u64 {
        let n = cases as f64;
        let deviation = (n * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * deviation;
        let (a, c) = (-0.0873 + 0.0248 * b + 0.01 * p, n * p + 0.5);
        let (alpha, squeeze) = ((2.83 + 5.1 / b) * deviation, 0.92 - 4.2 / b);
        let mode = ((n + 1.0) * p).floor();
        let log_odds = (p / (1.0 - p)).ln();
        let log_mode = ln_factorial(mode) + ln_factorial(n - mode);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let beside = 0.5 - u.abs();
            let k = ((2.0 * a / beside + b) * u + c).floor();
            if !(0.0..=n).contains(&k) {
                continue;
            }
            let hat = (v * alpha / (a / (beside * beside) + b)).ln();
            let is_inside = beside >= 0.07 && v <= squeeze;
            if is_inside
                || hat <= log_mode - ln_factorial(k) - ln_factorial(n - k) + (k - mode) * log_odds
            {
                return k as u64;
            }
        }
    }

    /// W. Hörmann, *The transformed rejection method for generating Poisson random variables* (1993): PTRS.
    fn many(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let (inverse_alpha, squeeze) = (1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0));
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let beside = 0.5 - u.abs();
            let k = ((2.0 * a / beside + b) * u + mean + 0.43).floor();
            if beside >= 0.07 && v <= squeeze {
                return k as u64;
            }
            if k < 0.0 || (beside < 0.013 && v > beside) {
                continue;
            }
            let hat = (v * inverse_alpha / (a / (beside * beside) + b)).ln();
            if hat <= k * mean.ln() - mean - ln_factorial(k) {
                return k as u64;
            }
        }
    }
}

/// `ln n!`, by Stirling's series where that is as exact as the numbers allow.
fn ln_factorial(n: f64) -> f64 {
    let mut above = n;
    let mut product = 1.0;
    while above < 10.0 {
        above += 1.0;
        product *= above;
    }
    let square = above * above;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / above;
    let of_above = (above + 0.5) * above.ln() - above + 0.5 * std::f64::consts::TAU.ln() + series;
    of_above - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean and the variance of so many draws are what they should be, but for chance.
    #[track_caller]
    fn assert_moments(mean: f64, variance: f64, mut draw: impl FnMut() -> u64) {
        const DRAWS: f64 = 40_000.0;
        let drawn: Vec<f64> = (0..DRAWS as u32).map(|_| draw() as f64).collect();
        let seen = drawn.iter().sum::<f64>() / DRAWS;
        let spread = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS;
        assert!((seen - mean).abs() <= 4.0 * (variance / DRAWS).sqrt(), "{seen} of {mean}");
        // The fourth moment of a count is at most about 3 variance² + variance.
        let deviation = ((2.0 * variance * variance + variance) / DRAWS).sqrt();
        assert!((spread - variance).abs() <= 5.0 * deviation, "{spread} of {variance}");
    }

    #[test]
    fn counts_have_the_mean_and_the_spread_that_they_should_have() {
        let mut chance = Chance::new(1, 0);
        for mean in [0.0, 0.3, 5.0, 9.9, 10.0, 50.0, 5000.0] {
            assert_moments(mean, mean, || chance.poisson(mean));
        }
        for (cases, p) in [(0, 0.3), (7, 0.5), (500, 0.001), (500, 0.05), (500, 0.9), (90_000, 0.3)]
        {
            let mean = cases as f64 * p;
            assert_moments(mean, mean * (1.0 - p), || chance.binomial(cases, p));
        }
        for p in [0.5, 0.02] {
            let gaps = (0..40_000).map(|_| chance.gap(p) as f64).sum::<f64>() / 40_000.0;
            let (mean, deviation) = ((1.0 - p) / p, (1.0 - p).sqrt() / p);
            assert!((gaps - mean).abs() <= 4.0 * deviation / 200.0, "{gaps} of {mean}");
        }
    }

    #[test]
    fn what_is_certain_is_not_left_to_chance() {
        let mut chance = Chance::new(2, 0);
        assert_eq!((chance.binomial(99, 0.0), chance.binomial(99, 1.0)), (0, 99));
        assert_eq!((chance.gap(0.0), chance.gap(1.0)), (u64::MAX, 0));
        assert!((0..100).all(|_| chance.index(3) < 3));
    }

    #[test]
    fn the_logs_of_factorials_are_exact() {
        let mut exact = 0.0;
        for n in 1..200 {
            exact += f64::from(n).ln();
            assert!((ln_factorial(f64::from(n)) - exact).abs() < 1e-9 * exact.max(1.0), "{n}");
        }
        assert!(ln_factorial(0.0).abs() < 1e-9);
    }
}
