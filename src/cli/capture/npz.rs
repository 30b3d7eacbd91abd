//! An array for each input and output, in a zip archive without compression: what `numpy.savez` writes.
//!
//! All requests are read once to learn how large the arrays become, and then once for each array: what is in memory
//! stays as little as one file of recordings.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use super::archive::Archive;
use super::{Exported, form, has_digests, npy};
use crate::capture::{Content, Recorded, Recording, Recordings};
use crate::domain::tensor::{ElementsView, ValueView};

/// How requests become arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// The rows of each request, one after another.
    Rows,
    /// Each request at a place of its own.
    Stacked,
}

/// What is known of an array.
#[derive(Debug)]
struct Array {
    /// Its place among a request's inputs and outputs.
    place: usize,
    name: String,
    /// The shape in the first request, and another one where there is one.
    shape: Vec<usize>,
    other: Option<Vec<usize>>,
    /// Whether shapes differ in more than the number of rows.
    is_ragged: bool,
    rows: usize,
    /// The characters of the longest text.
    longest: usize,
    /// Of class scores.
    classes: Option<Vec<String>>,
}

/// What is known of all.
#[derive(Debug, Default)]
struct Plan {
    arrays: Vec<Array>,
    /// Whether in each request all have the same number of rows.
    are_rows: bool,
    exported: Exported,
}

/// Writes all requests that have the form of the newest one.
pub(super) fn write(recordings: &Recordings, file: File) -> Result<Exported, Box<dyn Error>> {
    let Some(model) = newest(recordings)? else {
        let digests = recordings.newest_first().count() as u64;
        return Exported { digests, ..Exported::default() }.checked();
    };
    let plan = plan(recordings, &model)?;
    let layout = plan.layout()?;
    let mut archive = Archive::new(BufWriter::new(file));
    for array in &plan.arrays {
        archive.begin(format!("{}.npy", array.name))?;
        let shape = array.whole_shape(layout, plan.exported.requests);
        let of_type = npy::type_of(parts(&model)[array.place].dtype, array.longest);
        archive.write_all(&npy::header(&of_type, &shape))?;
        for recording in alike(recordings, &model) {
            let recording = recording?;
            let mut buffer = Vec::new();
            if let Some(value) = parts(&recording)[array.place].value() {
                npy::elements(&mut buffer, elements(&value), array.longest)?;
            }
            archive.write_all(&buffer)?;
        }
        if let Some(classes) = &array.classes {
            archive.begin(format!("{}.classes.npy", array.name))?;
            archive.write_all(&texts(classes)?)?;
        }
    }
    archive.finish()?;
    plan.exported.checked()
}

/// The newest request that was kept whole but for what is redacted.
fn newest(recordings: &Recordings) -> Result<Option<Recording>, std::io::Error> {
    let is_there = |recording: &Result<Recording, _>| {
        recording.as_ref().map_or(true, |recording| !has_digests(recording))
    };
    recordings.newest_first().find(is_there).transpose()
}

/// Inputs, then outputs.
fn parts(recording: &Recording) -> Vec<&Recorded> {
    recording.inputs.iter().chain(&recording.outputs).collect()
}

fn is_alike(recording: &Recording, model: &Recording) -> bool {
    let forms = |recordings: &[Recorded], others: &[Recorded]| {
        recordings.iter().map(form).eq(others.iter().map(form))
    };
    forms(&recording.inputs, &model.inputs) && forms(&recording.outputs, &model.outputs)
}

/// The requests of the model's form, the oldest first.
fn alike<'r>(
    recordings: &'r Recordings,
    model: &'r Recording,
) -> impl Iterator<Item = std::io::Result<Recording>> + 'r {
    recordings.oldest_first().filter(move |recording| match recording {
        Ok(recording) => is_alike(recording, model),
        Err(_) => true,
    })
}

