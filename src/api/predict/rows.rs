//! `instances`: an array with an element per row.
//!
//! A row is the value of the only input, or an object with a member per input, or, where the model's settings
//! name the columns, an object with a member per feature.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess};

use super::decode::{Decoded, Expected, Form};
use crate::api::json::{
    Found, Key, Members, Names, Progress, Reader, Scalar, TensorBuilder, is_base64, shortened,
};
use crate::domain::signature::TensorSpec;

/// The depth inside a tensor at which a row stands.
const ROW: usize = 1;

/// Reads the rows.
pub(super) struct Rows<'a, 's> {
    pub(super) expected: Expected<'s>,
    pub(super) progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Rows<'_, '_> {
    type Value = Decoded;

    fn array<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Decoded, A::Error> {
        let Self { expected, progress } = self;
        progress.begin_nested()?;
        let mut table = Table::new(expected, progress)?;
        progress.trail.enter_array();
        let mut rows = 0;
        loop {
            progress.trail.at(rows);
            let row = Row { table: &mut table, progress: &mut *progress };
            if elements.next_element_seed(row.seed())?.is_none() {
                break;
            }
            rows += 1;
        }
        progress.trail.leave();
        table.finish(rows, progress)
    }

    fn object<A: MapAccess<'de>>(self, _members: A) -> Result<Decoded, A::Error> {
        Err(self.progress.trail.unfit("expected an array of instances, got an object"))
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Decoded, E> {
        Err(self.progress.trail.unfit(format!("expected an array of instances, got {scalar}")))
    }
}

/// What the rows have in common.
struct Table<'s> {
    specs: &'s [TensorSpec],
    builders: Vec<TensorBuilder<'s>>,
    inputs: Members<'s>,
    /// None where the settings do not name the columns.
    features: Members<'s>,
    first_kind: Option<RowKind>,
}

/// How a row is written. All rows of a request are written alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowKind {
    Plain,
    Named,
}

/// What the first key of a row says about the whole.
enum FirstKey {
    Base64,
    Feature(Found),
    Input(Found),
}

impl<'s> Table<'s> {
    fn new<E: Error>(expected: Expected<'s>, progress: &mut Progress<'s>) -> Result<Self, E> {
        let specs = &expected.signature.inputs;
        let scalar = specs.iter().find(|spec| spec.shape.dims().is_some_and(<[_]>::is_empty));
        if let Some(spec) = scalar {
            let name = shortened(&spec.name);
            let sentence =
                format!("input `{name}` is a single value, not one per row; use `inputs`");
            return Err(progress.trail.unfit(sentence));
        }
        let features = match &specs[..] {
            [_] => &expected.naming.features[..],
            _ => &[],
        };
        Ok(Self {
            specs,
            builders: specs.iter().map(|spec| TensorBuilder::new(spec, ROW, progress)).collect(),
            inputs: Members::new(Names::Inputs(specs)),
            features: Members::new(Names::Features(features)),
            first_kind: None,
        })
    }

    fn finish<E: Error>(self, rows: usize, progress: &mut Progress<'s>) -> Result<Decoded, E> {
        if rows == 0 {
            return Err(progress.trail.unfit("at least one instance is needed"));
        }
        let inputs = self.builders.into_iter().map(|builder| builder.finish_rows(rows));
        let inputs =
            inputs.collect::<Result<_, _>>().map_err(|error| progress.trail.unfit::<E>(error))?;
        Ok(Decoded { inputs, form: Form::Rows(rows) })
    }

    /// A name that is both a feature's and the input's means the feature: whoever names the columns means them.
    fn recognise(&mut self, key: &str) -> FirstKey {
        if let Some(feature) = self.features.find(key) {
            FirstKey::Feature(Ok(feature))
        } else if let Some(input) = self.inputs.find(key) {
            FirstKey::Input(Ok(input))
        } else if is_base64(key, self.specs) {
            FirstKey::Base64
        } else {
            self.unknown(shortened(key))
        }
    }

    fn unknown(&self, key: String) -> FirstKey {
        match self.features.len() {
            0 => FirstKey::Input(Err(key)),
            _ => FirstKey::Feature(Err(key)),
        }
    }

    fn is_of<E: Error>(&mut self, kind: RowKind, progress: &mut Progress<'s>) -> Result<(), E> {
        let first = *self.first_kind.get_or_insert(kind);
        let sentence = match (first, kind) {
            (RowKind::Plain, RowKind::Plain) | (RowKind::Named, RowKind::Named) => return Ok(()),
            (RowKind::Plain, RowKind::Named) => "expected a value without names, like instances[0]",
            (RowKind::Named, RowKind::Plain) => "expected an object with names, like instances[0]",
        };
        Err(progress.trail.unfit(sentence))
    }
}

/// One element of `instances`.
struct Row<'a, 's> {
    table: &'a mut Table<'s>,
    progress: &'a mut Progress<'s>,
}

impl<'de> Reader<'de> for Row<'_, '_> {
    type Value = ();

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        let (builder, progress) = self.only_input("an array")?;
        builder.read_array(ROW, progress, elements)
    }

    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        let (builder, progress) = self.only_input(scalar)?;
        builder.read_scalar(ROW, progress, scalar)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.progress.begin_nested()?;
        match object.next_key_seed(Key(|key: &str| self.table.recognise(key)))? {
            Some(FirstKey::Base64) => {
                let (builder, progress) = self.only_input("an object")?;
                builder.read_base64(ROW, progress, object)
            }
            Some(FirstKey::Feature(first)) => self.features(Some(first), object),
            Some(FirstKey::Input(first)) => self.inputs(Some(first), object),
            None if self.table.features.len() > 0 => self.features(None, object),
            None => self.inputs(None, object),
        }
    }
}

impl<'a, 's> Row<'a, 's> {
    /// The input that a row without names is for.
    fn only_input<E: Error>(
        self,
        got: impl fmt::Display,
    ) -> Result<(&'a mut TensorBuilder<'s>, &'a mut Progress<'s>), E> {
        let Self { table, progress } = self;
        table.is_of(RowKind::Plain, progress)?;
        match &mut table.builders[..] {
            [builder] => Ok((builder, progress)),
            _ => Err(progress.trail.unfit(table.inputs.expected_instead_of(got))),
        }
    }

    fn features<'de, A: MapAccess<'de>>(
        self,
        first: Option<Found>,
        object: A,
    ) -> Result<(), A::Error> {
        let Self { table, progress } = self;
        table.is_of(RowKind::Named, progress)?;
        match &mut table.builders[..] {
            [builder] => builder.read_features(&mut table.features, first, progress, object),
            // Columns have names only where there is one input.
            _ => Ok(()),
        }
    }

    fn inputs<'de, A: MapAccess<'de>>(
        self,
        first: Option<Found>,
        mut object: A,
    ) -> Result<(), A::Error> {
        let Self { table, progress } = self;
        table.is_of(RowKind::Named, progress)?;
        let builders = &mut table.builders;
        table.inputs.read(first, progress, &mut object, |index, progress, object| {
            object.next_value_seed(builders[index].value(ROW, progress))
        })
    }
}
