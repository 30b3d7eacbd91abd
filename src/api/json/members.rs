//! Objects whose members are known by name: an input each, or a feature each.
//!
//! The members may come in any order, and each must come once.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, MapAccess};

use super::progress::Progress;
use super::reader::Key;
use super::trail::{did_you_mean, listed, shortened};
use crate::domain::signature::TensorSpec;

/// What the members are called.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) enum Names<'s> {
    /// After the inputs of the model.
    Inputs(&'s [TensorSpec]),
    /// After the columns of its one input.
    Features(&'s [String]),
}

/// The index of a member, or the name of one that does not belong here.
pub(in crate::api) type Found = Result<usize, String>;

/// Tells which members of an object were given. Made once and used for each row.
#[derive(Debug)]
pub(in crate::api) struct Members<'s> {
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
    pub(in crate::api) fn new(names: Names<'s>) -> Self {
        Self { names, next: 0, by_name: None, given: Vec::new(), given_count: 0 }
    }

    /// How many there are, given or not.
    pub(in crate::api) fn len(&self) -> usize {
        self.names.len()
    }

    /// What an error says where something else than an object of these members was given.
    pub(in crate::api) fn expected_instead_of(&self, got: impl fmt::Display) -> String {
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
    pub(in crate::api) fn find(&mut self, name: &str) -> Option<usize> {
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
    pub(in crate::api) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        first: Option<Found>,
        progress: &mut Progress<'s>,
        object: &mut A,
        mut read_value: impl FnMut(usize, &mut Progress<'s>, &mut A) -> Result<(), A::Error>,
    ) -> Result<(), A::Error> {
        self.begin();
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

    fn begin(&mut self) {
        self.given.clear();
        self.given.resize(self.names.len(), false);
        self.given_count = 0;
    }

    /// Takes a member by its name, where they are not the members of an object. `Err` says what is wrong with it.
    pub(in crate::api) fn give(&mut self, name: &str) -> Result<usize, String> {
        if self.given.is_empty() {
            self.begin();
        }
        let word = self.names.word();
        let Some(index) = self.find(name) else {
            let name = shortened(name);
            return Err(format!("`{name}`: {}", self.unknown(&name)));
        };
        if std::mem::replace(&mut self.given[index], true) {
            return Err(format!("{word} `{}` is given twice", shortened(name)));
        }
        self.given_count += 1;
        Ok(index)
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
        let sentence = self.unknown(&unknown);
        progress.trail.enter_unknown(unknown);
        progress.trail.unfit(sentence)
    }

    fn unknown(&self, name: &str) -> String {
        let word = self.names.word();
        let near = did_you_mean(name, self.names.iter());
        if near.is_empty() {
            format!("no such {word}; the model takes {}", self.listed())
        } else {
            format!("no such {word}{near}")
        }
    }

    fn all_given<E: Error>(&self, progress: &mut Progress<'s>) -> Result<(), E> {
        self.missing().map_or(Ok(()), |sentence| Err(progress.trail.unfit(sentence)))
    }

    /// Which members were not given, as a sentence.
    pub(in crate::api) fn missing(&self) -> Option<String> {
        if self.given_count == self.names.len() {
            return None;
        }
        let is_given = |place: usize| self.given.get(place) == Some(&true);
        let names = self.names.iter().enumerate();
        let missing = names.filter(|(place, _)| !is_given(*place)).map(|(_, name)| name);
        let missing = listed(missing);
        let (word, verb) = match self.names.len() - self.given_count {
            1 => (self.names.word().to_owned(), "is"),
            _ => (format!("{}s", self.names.word()), "are"),
        };
        Some(format!("{word} {missing} {verb} missing"))
    }
}
