//! Chance with a seed, so that a simulation is the same each time: SplitMix64 of Steele, Lea and Flood (2014).

/// A source of chance.
pub(in crate::domain::analysis) struct Chance {
    state: u64,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Chance {
    /// One of its own for each run of each scene.
    pub(in crate::domain::analysis) fn new(scene: u64, run: u64) -> Self {
        let mut chance = Self { state: scene << 32 | run, spare: None };
        chance.state = chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and without 1.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether what has this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.uniform() < probability
    }

    /// How many of these trials succeed.
    pub(super) fn binomial(&mut self, trials: u64, probability: f64) -> u64 {
        (0..trials).map(|_| u64::from(self.happens(probability))).sum()
    }

    /// How often it happens where it happens so often in the mean, at any time alike (Knuth).
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        // In parts, since the product of very many numbers below 1 is no number.
        const PART: f64 = 32.0;
        let (parts, rest) = ((mean / PART).floor(), mean % PART);
        let mut count = 0;
        for part in std::iter::repeat_n(PART, parts as usize).chain([rest]) {
            let (mut product, bound) = (self.uniform(), (-part).exp());
            while product > bound {
                product *= self.uniform();
                count += 1;
            }
        }
        count
    }

    /// With mean 0 and deviation 1 (Box and Muller).
    pub(in crate::domain::analysis) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

#[test]
fn counts_have_the_mean_and_the_variance_of_chance() {
    const DRAWS: u64 = 20_000;
    let mut chance = Chance::new(0, 0);
    let mut assert_moments =
        |mut draw: Box<dyn FnMut(&mut Chance) -> u64>, mean: f64, variance: f64| {
            let draws: Vec<f64> = (0..DRAWS).map(|_| draw(&mut chance) as f64).collect();
            let seen = draws.iter().sum::<f64>() / DRAWS as f64;
            let spread = draws.iter().map(|draw| (draw - seen).powi(2)).sum::<f64>() / DRAWS as f64;
            let error = (variance / DRAWS as f64).sqrt();
            assert!((seen - mean).abs() < 4.0 * error, "{seen} instead of {mean}");
            assert!((spread / variance - 1.0).abs() < 0.06, "{spread} instead of {variance}");
        };
    for mean in [0.05, 0.9, 31.9, 70.0] {
        assert_moments(Box::new(move |chance| chance.poisson(mean)), mean, mean);
    }
    assert_moments(Box::new(|chance| chance.binomial(50, 0.1)), 5.0, 4.5);
}
