//! Reads typed keys out of a tree of settings, and remembers all that it saw.
//!
//! Nobody declares twice which keys there are: a key is known because it was asked for. What is left
//! over when a section closes is unknown, and the nearest key that was asked for is the suggestion.

use std::collections::BTreeMap;

use super::error::{ConfigError, Origin, Problem};
use super::layers::{Overlay, key_of_variable, variable};
use super::source::{Entry, Table, Value, shown_key};
use super::value::{Parsed, Wrong};

/// A table of the settings while it is read.
pub(super) struct Section<'a> {
    path: String,
    /// Where the table begins; `None` for the root and for a table that is not there.
    origin: Option<Origin>,
    /// What the file says and nobody asked for yet.
    left: Table,
    findings: &'a mut Findings,
}

/// What reading the settings brought to light.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Environment and flags; what nobody asked for stays.
    overlay: Overlay,
    problems: Vec<Problem>,
    unknown: Vec<(String, Origin)>,
    keys: Vec<String>,
    sections: Vec<String>,
    /// Lists of tables, which only a file can hold.
    lists: Vec<String>,
    set: BTreeMap<String, Setting>,
}

/// A setting that somebody made.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) origin: Origin,
}

impl Section<'_> {
    /// Reads `key` into `target`, which keeps its default where nobody set the key.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        target: &mut T,
        parse: impl Fn(&Entry) -> Parsed<T>,
    ) {
        let path = self.path_of(key);
        self.findings.keys.push(path.clone());
        let written = self.left.remove(key);
        if let Some(entry) = self.findings.overlay.remove(&path).or(written)
            && let Some(value) = self.check(&path, &entry, parse)
        {
            *target = value;
        }
    }

    /// As [`Section::read`], for a key without which the table means nothing.
    pub(super) fn require<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Entry) -> Parsed<T>,
    ) -> Option<T> {
        let path = self.path_of(key);
        if !self.left.contains_key(key) {
            self.findings.keys.push(path.clone());
            self.complain(format!("`{path}` is missing"));
            return None;
        }
        let mut value = None;
        self.read(key, &mut value, |entry| parse(entry).map(Some));
        value
    }

    /// Opens the table under `key`. It is read even where it is not there: environment and flags may
    /// set what is in it, and its keys become known.
    pub(super) fn section(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>)) {
        let path = self.path_of(key);
        self.findings.sections.push(path.clone());
        match self.left.remove(key) {
            None => self.open(path, None, Table::new(), read),
            Some(entry) => self.open_entry(path, entry, read),
        }
    }

    /// Opens each table under `key`, whose names are the user's own.
    pub(super) fn named_sections(
        &mut self,
        key: &str,
        mut read: impl FnMut(&str, &mut Section<'_>),
    ) {
        self.section(key, |section| {
            for (name, entry) in std::mem::take(&mut section.left) {
                let path = section.path_of(&name);
                section.findings.sections.push(path.clone());
                section.open_entry(path, entry, |inner| read(&name, inner));
            }
        });
    }

    /// Takes the list under `key`, each element with its own path.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<(String, Entry)>> {
        let path = self.path_of(key);
        self.findings.sections.push(path.clone());
        self.findings.lists.push(path.clone());
        let entry = self.left.remove(key)?;
        let list = |entry: &Entry| match &entry.value {
            Value::List(entries) => Ok(entries.clone()),
            _ => Err(Wrong::expected(entry, "a list")),
        };
        let entries = self.check(&path, &entry, list)?;
        let numbered = |(index, entry)| (format!("{path}[{index}]"), entry);
        Some(entries.into_iter().enumerate().map(numbered).collect())
    }

    /// Opens an element of a [`Section::list`].
    pub(super) fn open_entry(
        &mut self,
        path: String,
        entry: Entry,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        match entry.value {
            Value::Table(table) => self.open(path, Some(entry.origin), table, read),
            _ => {
                let complaint = Wrong::expected(&entry, "a table");
                self.findings.refuse(&path, complaint);
                self.open(path, None, Table::new(), read);
            }
        }
    }

    /// Understands one value, or notes why not.
    pub(super) fn check<T>(
        &mut self,
        path: &str,
        entry: &Entry,
        parse: impl Fn(&Entry) -> Parsed<T>,
    ) -> Option<T> {
        let setting = Setting { origin: entry.origin.clone() };
        self.findings.set.insert(path.to_owned(), setting);
        parse(entry).map_err(|wrong| self.findings.refuse(path, wrong)).ok()
    }

    /// Whether the file has this table.
    pub(super) fn is_there(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether anything set `key`; asked after it was read.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.findings.is_set(&self.path_of(key))
    }

    /// Whether a flag of the command line set `key`; asked after it was read.
    pub(super) fn is_set_by_flag(&self, key: &str) -> bool {
        self.findings.is_set_by_flag(&self.path_of(key))
    }

    /// Notes a problem of this table as a whole.
    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.findings.problems.push(Problem::new(self.origin.clone(), text));
    }

    fn open(
        &mut self,
        path: String,
        origin: Option<Origin>,
        table: Table,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        let mut section = Section { path, origin, left: table, findings: &mut *self.findings };
        read(&mut section);
        section.close();
    }

    fn close(self) {
        for (key, entry) in &self.left {
            let path = self.path_of(key);
            self.findings.unknown.push((path, entry.origin.clone()));
        }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => shown_key(key),
            path => format!("{path}.{}", shown_key(key)),
        }
    }
}

