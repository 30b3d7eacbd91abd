//! Reading JSON by what is there: an array, an object or a single value.
//!
//! serde asks a visitor a dozen questions; a [`Reader`] answers three.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::special;

/// A JSON value that holds no others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::api) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    /// With a fraction or an exponent, or an integer beyond 64 bits, or one of the [special](special) numbers.
    Float(f64),
    Text(&'a str),
}

impl fmt::Display for Scalar<'_> {
    /// As what an error calls it. Texts are not repeated: they may be long, and secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => write!(f, "the number {value}"),
            // With a point or an exponent, which tells that it is no integer.
            Self::Float(value) => match special::word_of(*value) {
                Some(word) => f.write_str(word),
                None => write!(f, "the number {value:?}"),
            },
            Self::Text(_) => f.write_str("a string"),
        }
    }
}

/// Reads one value of a JSON text, whatever it is.
pub(in crate::api) trait Reader<'de>: Sized {
    /// What is read.
    type Value;

    fn array<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error>;
    fn object<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error>;
    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<Self::Value, E>;

    /// This reader in the form that serde takes.
    fn seed(self) -> Seed<'de, Self> {
        Seed(self, PhantomData)
    }
}

/// A [`Reader`] for serde.
pub(in crate::api) struct Seed<'de, R>(R, PhantomData<&'de ()>);

impl<'de, R: Reader<'de>> DeserializeSeed<'de> for Seed<'de, R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<R::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, R: Reader<'de>> Visitor<'de> for Seed<'de, R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<R::Value, A::Error> {
        self.0.array(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<R::Value, A::Error> {
        self.0.object(members)
    }

    fn visit_unit<E: Error>(self) -> Result<R::Value, E> {
        self.0.scalar(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<R::Value, E> {
        self.0.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<R::Value, E> {
        self.0.scalar(Scalar::Integer(i128::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<R::Value, E> {
        self.0.scalar(Scalar::Integer(i128::from(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<R::Value, E> {
        self.0.scalar(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<R::Value, E> {
        self.0.scalar(match special::value_of(value) {
            Some(number) => Scalar::Float(number),
            None => Scalar::Text(value),
        })
    }
}

/// Looks at the key of a member without keeping it.
pub(in crate::api) struct Key<F>(pub(in crate::api) F);

impl<'de, R, F: FnOnce(&str) -> R> DeserializeSeed<'de> for Key<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<R, D::Error> {
        key.deserialize_str(self)
    }
}

impl<R, F: FnOnce(&str) -> R> Visitor<'_> for Key<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<R, E> {
        Ok((self.0)(key))
    }
}
