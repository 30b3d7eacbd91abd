//! What the protocol calls the types of elements.

use crate::api::json::did_you_mean;
use crate::domain::tensor::DType;

/// `FP32`, `INT64`, `BYTES`.
pub(in crate::api) const fn name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "BOOL",
        DType::U8 => "UINT8",
        DType::U16 => "UINT16",
        DType::U32 => "UINT32",
        DType::U64 => "UINT64",
        DType::I8 => "INT8",
        DType::I16 => "INT16",
        DType::I32 => "INT32",
        DType::I64 => "INT64",
        DType::F16 => "FP16",
        DType::BF16 => "BF16",
        DType::F32 => "FP32",
        DType::F64 => "FP64",
        DType::String => "BYTES",
    }
}

/// Checks that elements of the named type may be given where a model takes `expected`. `Err` says why not.
pub(in crate::api) fn check(given: &str, expected: DType) -> Result<(), String> {
    if given == name(expected) {
        return Ok(());
    }
    let known = || DType::ALL.iter().map(|dtype| name(*dtype));
    if known().any(|name| name == given) {
        return Err(format!("the model takes {}, got {given}", name(expected)));
    }
    Err(format!("there is no such type{}", did_you_mean(given, known())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own() {
        for dtype in DType::ALL {
            assert_eq!(check(name(*dtype), *dtype), Ok(()));
        }
        let error = check("FP32", DType::I64).unwrap_err();
        assert_eq!(error, "the model takes INT64, got FP32");
        let error = check("FLOAT32", DType::I64).unwrap_err();
        assert_eq!(error, "there is no such type");
        let error = check("INT46", DType::I64).unwrap_err();
        assert_eq!(error, "there is no such type; did you mean `INT16`?");
    }
}
