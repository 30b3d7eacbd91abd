//! Parameters as gRPC writes them: values with a type, by name.

use std::collections::HashMap;

use axum::http::StatusCode;

use super::generated::InferParameter;
use super::generated::infer_parameter::ParameterChoice;
use crate::api::json::{Scalar, shortened};
use crate::api::problem::Problem;
use crate::api::v2::parameters::Parameters;

/// Those of them that mean something. `place` is where they stand, with a dot at its end.
pub(super) fn read(
    given: &HashMap<String, InferParameter>,
    place: &str,
) -> Result<Parameters, Problem> {
    let mut parameters = Parameters::default();
    for (name, value) in given {
        if name == "shared_memory_region" {
            let sentence = format!("{place}parameters.{name}: shared memory is not offered");
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not_offered", sentence));
        }
        parameters.take(name, scalar(value)).map_err(|sentence| {
            let sentence = format!("{place}parameters.{}: {sentence}", shortened(name));
            Problem::bad_request("invalid_input", sentence)
        })?;
    }
    Ok(parameters)
}

/// The value of the parameter by which requests stick to a version, in the form that JSON gives it: a text, a whole
/// number or a truth value. Others, and an empty text, are no keys.
pub(super) fn key(given: &HashMap<String, InferParameter>, name: &str) -> Option<Vec<u8>> {
    let key = match scalar(given.get(name)?) {
        Scalar::Text(text) => text.to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Null | Scalar::Float(_) => return None,
    };
    Some(key.into_bytes()).filter(|key| !key.is_empty())
}

fn scalar(parameter: &InferParameter) -> Scalar<'_> {
    match &parameter.parameter_choice {
        None => Scalar::Null,
        Some(ParameterChoice::BoolParam(value)) => Scalar::Bool(*value),
        Some(ParameterChoice::Int64Param(value)) => Scalar::Integer(i128::from(*value)),
        Some(ParameterChoice::Uint64Param(value)) => Scalar::Integer(i128::from(*value)),
        Some(ParameterChoice::DoubleParam(value)) => Scalar::Float(*value),
        Some(ParameterChoice::StringParam(value)) => Scalar::Text(value),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn one(name: &str, value: ParameterChoice) -> HashMap<String, InferParameter> {
        HashMap::from([(name.to_owned(), InferParameter { parameter_choice: Some(value) })])
    }

    #[test]
    fn a_parameter_means_the_same_as_in_json() {
        let parameters = read(&one("timeout", ParameterChoice::Uint64Param(50)), "").unwrap();
        assert_eq!(parameters.timeout, Some(Duration::from_micros(50)));
        let given = one("classification", ParameterChoice::StringParam("3".into()));
        let problem = read(&given, "outputs[1].").unwrap_err();
        assert_eq!(
            problem.sentence(),
            "outputs[1].parameters.classification: expected an integer that is not negative, got a string"
        );
        let given = one("shared_memory_region", ParameterChoice::StringParam("r".into()));
        assert_eq!(read(&given, "").unwrap_err().status(), StatusCode::NOT_IMPLEMENTED);
    }

    #[test]
    fn a_key_is_a_text_a_whole_number_or_a_truth_value() {
        for (value, expected) in [
            (ParameterChoice::StringParam("ann".into()), Some("ann")),
            (ParameterChoice::StringParam(String::new()), None),
            (ParameterChoice::Int64Param(-7), Some("-7")),
            (ParameterChoice::BoolParam(true), Some("true")),
            (ParameterChoice::DoubleParam(0.5), None),
        ] {
            let key = key(&one("user", value), "user");
            assert_eq!(key.as_deref(), expected.map(str::as_bytes));
        }
        assert_eq!(key(&HashMap::new(), "user"), None);
    }
}
