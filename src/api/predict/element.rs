//! A tensor's element as JSON writes it.

use super::json::Scalar;
use crate::domain::tensor::Element;

/// An element type that a JSON value can be read as.
pub(super) trait JsonElement: Element + Clone + Default {
    /// How an error calls it.
    const EXPECTED: &'static str;

    /// Reads the value, without loss of what matters: integers are exact, and a number that is finite stays
    /// finite.
    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit>;
}

/// Why a value is not an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is something else, a text where a number belongs.
    Kind,
    /// It is the right thing, but too large.
    Range,
}

impl JsonElement for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
        match scalar {
            Scalar::Bool(value) => Ok(value),
            Scalar::Null | Scalar::Integer(_) | Scalar::Float(_) | Scalar::Text(_) => {
                Err(Misfit::Kind)
            }
        }
    }
}

impl JsonElement for String {
    const EXPECTED: &'static str = "a string";

    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
        match scalar {
            Scalar::Text(text) => Ok(text.to_owned()),
            Scalar::Null | Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) => {
                Err(Misfit::Kind)
            }
        }
    }
}

/// 2⁶³, the least number that is too large for all integer types here.
const BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

macro_rules! integers {
    ($($element:ty),*) => {
        $(impl JsonElement for $element {
            const EXPECTED: &'static str = "an integer";

            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
                match scalar {
                    Scalar::Integer(value) => Self::try_from(value).map_err(|_| Misfit::Range),
                    // Such a number has no fraction, so it may well have been written as an integer.
                    Scalar::Float(value) if value.is_finite() && value.abs() >= BEYOND_I64 => Err(Misfit::Range),
                    Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::Text(_) => Err(Misfit::Kind),
                }
            }
        })*
    };
}

macro_rules! floats {
    ($($element:ty),*) => {
        $(impl JsonElement for $element {
            const EXPECTED: &'static str = "a number";

            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
                match scalar {
                    Scalar::Integer(value) => Ok(value as Self),
                    Scalar::Float(value) => {
                        let element = value as Self;
                        if element.is_finite() == value.is_finite() { Ok(element) } else { Err(Misfit::Range) }
                    }
                    // JSON has no such numbers; clients whose JSON library keeps to the rules write texts.
                    Scalar::Text("NaN") => Ok(Self::NAN),
                    Scalar::Text("Infinity") => Ok(Self::INFINITY),
                    Scalar::Text("-Infinity") => Ok(Self::NEG_INFINITY),
                    Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) => Err(Misfit::Kind),
                }
            }
        })*
    };
}

integers!(i32, i64);
floats!(f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_too_large_for_its_type_is_out_of_range_and_not_infinite() {
        assert_eq!(f32::from_scalar(Scalar::Float(1e39)), Err(Misfit::Range));
        assert_eq!(f64::from_scalar(Scalar::Float(1e39)), Ok(1e39));
        assert_eq!(i32::from_scalar(Scalar::Integer(1 << 31)), Err(Misfit::Range));
        assert_eq!(i64::from_scalar(Scalar::Integer(1 << 31)), Ok(1 << 31));
        assert_eq!(i64::from_scalar(Scalar::Integer(i128::from(u64::MAX))), Err(Misfit::Range));
        assert_eq!(i64::from_scalar(Scalar::Float(1e20)), Err(Misfit::Range));
    }

    #[test]
    fn a_fraction_is_no_integer_and_a_number_no_truth_value() {
        assert_eq!(i64::from_scalar(Scalar::Float(1.5)), Err(Misfit::Kind));
        assert_eq!(bool::from_scalar(Scalar::Integer(1)), Err(Misfit::Kind));
        assert_eq!(String::from_scalar(Scalar::Integer(1)), Err(Misfit::Kind));
    }

    #[test]
    fn what_json_has_no_numbers_for_is_written_in_words() {
        assert!(f32::from_scalar(Scalar::Text("NaN")).unwrap().is_nan());
        assert_eq!(f64::from_scalar(Scalar::Text("-Infinity")), Ok(f64::NEG_INFINITY));
        assert_eq!(f32::from_scalar(Scalar::Float(f64::INFINITY)), Ok(f32::INFINITY));
        assert_eq!(f64::from_scalar(Scalar::Text("1.5")), Err(Misfit::Kind));
        assert_eq!(String::from_scalar(Scalar::Float(f64::NAN)), Err(Misfit::Kind));
        assert_eq!(i64::from_scalar(Scalar::Float(f64::INFINITY)), Err(Misfit::Kind));
    }
}
