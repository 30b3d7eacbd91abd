//! Numbers of one type as numbers of another, where nothing is lost but the last digits of a fraction: what a request in
//! JSON may do as well, whose numbers have no type.

use half::{bf16, f16};

use crate::domain::tensor::{DType, Elements};

/// The same elements as `to`; the index of the first that is no such number.
pub(super) fn cast(elements: Elements, to: DType) -> Result<Elements, usize> {
    if elements.dtype() == to {
        return Ok(elements);
    }
    macro_rules! whole {
        ($values:expr) => {
            from_whole($values.into_iter().map(i128::from), to)
        };
    }
    match elements {
        Elements::U8(values) => whole!(values),
        Elements::U16(values) => whole!(values),
        Elements::U32(values) => whole!(values),
        Elements::U64(values) => whole!(values),
        Elements::I8(values) => whole!(values),
        Elements::I16(values) => whole!(values),
        Elements::I32(values) => whole!(values),
        Elements::I64(values) => whole!(values),
        Elements::F16(values) => from_real(values.into_iter().map(f64::from), to),
        Elements::BF16(values) => from_real(values.into_iter().map(f64::from), to),
        Elements::F32(values) => from_real(values.into_iter().map(f64::from), to),
        Elements::F64(values) => from_real(values.into_iter(), to),
        Elements::Bool(_) | Elements::String(_) => Err(0),
    }
}

/// What is said of an element that is no such number.
pub(super) fn misfit(from: DType, to: DType) -> String {
    format!("it has a value of type {from} that is no {to}, which the model takes")
}

/// All values, or the index of the first for which there is none.
fn all<T>(values: impl Iterator<Item = Option<T>>) -> Result<Vec<T>, usize> {
    values.enumerate().map(|(index, value)| value.ok_or(index)).collect()
}

fn from_whole(values: impl Iterator<Item = i128>, to: DType) -> Result<Elements, usize> {
    macro_rules! whole {
        ($variant:ident, $type:ty) => {
            all(values.map(|value| <$type>::try_from(value).ok())).map(Elements::$variant)
        };
    }
    match to {
        DType::U8 => whole!(U8, u8),
        DType::U16 => whole!(U16, u16),
        DType::U32 => whole!(U32, u32),
        DType::U64 => whole!(U64, u64),
        DType::I8 => whole!(I8, i8),
        DType::I16 => whole!(I16, i16),
        DType::I32 => whole!(I32, i32),
        DType::I64 => whole!(I64, i64),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
            from_real(values.map(|value| value as f64), to)
        }
        DType::Bool | DType::String => Err(0),
    }
}

fn from_real(values: impl Iterator<Item = f64>, to: DType) -> Result<Elements, usize> {
    macro_rules! real {
        ($variant:ident, $narrow:expr) => {
            // What was finite stays so.
            all(values.map(|value| {
                Some($narrow(value)).filter(|it| it.is_finite() || !value.is_finite())
            }))
            .map(Elements::$variant)
        };
    }
    match to {
        DType::F16 => real!(F16, f16::from_f64),
        DType::BF16 => real!(BF16, bf16::from_f64),
        DType::F32 => real!(F32, |value| value as f32),
        DType::F64 => Ok(Elements::F64(values.collect())),
        DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64 => {
            // Above this, whole numbers have gaps.
            const MOST: f64 = 9_007_199_254_740_992.0;
            let is_whole = |value: f64| value.fract() == 0.0 && value.abs() <= MOST;
            let whole = all(values.map(|value| is_whole(value).then_some(value as i128)))?;
            from_whole(whole.into_iter(), to)
        }
        DType::Bool | DType::String => Err(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_what_the_model_takes() {
        let doubles = || Elements::F64(vec![1.0, -2.5, f64::NAN, f64::INFINITY]);
        let Ok(Elements::F32(singles)) = cast(doubles(), DType::F32) else { panic!() };
        assert_eq!(singles[..2], [1.0, -2.5]);
        assert!(singles[2].is_nan() && singles[3] == f32::INFINITY);
        assert_eq!(cast(doubles(), DType::I64), Err(1), "a fraction is no whole number");
        let whole = Elements::I64(vec![0, 200, -1]);
        assert_eq!(cast(whole.clone(), DType::F32), Ok(Elements::F32(vec![0.0, 200.0, -1.0])));
        assert_eq!(cast(whole.clone(), DType::U8), Err(2));
        assert_eq!(cast(whole.clone(), DType::I8), Err(1));
        assert_eq!(cast(whole.clone(), DType::I32), Ok(Elements::I32(vec![0, 200, -1])));
        assert_eq!(cast(whole.clone(), DType::String), Err(0));
        assert_eq!(cast(whole, DType::Bool), Err(0), "nobody knows what 200 is");
        assert_eq!(cast(Elements::F64(vec![1.0, 1e300]), DType::F32), Err(1), "not infinity");
    }
}
