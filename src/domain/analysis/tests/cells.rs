//! Cells of the tables that the method is known by, and whether simulated rollouts agree with them.

use std::fmt;

/// How many rollouts a cell of the tables stands for.
const REFERENCE_RUNS: f64 = 2000.0;

/// How many standard errors are put down to chance. Seeds are fixed, so it is the same chance each time.
const ERRORS: f64 = 3.0;

/// How many rollouts are simulated for each cell: as many as for the tables where `GREENROOM_LONG_TESTS` is set, else
/// so few that it can be done before every change. It is set when the tests are built, since nothing in the domain
/// reads the environment.
pub(super) fn runs(few: u64) -> u64 {
    if option_env!("GREENROOM_LONG_TESTS").is_some() { REFERENCE_RUNS as u64 } else { few }
}

/// A cell: in which share of the rollouts it came to this, and after how much in the median one of those: so many pairs,
/// or requests to the candidate, or seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// In per cent; none where the table does not say.
    share: Option<f64>,
    /// By how much the share may be rounded.
    rounding: f64,
    median: Option<u64>,
    /// By how much the median may be.
    slack: u64,
}

impl Cell {
    /// With a median that is given in tenths of a minute, or in whole ones.
    pub(super) const fn in_seconds(self, median: u64, slack: u64) -> Self {
        Self { median: Some(median), slack, ..self }
    }
}

/// A cell with a share to a tenth of a per cent.
pub(super) const fn cell(share: f64, median: u64) -> Cell {
    Cell { median: Some(median), ..rare(share) }
}

/// One without a median: it came to this in too few rollouts.
pub(super) const fn rare(share: f64) -> Cell {
    Cell { share: Some(share), rounding: 0.05, median: None, slack: 0 }
}

/// A cell with a whole share.
pub(super) const fn rough(share: f64, median: u64) -> Cell {
    Cell { rounding: 0.5, median: Some(median), ..rare(share) }
}

/// A cell without a share.
pub(super) const fn after(median: u64) -> Cell {
    Cell { median: Some(median), ..UNKNOWN }
}

/// A cell of which nothing is known.
pub(super) const UNKNOWN: Cell = Cell { share: None, rounding: 0.0, median: None, slack: 0 };

/// After how much each of the simulated rollouts came to this, if it did.
pub(super) struct Simulated {
    runs: f64,
    /// In order.
    after: Vec<u64>,
}

impl Simulated {
    pub(super) fn new(rollouts: Vec<Option<u64>>) -> Self {
        let mut after: Vec<u64> = rollouts.iter().flatten().copied().collect();
        after.sort_unstable();
        Self { runs: rollouts.len() as f64, after }
    }

    pub(super) fn share(&self) -> f64 {
        self.after.len() as f64 / self.runs
    }

    /// What differs from the cell by more than chance explains.
    fn disagreement(&self, cell: Cell) -> Option<String> {
        self.disagreement_of_share(cell).or_else(|| self.disagreement_of_median(cell))
    }

    /// Both shares are binomial.
    fn disagreement_of_share(&self, cell: Cell) -> Option<String> {
        let (theirs, ours) = (cell.share? / 100.0, self.share());
        let pooled = (theirs * REFERENCE_RUNS + ours * self.runs) / (REFERENCE_RUNS + self.runs);
        let variance = pooled * (1.0 - pooled) * (1.0 / REFERENCE_RUNS + 1.0 / self.runs);
        let tolerance = ERRORS * variance.sqrt() + cell.rounding / 100.0;
        ((ours - theirs).abs() > tolerance)
            .then(|| format!("{ours} is more than {tolerance:.4} from {theirs}"))
    }

    /// Half of our rollouts should have come to it by their median, but for the chance in both: of n rollouts, the
    /// number below the true median has the deviation √n/2. As there are looks only now and then, half is anywhere
    /// between those before that look and those up to it.
    fn disagreement_of_median(&self, cell: Cell) -> Option<String> {
        let median = cell.median?;
        let (ours, theirs) = (
            self.after.len() as f64,
            REFERENCE_RUNS * cell.share.map_or(self.share(), |s| s / 100.0),
        );
        let tolerance = ERRORS * 0.5 * (1.0 / ours + 1.0 / theirs).sqrt();
        let (before, by) = self.around(median, cell.slack);
        let (before, by) = (before / ours, by / ours);
        (before > 0.5 + tolerance || by < 0.5 - tolerance).then(|| {
            format!("by {median} it is {before} to {by}, more than {tolerance:.4} from half")
        })
    }

    /// How many came to it before a value, and up to it; the value may be off by the slack.
    fn around(&self, value: u64, slack: u64) -> (f64, f64) {
        let up_to = |bound: u64| self.after.partition_point(|after| *after <= bound) as f64;
        (up_to(value.saturating_sub(slack + 1)), up_to(value + slack))
    }

    /// What differs by more than chance explains if this share of all rollouts came to it by then.
    fn disagreement_of_quantile(&self, quantile: f64, value: u64) -> Option<String> {
        let variance = quantile * (1.0 - quantile) * (1.0 / self.runs + 1.0 / REFERENCE_RUNS);
        let tolerance = ERRORS * variance.sqrt();
        let (before, by) = self.around(value, 0);
        let (before, by) = (before / self.runs, by / self.runs);
        (before > quantile + tolerance || by < quantile - tolerance).then(|| {
            format!("by {value} it is {before} to {by}, more than {tolerance:.4} from {quantile}")
        })
    }

