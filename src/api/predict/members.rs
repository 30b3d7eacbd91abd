//! Objects whose members are known by name: an input each, or a feature each.
//!
//! The members may come in any order, and each must come once.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, MapAccess};

use super::json::Key;
use super::progress::Progress;
use super::trail::{did_you_mean, listed, shortened};
use crate::domain::signature::TensorSpec;

/// What the members are called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'s> {
    /// After the inputs of the model.
    Inputs(&'s [TensorSpec]),
    /// After the columns of its one input.
    Features(&'s [String]),
}

/// The index of a member, or the name of one that does not belong here.
pub(super) type Found = Result<usize, String>;

/// Tells which members of an object were given. Made once and used for each row.
#[derive(Debug)]
pub(super) struct Members<'s> {
    names: Names<'s>,
    /// The member that comes next if all come as they were declared.
    next: usize,
    /// Made when they do not: a search through all names for each key would take the square of their number.
    by_name: Option<HashMap<&'s str, usize>>,
    given: Vec<bool>,
    given_count: usize,
}

impl<'s> Names<'s> {
    fn len(self) -> usize {
        match self {
            Self::Inputs(specs) => specs.len(),
            Self::Features(names) => names.len(),
        }
    }

    fn at(self, index: usize) -> &'s str {
        match self {
            Self::Inputs(specs) => &specs[index].name,
            Self::Features(names) => &names[index],
        }
    }

    fn iter(self) -> impl Iterator<Item = &'s str> + Clone {
        (0..self.len()).map(move |index| self.at(index))
    }

    /// What an error calls one of them.
    fn word(self) -> &'static str {
        match self {
            Self::Inputs(_) => "input",
            Self::Features(_) => "feature",
        }
    }
}

impl<'s> Members<'s> {
    pub(super) fn new(names: Names<'s>) -> Self {
        Self { names, next: 0, by_name: None, given: Vec::new(), given_count: 0 }
    }

    /// How many there are, given or not.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// What an error says where something else than an object of these members was given.
    pub(super) fn expected_instead_of(&self, got: impl fmt::Display) -> String {
        match self.len() {
            0 => format!("expected an empty object, got {got}"),
            _ => format!("expected an object with {}, got {got}", self.listed()),
        }
    }

    fn listed(&self) -> String {
        let word = self.names.word();
        match self.len() {
            0 => format!("no {word}s"),
            1 => format!("the {word} {}", listed(self.names.iter())),
            _ => format!("the {word}s {}", listed(self.names.iter())),
        }
    }

    /// The index of the member with this name.
    pub(super) fn find(&mut self, name: &str) -> Option<usize> {
        if self.names.len() == 0 {
            return None;
        }
        let index = if self.next < self.names.len() && self.names.at(self.next) == name {
            self.next
        } else {
            let names = self.names;
            let by_name = self.by_name.get_or_insert_with(|| names.iter().zip(0..).collect());
            *by_name.get(name)?
        };
        self.next = index + 1;
        Some(index)
    }

    /// Reads an object, whose first key was read already. `read_value` gets the index of each member.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        first: Option<Found>,
        progress: &mut Progress<'s>,
        object: &mut A,
        mut read_value: impl FnMut(usize, &mut Progress<'s>, &mut A) -> Result<(), A::Error>,
    ) -> Result<(), A::Error> {
        self.given.clear();
        self.given.resize(self.names.len(), false);
        self.given_count = 0;
        let mut member = first;
        while let Some(found) = member {
            let index = self.enter(found, progress)?;
            read_value(index, progress, object)?;
            progress.trail.leave();
            let find = |name: &str| self.find(name).ok_or_else(|| shortened(name));
            member = object.next_key_seed(Key(find))?;
        }
        self.next = 0;
        self.all_given(progress)
    }

    fn enter<E: Error>(&mut self, found: Found, progress: &mut Progress<'s>) -> Result<usize, E> {
        let index = found.map_err(|unknown| self.refuse::<E>(unknown, progress))?;
        if let Names::Inputs(_) = self.names {
            progress.check_inputs(self.given_count + 1)?;
        }
        progress.trail.enter(self.names.at(index));
        if std::mem::replace(&mut self.given[index], true) {
            return Err(progress.trail.unfit("given twice"));
        }
        self.given_count += 1;
        Ok(index)
    }

    fn refuse<E: Error>(&self, unknown: String, progress: &mut Progress<'s>) -> E {
        let word = self.names.word();
        let near = did_you_mean(&unknown, self.names.iter());
        progress.trail.enter_unknown(unknown);
        progress.trail.unfit(if near.is_empty() {
            format!("no such {word}; the model takes {}", self.listed())
        } else {
            format!("no such {word}{near}")
        })
    }

    fn all_given<E: Error>(&self, progress: &mut Progress<'s>) -> Result<(), E> {
        if self.given_count == self.given.len() {
            return Ok(());
        }
        let names = self.names.iter().zip(&self.given);
        let missing = listed(names.filter(|(_, given)| !**given).map(|(name, _)| name));
        let (word, verb) = match self.given.len() - self.given_count {
            1 => (self.names.word().to_owned(), "is"),
            _ => (format!("{}s", self.names.word()), "are"),
        };
        Err(progress.trail.unfit(format!("{word} {missing} {verb} missing")))
    }
}
