//! A tensor's element as JSON writes it.

use half::{bf16, f16};

use super::reader::Scalar;
use crate::domain::tensor::Element;

/// An element type that a JSON value can be read as.
pub(in crate::api) trait JsonElement: Element + Clone + Default {
    /// How an error calls it.
    const EXPECTED: &'static str;

    /// Reads the value, without loss of what matters: integers are exact, and a number that is finite stays
    /// finite.
    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit>;
}

/// Why a value is not an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Misfit {
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

/// 2⁶⁴, the least number that is too large for all integer types here, and −2⁶³, below which there is none.
const BEYOND_U64: f64 = 18_446_744_073_709_551_616.0;
const LEAST_I64: f64 = -9_223_372_036_854_775_808.0;

macro_rules! integers {
    ($($element:ty),*) => {
        $(impl JsonElement for $element {
            const EXPECTED: &'static str = "an integer";

            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
                match scalar {
                    Scalar::Integer(value) => Self::try_from(value).map_err(|_| Misfit::Range),
                    // Such a number has no fraction, so it may well have been written as an integer.
                    Scalar::Float(value)
                        if value.is_finite() && !(LEAST_I64..BEYOND_U64).contains(&value) =>
                    {
                        Err(Misfit::Range)
                    }
                    Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::Text(_) => Err(Misfit::Kind),
                }
            }
        })*
    };
}

/// With the functions that round a whole number and a double to the type.
macro_rules! floats {
    ($($element:ty: $of_integer:expr, $rounded:expr;)*) => {
        $(impl JsonElement for $element {
            const EXPECTED: &'static str = "a number";

            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Misfit> {
                match scalar {
                    Scalar::Integer(value) => ($of_integer)(value),
                    Scalar::Float(value) => finite(value, $rounded),
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

/// A number that is finite must stay so.
fn finite<T: Copy + Into<f64>>(value: f64, rounded: impl Fn(f64) -> T) -> Result<T, Misfit> {
    let element = rounded(value);
    if element.into().is_finite() == value.is_finite() { Ok(element) } else { Err(Misfit::Range) }
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);
floats! {
    f16: |value| finite(value as f64, f16::from_f64), f16::from_f64;
    bf16: |value| finite(value as f64, bf16::from_f64), bf16::from_f64;
    f32: |value| Ok(value as f32), |value| value as f32;
    f64: |value| Ok(value as f64), |value| value;
}

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
        assert_eq!(u64::from_scalar(Scalar::Integer(u64::MAX.into())), Ok(u64::MAX));
        assert_eq!(u8::from_scalar(Scalar::Integer(-1)), Err(Misfit::Range));
        assert_eq!(f16::from_scalar(Scalar::Float(65_504.0)), Ok(f16::MAX));
        assert_eq!(f16::from_scalar(Scalar::Float(65_520.0)), Err(Misfit::Range));
        assert_eq!(f16::from_scalar(Scalar::Integer(100_000)), Err(Misfit::Range));
        assert_eq!(bf16::from_scalar(Scalar::Integer(100_000)), Ok(bf16::from_f32(99_840.0)));
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
