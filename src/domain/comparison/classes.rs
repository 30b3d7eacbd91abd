//! Classes, and how often each version chose each of them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::super::wording::printable;

/// How many classes are told apart; what comes later is not counted by class.
const MOST_CLASSES: usize = 256;

/// How many classes are known by name.
const MOST_NAMES: usize = 4096;

/// How much of a class name tells it from others. A class is a name, not an essay.
const MOST_BYTES: usize = 64;

/// A class as a version gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClassRef<'a> {
    /// By number: a label, or a place among the probabilities.
    Number(i64),
    /// By name.
    Name(&'a str),
}

/// A class, kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Class {
    Number(i64),
    Name(String),
}

impl ClassRef<'_> {
    pub(super) fn to_class(self) -> Class {
        match self.shortened() {
            ClassRef::Number(number) => Class::Number(number),
            ClassRef::Name(name) => Class::Name(name.to_owned()),
        }
    }

    /// As much of it as is kept.
    pub(super) fn shortened(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(number),
            Self::Name(name) => Self::Name(&name[..name.floor_char_boundary(MOST_BYTES)]),
        }
    }
}

impl Class {
    pub(super) fn as_ref(&self) -> ClassRef<'_> {
        match self {
            Self::Number(number) => ClassRef::Number(*number),
            Self::Name(name) => ClassRef::Name(name),
        }
    }
}

/// What classes are called.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct ClassNames(pub(super) Vec<String>);

impl ClassNames {
    /// The names of the columns of class scores: their own, or the given ones where they are numbers.
    pub(super) fn of_scores(columns: &[String], given: &[String]) -> Self {
        let name = |column: &String| {
            let given = column.parse().ok().and_then(|number: usize| given.get(number));
            given.unwrap_or(column).clone()
        };
        Self(columns.iter().take(MOST_NAMES).map(name).collect())
    }

    /// The name of a class, or its number where it has none.
    pub(super) fn name(&self, class: ClassRef<'_>) -> String {
        match class {
            ClassRef::Number(number) => usize::try_from(number)
                .ok()
                .and_then(|number| self.0.get(number))
                .map_or_else(|| number.to_string(), |name| printable(name, MOST_BYTES)),
            ClassRef::Name(name) => printable(name, MOST_BYTES),
        }
    }
}

/// For each class how often it was chosen, and how the pairs went in which stable chose it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct ClassTable {
    /// By class.
    counts: Vec<ClassCounts>,
}

/// One class.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct ClassCounts {
    pub(super) class: Class,
    /// Rows for which stable chose it.
    pub(super) stable: u64,
    /// Rows for which the candidate did.
    pub(super) candidate: u64,
    /// Rows for which both did.
    pub(super) agreed: u64,
    /// Pairs in which stable chose it.
    pub(super) pairs: u64,
    /// Of those, the sum of the shares of such rows that differ.
    pub(super) differ: f64,
    /// The rows of the pair that is being looked at: how many, and by how much they differ.
    #[serde(skip)]
    open: (u64, f64),
}

impl ClassTable {
    /// Counts one row.
    pub(super) fn add(&mut self, stable: ClassRef<'_>, candidate: ClassRef<'_>, differs: bool) {
        if let Some(counts) = self.of(stable) {
            counts.stable += 1;
            counts.agreed += u64::from(!differs);
        }
        if let Some(counts) = self.of(candidate) {
            counts.candidate += 1;
        }
    }

    /// Counts one pair: stable's class in each row, and how much each row differs in whatever output.
    pub(super) fn add_pair(&mut self, classes: &[ClassRef<'_>], differ: &[f64]) {
        for (&class, differs) in classes.iter().zip(differ) {
            if let Some(counts) = self.of(class) {
                counts.open.0 += 1;
                counts.open.1 += differs;
            }
        }
        for counts in self.counts.iter_mut().filter(|counts| counts.open.0 > 0) {
            let (rows, differ) = std::mem::take(&mut counts.open);
            counts.pairs += 1;
            counts.differ += differ / rows as f64;
        }
    }

    /// The counts of a class, unless there are too many classes.
    fn of(&mut self, class: ClassRef<'_>) -> Option<&mut ClassCounts> {
        let class = class.shortened();
        let place = match self.counts.binary_search_by(|counts| counts.class.as_ref().cmp(&class)) {
            Ok(place) => place,
            Err(_) if self.counts.len() >= MOST_CLASSES => return None,
            Err(place) => {
                self.counts.insert(place, ClassCounts::new(class.to_class()));
                place
            }
        };
        self.counts.get_mut(place)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for theirs in &other.counts {
            if let Some(ours) = self.of(theirs.class.as_ref()) {
                ours.stable += theirs.stable;
                ours.candidate += theirs.candidate;
                ours.agreed += theirs.agreed;
                ours.pairs += theirs.pairs;
                ours.differ += theirs.differ;
            }
        }
    }

    /// The classes, by name or number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ClassCounts> {
        self.counts.iter()
    }

    /// The classes, those that stable chose most often first.
    pub(super) fn by_count(&self) -> Vec<&ClassCounts> {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by(|a, b| match b.stable.cmp(&a.stable) {
            Ordering::Equal => b.candidate.cmp(&a.candidate),
            unequal => unequal,
        });
        counts
    }
}

impl ClassCounts {
    fn new(class: Class) -> Self {
        Self { class, stable: 0, candidate: 0, agreed: 0, pairs: 0, differ: 0.0, open: (0, 0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ClassRef::{Name, Number};

    #[test]
    fn a_pair_counts_once_for_each_class_in_it() {
        let mut table = ClassTable::default();
        table.add_pair(&[Number(7), Number(7), Number(2)], &[1.0, 0.0, 1.0]);
        table.add_pair(&[Number(7)], &[0.0]);
        let counts: Vec<_> = table.iter().map(|c| (c.class.clone(), c.pairs, c.differ)).collect();
        assert_eq!(counts, [(Class::Number(2), 1, 1.0), (Class::Number(7), 2, 0.5)]);
    }

    #[test]
    fn choices_are_counted_for_each_side() {
        let (mut table, mut more) = (ClassTable::default(), ClassTable::default());
        table.add(Name("a"), Name("b"), true);
        more.add(Name("a"), Name("a"), false);
        table.merge(&more);
        let [a, b] = table.by_count()[..] else { panic!("{table:?}") };
        assert_eq!((a.stable, a.candidate, a.agreed), (2, 1, 1));
        assert_eq!((b.stable, b.candidate, b.agreed), (0, 1, 0));
    }

    #[test]
    fn there_are_only_so_many_classes_and_their_names_are_short() {
        let mut table = ClassTable::default();
        (0..1000).for_each(|number| table.add(Number(number), Number(number), false));
        assert_eq!(table.iter().count(), MOST_CLASSES);
        let long = "é".repeat(1000);
        assert_eq!(Name(&long).to_class(), Class::Name("é".repeat(32)));
    }

    #[test]
    fn a_class_known_by_number_is_shown_by_name() {
        let names = ClassNames(vec!["setosa".to_owned(), "versi\ncolor".to_owned()]);
        assert_eq!(names.name(Number(1)), "versi\u{fffd}color");
        assert_eq!(names.name(Number(2)), "2");
        assert_eq!(names.name(Number(-1)), "-1");
        assert_eq!(names.name(Name("0")), "0");
        let columns = ["1", "0", "other"].map(str::to_owned);
        let of_scores = ClassNames::of_scores(&columns, &names.0);
        assert_eq!(of_scores.0, [&*names.0[1], "setosa", "other"]);
    }
}