fn plan(recordings: &Recordings, model: &Recording) -> Result<Plan, Box<dyn Error>> {
    let mut plan = Plan { are_rows: true, ..Plan::default() };
    plan.exported.is_without(model);
    for (place, part) in parts(model).into_iter().enumerate() {
        if part.content == Content::Redacted {
            continue;
        }
        // An output may have the name of an input.
        let is_taken = plan.arrays.iter().any(|array| array.name == part.name);
        let name = if is_taken { format!("{}_output", part.name) } else { part.name.clone() };
        plan.arrays.push(Array::new(place, name));
    }
    for recording in recordings.oldest_first() {
        let recording = recording?;
        match (has_digests(&recording), is_alike(&recording, model)) {
            (true, _) => plan.exported.digests += 1,
            (false, false) => plan.exported.others += 1,
            (false, true) => plan.add(&recording)?,
        }
    }
    Ok(plan)
}

impl Plan {
    fn add(&mut self, recording: &Recording) -> Result<(), String> {
        let parts = parts(recording);
        let is_first = self.exported.requests == 0;
        for array in &mut self.arrays {
            array.add(parts[array.place], is_first)?;
        }
        let rows = |array: &Array| parts[array.place].shape.first().copied();
        let mut all = self.arrays.iter().map(rows);
        let first = all.next().flatten();
        self.are_rows &= first.is_some() && all.all(|rows| rows == first);
        self.exported.requests += 1;
        Ok(())
    }

    /// Whether rows go one after another, or requests beside each other.
    fn layout(&self) -> Result<Layout, String> {
        if self.are_rows
            && let Some(array) = self.arrays.iter().find(|array| array.is_ragged)
        {
            return Err(array.misfit());
        }
        match self.arrays.iter().find(|array| array.other.is_some()) {
            _ if self.are_rows => Ok(Layout::Rows),
            Some(array) => Err(array.misfit()),
            None => Ok(Layout::Stacked),
        }
    }
}

impl Array {
    fn new(place: usize, name: String) -> Self {
        let (shape, other, classes) = (Vec::new(), None, None);
        Self { place, name, shape, other, is_ragged: false, rows: 0, longest: 0, classes }
    }

    fn add(&mut self, part: &Recorded, is_first: bool) -> Result<(), String> {
        if is_first {
            self.shape.clone_from(&part.shape);
        } else if self.other.is_none() && self.shape != part.shape {
            self.other = Some(part.shape.clone());
        }
        if self.shape.get(1..) != part.shape.get(1..) {
            self.is_ragged = true;
            self.other = Some(part.shape.clone());
        }
        self.rows += part.shape.first().copied().unwrap_or_default();
        match part.value() {
            Some(ValueView::Tensor(tensor)) => {
                if let ElementsView::String(texts) = tensor.elements {
                    self.longest = longest(texts).max(self.longest);
                }
            }
            Some(ValueView::ClassScores(scores)) => match &self.classes {
                Some(classes) if classes != scores.classes => {
                    return Err(format!(
                        "the classes of `{}` are not the same in all requests, so that they do not go into one array; use --format ndjson",
                        self.name
                    ));
                }
                Some(_) => {}
                None => self.classes = Some(scores.classes.to_vec()),
            },
            None => {}
        }
        Ok(())
    }

    fn whole_shape(&self, layout: Layout, requests: u64) -> Vec<usize> {
        match layout {
            Layout::Rows => std::iter::once(self.rows).chain(self.shape[1..].to_vec()).collect(),
            Layout::Stacked => {
                std::iter::once(requests as usize).chain(self.shape.iter().copied()).collect()
            }
        }
    }

    fn misfit(&self) -> String {
        let other = self.other.as_ref().unwrap_or(&self.shape);
        format!(
            "`{}` has the shape {:?} in one request and {other:?} in another, which do not go into one array; use --format ndjson",
            self.name, self.shape
        )
    }
}

fn elements<'v>(value: &ValueView<'v>) -> ElementsView<'v> {
    match value {
        ValueView::Tensor(tensor) => tensor.elements,
        ValueView::ClassScores(scores) => ElementsView::F32(scores.scores),
    }
}

fn longest(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().count()).max().unwrap_or_default()
}

/// An array of texts.
fn texts(texts: &[String]) -> std::io::Result<Vec<u8>> {
    let longest = longest(texts).max(1);
    let mut array = npy::header(&format!("<U{longest}"), &[texts.len()]);
    texts.iter().try_for_each(|text| npy::text(&mut array, text, longest))?;
    Ok(array)
}
