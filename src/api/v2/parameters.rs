//! The parameters of a request, of an input and of an output: those that mean something here.
//!
//! Clients also send what other servers know; that is passed over.

use std::time::Duration;

use crate::api::json::{Scalar, shortened};

/// See the module. What was not given is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Parameters {
    /// Of a request: how long its answer is of use.
    pub(in crate::api) timeout: Option<Duration>,
    /// Of a request: whether outputs come as bytes, where they say nothing themselves.
    pub(in crate::api) binary_data_output: Option<bool>,
    /// Of a request in a stream: whether it is told with its last answer, which is the only one, that it was the last.
    pub(in crate::api) marks_final: Option<bool>,
    /// Of an output: whether it comes as bytes.
    pub(in crate::api) binary_data: Option<bool>,
    /// Of an input: how many bytes it has behind the JSON text.
    pub(in crate::api) binary_data_size: Option<usize>,
    /// Of an output: how many of the best classes are wanted in its place.
    pub(in crate::api) classification: Option<usize>,
}

impl Parameters {
    /// Takes one parameter. `Err` says what is wrong with it.
    pub(in crate::api) fn take(&mut self, name: &str, value: Scalar<'_>) -> Result<(), String> {
        match name {
            "timeout" => {
                // Nothing said, to Triton's clients.
                let time = whole(value)?;
                self.timeout = (time > 0).then(|| Duration::from_micros(time));
            }
            "binary_data_output" => self.binary_data_output = Some(truth(value)?),
            // Triton's own clients send it with every request of a stream.
            "triton_enable_empty_final_response" => self.marks_final = Some(truth(value)?),
            "binary_data" => self.binary_data = Some(truth(value)?),
            "binary_data_size" => self.binary_data_size = Some(size(value)?),
            "classification" => match size(value)? {
                0 => return Err("expected at least 1".to_owned()),
                count => self.classification = Some(count),
            },
            "shared_memory_region" => return Err("shared memory is not offered".to_owned()),
            reserved if reserved.starts_with("triton_") => {
                return Err(format!("`{}` is reserved", shortened(reserved)));
            }
            _ => {}
        }
        Ok(())
    }
}

fn truth(value: Scalar<'_>) -> Result<bool, String> {
    match value {
        Scalar::Bool(value) => Ok(value),
        Scalar::Null | Scalar::Integer(_) | Scalar::Float(_) | Scalar::Text(_) => {
            Err(format!("expected true or false, got {value}"))
        }
    }
}

fn whole(value: Scalar<'_>) -> Result<u64, String> {
    let number = match value {
        Scalar::Integer(number) => u64::try_from(number).ok(),
        Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::Text(_) => None,
    };
    number.ok_or_else(|| format!("expected an integer that is not negative, got {value}"))
}

fn size(value: Scalar<'_>) -> Result<usize, String> {
    let number = whole(value)?;
    usize::try_from(number).map_err(|_| format!("the number {number} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: Scalar<'_>) -> String {
        Parameters::default().take(name, value).unwrap_err()
    }

    #[test]
    fn what_means_something_is_read_and_everything_else_passed_over() {
        let mut parameters = Parameters::default();
        parameters.take("timeout", Scalar::Integer(1500)).unwrap();
        parameters.take("binary_data", Scalar::Bool(false)).unwrap();
        parameters.take("priority", Scalar::Text("high")).unwrap();
        let expected = Parameters {
            timeout: Some(Duration::from_micros(1500)),
            binary_data: Some(false),
            ..Parameters::default()
        };
        assert_eq!(parameters, expected);
        parameters.take("timeout", Scalar::Integer(0)).unwrap();
        assert_eq!(parameters.timeout, None);
    }

    #[test]
    fn what_is_wrong_with_a_parameter_is_told() {
        assert_eq!(
            refused("timeout", Scalar::Integer(-1)),
            "expected an integer that is not negative, got the number -1"
        );
        assert_eq!(
            refused("binary_data", Scalar::Integer(1)),
            "expected true or false, got the number 1"
        );
        assert_eq!(refused("classification", Scalar::Integer(0)), "expected at least 1");
        assert_eq!(refused("triton_x", Scalar::Null), "`triton_x` is reserved");
        assert_eq!(
            refused("shared_memory_region", Scalar::Text("r")),
            "shared memory is not offered"
        );
    }
}
