//! One output over a rollout: what it means, how it is measured, and what it has shown.

use serde::{Deserialize, Serialize};

use super::super::analysis::OutputOutcome;
use super::super::tensor::{DType, ValueView};
use super::chance::Chance;
use super::classes::{ClassNames, ClassRef, ClassTable};
use super::contract::{Broken, Poison, matched};
use super::differences::Allowed;
use super::form::Form;
use super::kind::{Meaning, can_be};
use super::labels::{self, Choices};
use super::noise::{OutputNoise, SelfDifference};
use super::numbers::{self, Measure, Numbers};
use super::outcome::{Outlier, RowsSeen};
use super::pair::{Arm, Metric};
use super::probabilities::{self, Probabilities};
use super::report::{Ecdfs, Metrics, OutputReport};
use super::rows::Rows;
use super::rule::{Change, OutputKind, OutputRule, Tolerance};

/// One output.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct OutputComparison {
    rule: OutputRule,
    meaning: Meaning,
    names: ClassNames,
    form: Option<Form>,
    rows: u64,
    measured: Option<Measured>,
    noise: OutputNoise,
}

/// What an output has shown, by what it means.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Measured {
    Labels(Choices),
    Probabilities(Box<Probabilities>),
    Numbers(OutputKind, Box<Numbers>),
}

/// The answers of a pair for one output.
pub(super) struct Answers<'p, 'a> {
    pub(super) stable: &'p ValueView<'a>,
    pub(super) candidate: Option<&'p ValueView<'a>>,
    /// The live answer beside the run of the version that gave it.
    pub(super) live: Option<[&'p ValueView<'a>; 2]>,
}

/// What one output of a pair showed.
pub(super) struct Shown<'a> {
    pub(super) outcome: OutputOutcome,
    /// Whether a difference would say something about the candidate, if it was judged at all.
    pub(super) is_telling: bool,
    pub(super) rows: Option<Rows<'a>>,
    pub(super) seen: RowsSeen<'a>,
    /// What somebody should look at; at most one of each metric.
    pub(super) outliers: Vec<Outlier>,
    pub(super) broken: Option<Broken>,
    pub(super) noise: Option<SelfDifference>,
}

impl OutputComparison {
    pub(super) fn new(rule: OutputRule) -> Self {
        let names = ClassNames(rule.classes.clone());
        let (form, measured, noise) = (None, None, OutputNoise::default());
        Self { rule, meaning: Meaning::unknown(), names, form, rows: 0, measured, noise }
    }

    pub(super) fn name(&self) -> &str {
        &self.rule.name
    }

    pub(super) fn rule(&self) -> &OutputRule {
        &self.rule
    }

    /// Whether a difference says anything about a candidate; `None` while it is not known what the output means.
    pub(super) fn is_telling(&self, change: Change) -> Option<bool> {
        self.kind().map(|kind| kind.is_telling(change) && change.is_judged())
    }