impl Findings {
    /// Reads a file and what is laid over it.
    pub(super) fn read<T>(
        file: Table,
        overlay: Overlay,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> (T, Self) {
        let mut findings = Self { overlay, ..Self::default() };
        let mut root =
            Section { path: String::new(), origin: None, left: file, findings: &mut findings };
        let value = read(&mut root);
        root.close();
        findings.refuse_unknown();
        (value, findings)
    }

    /// What was set, by key.
    pub(super) fn set(&self) -> &BTreeMap<String, Setting> {
        &self.set
    }

    /// Whether anybody set this key.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.set.contains_key(path)
    }

    fn is_set_by_flag(&self, path: &str) -> bool {
        self.set.get(path).is_some_and(|set| matches!(set.origin, Origin::Flag(_)))
    }

    /// Whether every value could be understood, so that it makes sense to look at them together.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Notes a combination that cannot work, at the first of `keys` that somebody set.
    pub(super) fn clash(&mut self, keys: &[&str], text: impl Into<String>) {
        let origin = keys.iter().find_map(|key| self.set.get(*key)).map(|set| set.origin.clone());
        self.problems.push(Problem::new(origin, text));
    }

    /// The settings hold, or all that is wrong with them.
    pub(super) fn into_result(mut self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort();
        Err(ConfigError::Invalid(self.problems))
    }

    fn refuse(&mut self, path: &str, wrong: Wrong) {
        let text = match wrong.origin {
            Origin::File { .. } => format!("`{path}{}` {}", wrong.suffix, wrong.complaint),
            Origin::Environment(_) | Origin::Flag(_) => wrong.complaint,
        };
        self.problems.push(Problem::new(Some(wrong.origin), text));
    }

    fn refuse_unknown(&mut self) {
        for (path, origin) in std::mem::take(&mut self.unknown) {
            let known = self.keys.iter().chain(&self.sections);
            let hint = nearest(&path, known).map(|key| format!("; did you mean `{key}`?"));
            let text = format!("unknown key `{path}`{}", hint.unwrap_or_default());
            self.problems.push(Problem::new(Some(origin), text));
        }
        for entry in std::mem::take(&mut self.overlay).into_values() {
            let text = match &entry.origin {
                Origin::Environment(name) => self.unknown_variable(name),
                Origin::Flag(_) | Origin::File { .. } => "there is no such setting".to_owned(),
            };
            self.problems.push(Problem::new(Some(entry.origin), text));
        }
    }

    fn unknown_variable(&self, name: &str) -> String {
        let path = key_of_variable(name);
        let part = |list: &&String| path == **list || path.starts_with(&format!("{list}."));
        if let Some(list) = self.lists.iter().find(part) {
            return format!(
                "`{list}` is a list of tables and cannot be set by environment variables, only in the settings file"
            );
        }
        let inside = self.keys.iter().find(|key| key.starts_with(&format!("{path}.")));
        match inside.or_else(|| nearest(&path, self.keys.iter())) {
            Some(key) => format!("there is no such setting; did you mean {}?", variable(key)),
            None => "there is no such setting".to_owned(),
        }
    }
}

/// The known key that the unknown one was probably meant to be: misspelt, or in the wrong table.
pub(super) fn nearest<'k, K: AsRef<str> + ?Sized>(
    unknown: &str,
    known: impl Iterator<Item = &'k K>,
) -> Option<&'k K> {
    const MISPLACED: usize = 2;
    let length = unknown.chars().count();
    if length > 100 {
        return None;
    }
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let wanted = unknown.to_lowercase().replace('-', "_");
    let distance = |key: &K| match strsim::damerau_levenshtein(&wanted, key.as_ref()) {
        far if far > MISPLACED && last(&wanted) == last(key.as_ref()) => MISPLACED,
        distance => distance,
    };
    known
        .map(|key| (distance(key), key))
        .filter(|(distance, _)| *distance <= (length / 3).max(MISPLACED))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(unknown: &str) -> Option<String> {
        let known = ["models", "http.listen", "http.max_body", "grpc.listen", "http"];
        nearest(unknown, known.map(String::from).iter()).cloned()
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_misspelt_or_misplaced() {
        for (unknown, meant) in [
            ("http.max_boddy", Some("http.max_body")),
            ("http.max-body", Some("http.max_body")),
            ("http_max_body", Some("http.max_body")),
            ("max_body", Some("http.max_body")),
            ("grcp.listen", Some("grpc.listen")),
            ("modles", Some("models")),
            ("htpp", Some("http")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggestion(unknown).as_deref(), meant, "{unknown}");
        }
    }
}