    /// After how much this share of all rollouts came to it.
    fn quantile(&self, quantile: f64) -> Option<u64> {
        self.after.get((quantile * self.runs) as usize).copied()
    }
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} %", 100.0 * self.share())?;
        match self.after.get(self.after.len() / 2) {
            Some(median) => write!(f, " / {median}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.share {
            Some(share) => write!(f, "{share} %")?,
            None => write!(f, "?")?,
        }
        match self.median {
            Some(median) => write!(f, " / {median}"),
            None => Ok(()),
        }
    }
}

/// Compares the rows of a table with what was simulated, and tells of all cells that disagree.
#[derive(Default)]
pub(super) struct Comparison {
    disagreements: Vec<String>,
}

impl Comparison {
    pub(super) fn row<const N: usize>(
        &mut self,
        name: &str,
        cells: [Cell; N],
        simulated: [Simulated; N],
    ) {
        for (column, (cell, simulated)) in cells.into_iter().zip(simulated).enumerate() {
            println!("{name}, column {column}: {cell}, simulated {simulated}");
            let disagreement = simulated.disagreement(cell);
            self.disagreements
                .extend(disagreement.map(|text| format!("{name}, column {column}: {text}")));
        }
    }

    /// Of all rollouts, half came to it by the first value, and nine of ten by the second.
    pub(super) fn quantiles(&mut self, name: &str, [half, most]: [u64; 2], simulated: &Simulated) {
        let [seen_half, seen_most] = [0.5, 0.9].map(|quantile| simulated.quantile(quantile));
        println!("{name}: {half} / {most}, simulated {seen_half:?} / {seen_most:?}");
        for (quantile, value) in [(0.5, half), (0.9, most)] {
            let disagreement = simulated.disagreement_of_quantile(quantile, value);
            self.disagreements.extend(disagreement.map(|text| format!("{name}: {text}")));
        }
    }

    /// Of all rollouts, half came to it by this value.
    pub(super) fn median(&mut self, name: &str, half: u64, simulated: &Simulated) {
        println!("{name}: {half}, simulated {:?}", simulated.quantile(0.5));
        let disagreement = simulated.disagreement_of_quantile(0.5, half);
        self.disagreements.extend(disagreement.map(|text| format!("{name}: {text}")));
    }

    /// A mean that is known to the next whole number.
    pub(super) fn mean(&mut self, name: &str, mean: f64, simulated: &[f64]) {
        let runs = simulated.len() as f64;
        let seen = simulated.iter().sum::<f64>() / runs;
        let variance = simulated.iter().map(|value| (value - seen).powi(2)).sum::<f64>() / runs;
        let tolerance = ERRORS * (variance * (1.0 / runs + 1.0 / REFERENCE_RUNS)).sqrt() + 0.5;
        println!("{name}: {mean}, simulated {seen:.1}");
        if (seen - mean).abs() > tolerance {
            let text = format!("{name}: {seen} is more than {tolerance:.2} from {mean}");
            self.disagreements.push(text);
        }
    }

    #[track_caller]
    pub(super) fn assert_none(self) {
        assert!(self.disagreements.is_empty(), "{:#?}", self.disagreements);
    }
}

#[test]
fn cells_that_are_off_are_noticed() {
    let rollouts = |done: usize, of: usize, pairs: u64| {
        Simulated::new((0..of).map(|run| (run < done).then_some(pairs)).collect())
    };
    assert_eq!(rollouts(50, 100, 300).disagreement(cell(50.0, 300)), None);
    assert!(rollouts(50, 100, 310).disagreement(cell(50.0, 300)).is_some());
    assert!(rollouts(50, 100, 290).disagreement(cell(50.0, 300)).is_some());
    assert!(rollouts(30, 100, 300).disagreement(cell(50.0, 300)).is_some());
    assert_eq!(rollouts(36, 100, 300).disagreement(cell(50.0, 300)), None);
    assert!(rollouts(2, 100, 300).disagreement(rare(0.0)).is_some());
    assert_eq!(rollouts(0, 100, 300).disagreement(UNKNOWN), None);
    assert!(rollouts(50, 100, 290).disagreement(rare(50.0).in_seconds(300, 9)).is_some());
    assert_eq!(rollouts(50, 100, 290).disagreement(rare(50.0).in_seconds(300, 10)), None);
    assert_eq!(rollouts(90, 100, 300).disagreement_of_quantile(0.9, 300), None);
    assert!(rollouts(90, 100, 301).disagreement_of_quantile(0.9, 300).is_some());
    let mut comparison = Comparison::default();
    comparison.mean("near", 9.6, &[9.0, 11.0, 9.0, 11.0].repeat(100));
    assert!(comparison.disagreements.is_empty());
    comparison.mean("far", 9.2, &[9.0, 11.0, 9.0, 11.0].repeat(100));
    assert_eq!(comparison.disagreements.len(), 1);
}