    /// Looks at one pair.
    pub(super) fn observe<'a>(
        &mut self,
        answers: &Answers<'_, 'a>,
        change: Change,
        chance: &mut Chance,
    ) -> Shown<'a> {
        self.see_form(answers.stable);
        let rows = match matched(answers.stable, answers.candidate) {
            Ok(rows) => rows,
            Err(broken) => return Shown::of_broken(broken, change),
        };
        if rows.count() == 0 {
            return Shown::of_nothing();
        }
        let kind = self.meaning.learn(self.rule.kind, answers.stable, &rows);
        self.prepare(kind);
        let poison = Poison::of(&rows);
        let noise = answers.live.map(|[live, rerun]| self.noise_of(live, rerun, change));
        let knows = self.knows(change);
        let seen = if can_be(kind, &rows) {
            self.rows += rows.count() as u64;
            self.add(&rows, change, chance)
        } else {
            RowsSeen::default() // stable itself answers something else than before
        };
        let is_telling = knows && kind.is_telling(change) && !seen.differ.is_empty();
        let outcome = OutputOutcome {
            differs: seen.share(),
            noise: noise.as_ref().map(|noise| noise.differs),
            judged: is_telling && change.is_judged(),
        };
        let score = poison.worst as f64 / rows.columns().max(1) as f64;
        let poisoned = Outlier { metric: Metric::Nan, score, row: poison.worst_row };
        let has_poison = poison.elements > 0;
        // A row that differs by nothing else is told once.
        let other = seen.outlier.filter(|outlier| !has_poison || outlier.score > 0.0);
        let outliers = [has_poison.then_some(poisoned), other];
        Shown {
            outcome,
            is_telling,
            broken: poison.broken(&rows),
            outliers: outliers.into_iter().flatten().collect(),
            rows: Some(rows),
            seen,
            noise,
        }
    }

    /// Makes ready to measure this kind. What was measured under a guess that is now refuted is given up: a few rows
    /// that were not judged.
    fn prepare(&mut self, kind: OutputKind) {
        if self.kind() != Some(kind) {
            self.rows = 0;
            self.measured = Some(match kind {
                OutputKind::ClassLabel => Measured::Labels(Choices::default()),
                OutputKind::ClassProbabilities => Measured::Probabilities(Box::default()),
                OutputKind::Regression | OutputKind::Embedding | OutputKind::Numeric => {
                    Measured::Numbers(kind, Box::default())
                }
            });
        }
    }

    /// What the output means, as far as that is known.
    fn kind(&self) -> Option<OutputKind> {
        match self.measured.as_ref()? {
            Measured::Labels(_) => Some(OutputKind::ClassLabel),
            Measured::Probabilities(_) => Some(OutputKind::ClassProbabilities),
            Measured::Numbers(kind, _) => Some(*kind),
        }
    }

    /// Numbers are measured by the tolerance where the model is the same or somebody said so.
    fn measure(&self, kind: OutputKind, change: Change) -> Measure {
        match kind {
            OutputKind::Embedding => Measure::Angle,
            OutputKind::Regression => match change {
                Change::Equivalent => Measure::Tolerance,
                Change::Retrained | Change::NewTask if self.rule.has_tolerance() => {
                    Measure::Tolerance
                }
                Change::Retrained | Change::NewTask => Measure::Spread,
            },
            OutputKind::Numeric | OutputKind::ClassLabel | OutputKind::ClassProbabilities => {
                Measure::Tolerance
            }
        }
    }

    /// What counts as equal. An angle is a real number, whatever the vectors are made of.
    fn tolerance(&self, rows: &Rows<'_>) -> Tolerance {
        let is_angle = self.kind() == Some(OutputKind::Embedding);
        self.rule.tolerance(if is_angle { DType::F64 } else { rows.dtype() })
    }

    /// Whether enough is known to judge the next pair.
    fn knows(&self, change: Change) -> bool {
        let is_measurable = match &self.measured {
            Some(Measured::Numbers(kind, numbers)) => numbers.knows(self.measure(*kind, change)),
            Some(Measured::Labels(_) | Measured::Probabilities(_)) => true,
            None => false,
        };
        self.meaning.is_settled() && is_measurable
    }

    fn add<'a>(&mut self, rows: &Rows<'a>, change: Change, chance: &mut Chance) -> RowsSeen<'a> {
        let tolerance = self.tolerance(rows);
        let measure = self.kind().map(|kind| self.measure(kind, change));
        match &mut self.measured {
            Some(Measured::Labels(choices)) => choices.add_labels(rows),
            Some(Measured::Probabilities(probabilities)) => {
                probabilities.add(rows, Allowed { tolerance, scale: &[] }, chance)
            }
            Some(Measured::Numbers(_, numbers)) => {
                numbers.add(rows, measure.unwrap_or(Measure::Tolerance), tolerance, chance)
            }
            None => RowsSeen::default(),
        }
    }

    /// How much a live answer differs from the other run of the version that gave it.
    fn noise_of(
        &mut self,
        live: &ValueView<'_>,
        rerun: &ValueView<'_>,
        change: Change,
    ) -> SelfDifference {
        let noise = match matched(rerun, Some(live)) {
            Ok(rows) => {
                let has_numbers = self.kind() != Some(OutputKind::ClassLabel);
                SelfDifference::of(&rows, has_numbers, |rows| self.disagreement(rows, change))
            }
            Err(_) => SelfDifference::of_other_form(),
        };
        self.noise.add(&noise);
        noise
    }

    /// How much rows differ, by the same rule as a pair's.
    fn disagreement(&self, rows: &Rows<'_>, change: Change) -> f64 {
        match &self.measured {
            Some(Measured::Labels(_)) if can_be(OutputKind::ClassLabel, rows) => {
                labels::disagreement(rows)
            }
            Some(Measured::Probabilities(_)) => probabilities::disagreement(rows),
            Some(Measured::Numbers(kind, numbers)) => {
                let tolerance = self.tolerance(rows);
                numbers.disagreement(rows, self.measure(*kind, change), tolerance)
            }
            Some(Measured::Labels(_)) | None => 0.0,
        }
    }

    /// Takes note of what stable answers look like.
    fn see_form(&mut self, stable: &ValueView<'_>) {
        if let ValueView::ClassScores(scores) = stable
            && (self.form.is_none() || self.names.0.is_empty())
        {
            self.names = ClassNames::of_scores(scores.classes, &self.rule.classes);
        }
        match &mut self.form {
            Some(form) => form.see(stable),
            None => self.form = Some(Form::of(stable)),
        }
    }

    /// The classes by stable's choice, with how the pairs went in which it chose them.
    pub(super) fn classes(&self) -> Option<(&ClassTable, &ClassNames)> {
        match self.measured.as_ref()? {
            Measured::Labels(choices) => Some((choices.table(), &self.names)),
            Measured::Probabilities(probabilities) => {
                Some((probabilities.choices().table(), &self.names))
            }
            Measured::Numbers(..) => None,
        }
    }

    /// Counts a pair for the classes that stable chose in it, by how much its rows differ in whatever output.
    pub(super) fn add_to_classes(&mut self, classes: &[ClassRef<'_>], differ: &[f64]) {
        let choices = match &mut self.measured {
            Some(Measured::Labels(choices)) => choices,
            Some(Measured::Probabilities(probabilities)) => probabilities.choices_mut(),
            Some(Measured::Numbers(..)) | None => return,
        };
        choices.table_mut().add_pair(classes, differ);
    }

    /// The answer of one side in one row, in short.
    pub(super) fn shown(&self, rows: &Rows<'_>, side: Arm, row: usize) -> String {
        match &self.measured {
            Some(Measured::Labels(_)) => labels::shown(rows, side, row, &self.names),
            Some(Measured::Probabilities(_)) => probabilities::shown(rows, side, row, &self.names),
            Some(Measured::Numbers(..)) | None => numbers::shown(rows, side, row),
        }
    }

    /// What both have seen. Where they took the output for different things, what has seen more rows stays.
    pub(super) fn merge(&mut self, other: &Self, chance: &mut Chance) {
        self.noise.merge(&other.noise);
        match (&mut self.form, &other.form) {
            (Some(form), Some(theirs)) => form.merge(theirs),
            (None, theirs) => self.form = theirs.clone(),
            (Some(_), None) => {}
        }
        if self.names.0.is_empty() {
            self.names = other.names.clone();
        }
        let is_known_better =
            (other.meaning.is_settled(), other.rows) > (self.meaning.is_settled(), self.rows);
        if self.kind() == other.kind() {
            self.meaning.merge(other.meaning);
            self.rows += other.rows;
        } else if is_known_better {
            self.meaning = other.meaning;
            self.rows = other.rows;
        }
        match (&mut self.measured, &other.measured) {
            (Some(Measured::Labels(ours)), Some(Measured::Labels(theirs))) => ours.merge(theirs),
            (Some(Measured::Probabilities(ours)), Some(Measured::Probabilities(theirs))) => {
                ours.merge(theirs, chance);
            }
            (Some(Measured::Numbers(kind, ours)), Some(Measured::Numbers(other_kind, theirs)))
                if kind == other_kind =>
            {
                ours.merge(theirs, chance);
            }
            (ours, theirs) if is_known_better => *ours = theirs.clone(),
            (_, _) => {}
        }
    }

    pub(super) fn report(&self) -> OutputReport {
        let choices = match &self.measured {
            Some(Measured::Labels(choices)) => Some(choices),
            Some(Measured::Probabilities(probabilities)) => Some(probabilities.choices()),
            Some(Measured::Numbers(..)) | None => None,
        };
        let (metrics, mut ecdf, scatter, margins) = match &self.measured {
            Some(Measured::Labels(choices)) => {
                (choices.report(), Ecdfs::default(), &[][..], Vec::new())
            }
            Some(Measured::Probabilities(probabilities)) => {
                let abs = probabilities.largest_of_rows().ecdf();
                let scatter = probabilities.scatter().points();
                let ecdf = Ecdfs { abs, ..Ecdfs::default() };
                (probabilities.report(), ecdf, scatter, probabilities.margins())
            }
            Some(Measured::Numbers(kind, numbers)) => {
                let scatter = numbers.scatter().points();
                (numbers.report(*kind), numbers.ecdfs(), scatter, Vec::new())
            }
            None => (Metrics::default(), Ecdfs::default(), &[][..], Vec::new()),
        };
        ecdf.noise = self.noise.ecdf();
        OutputReport {
            name: self.rule.name.clone(),
            kind: self.kind(),
            dtype: self.form.as_ref().map(|form| form.dtype.clone()),
            shape: self.form.as_ref().map(Form::axes),
            rows: self.rows,
            metrics,
            transitions: choices
                .map(|choices| choices.transitions(&self.names))
                .unwrap_or_default(),
            class_share: choices.map(|choices| choices.shares(&self.names)).unwrap_or_default(),
            margins,
            scatter: scatter.to_vec(),
            ecdf,
        }
    }
}

impl Shown<'_> {
    /// An output of another form cannot be compared, and differs as much as anything can.
    fn of_broken(broken: Broken, change: Change) -> Self {
        let outcome = OutputOutcome { differs: 1.0, noise: None, judged: change.is_judged() };
        Self { outcome, broken: Some(broken), is_telling: true, ..Self::of_nothing() }
    }

    /// Without rows there is nothing to compare.
    pub(super) fn of_nothing() -> Self {
        Self {
            outcome: OutputOutcome { differs: 0.0, noise: None, judged: false },
            is_telling: false,
            rows: None,
            seen: RowsSeen::default(),
            outliers: Vec::new(),
            broken: None,
            noise: None,
        }
    }
}
