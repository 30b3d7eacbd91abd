//! A decoder that makes a tree of the whole text and looks at it.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::value;
use crate::domain::signature::Signature;
use crate::domain::tensor::{DType, Elements, Tensor};

/// Requests of which some are good, and others nearly so.
pub(super) fn requests() -> impl Strategy<Value = String> {
    let order = Just(vec!["name", "datatype", "shape", "data"]).prop_shuffle();
    let input = |name: &'static str, datatype: &'static str, shapes: Vec<Vec<usize>>| {
        (select(shapes), order.clone(), any::<bool>(), mostly(0, 12), mostly(0, 12)).prop_map(
            move |(shape, order, nested, odd, at)| {
                let count: usize = shape.iter().product();
                let mut elements: Vec<Value> = (0..count).map(|index| json!(index)).collect();
                match (odd, elements.get_mut(at % count.max(1))) {
                    (1, Some(element)) => *element = json!("one"),
                    (2, Some(element)) => *element = json!(1.5),
                    (3, Some(element)) => *element = json!(null),
                    (4, Some(element)) => *element = json!([1]),
                    (5, _) => elements.push(json!(7)),
                    _ => {}
                }
                let data = if nested { nest(&elements, &shape) } else { json!(elements) };
                let value = |member: &str| match member {
                    "name" => json!(if odd == 6 { "z" } else { name }),
                    "datatype" => json!(if odd == 7 { "FP64" } else { datatype }),
                    "shape" => json!(shape),
                    _ => data.clone(),
                };
                let members = order.iter().map(|member| ((*member).to_owned(), value(member)));
                Value::Object(members.filter(|(member, _)| odd != 8 || member != "shape").collect())
            },
        )
    };
    let x = input("x", "FP32", vec![vec![1, 2], vec![3, 2], vec![2, 2], vec![0, 2], vec![4]]);
    let n = input("n", "INT64", vec![vec![1], vec![], vec![2, 1, 2], vec![1, 1]]);
    (x, n, any::<bool>(), mostly(0, 20)).prop_map(|(x, n, swapped, odd)| {
        let mut inputs = if swapped { vec![n, x] } else { vec![x, n] };
        match odd {
            1 => drop(inputs.pop()),
            2 => inputs.push(inputs[0].clone()),
            _ => {}
        }
        json!({ "inputs": inputs }).to_string()
    })
}

/// `usual`, and now and then any number below `most`.
fn mostly(usual: usize, most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(usual), 1 => 0..most]
}

fn nest(elements: &[Value], shape: &[usize]) -> Value {
    match shape {
        [] => elements.first().cloned().unwrap_or(json!(null)),
        [size, inner @ ..] => {
            let each = inner.iter().product::<usize>();
            (0..*size)
                .map(|row| nest(elements.get(row * each..).unwrap_or_default(), inner))
                .collect()
        }
    }
}

/// The inputs in the signature's order; none where the request is not good.
pub(super) fn decode(text: &str, signature: &Signature) -> Option<Vec<Tensor>> {
    let root = value(text);
    let given = root["inputs"].as_array()?;
    let all = signature.inputs.iter().map(|spec| {
        let mut with_name = given.iter().filter(|input| input["name"] == spec.name.as_str());
        let (input, None) = (with_name.next()?, with_name.next()) else { return None };
        let datatype = match spec.dtype {
            DType::F32 => "FP32",
            DType::I64 => "INT64",
            _ => return None,
        };
        if input["datatype"] != datatype {
            return None;
        }
        let shape: Vec<usize> = serde_json::from_value(input["shape"].clone()).ok()?;
        let mut leaves = Vec::new();
        let is_nested = is_of(&input["data"], &shape);
        flatten(&input["data"], &mut leaves);
        let is_flat = depth(&input["data"]) <= 1;
        let count: usize = shape.iter().product();
        if !(is_nested || (is_flat && leaves.len() == count)) {
            return None;
        }
        let elements = match spec.dtype {
            DType::F32 => {
                Elements::F32(leaves.iter().map(|leaf| number(leaf)).collect::<Option<_>>()?)
            }
            _ => Elements::I64(leaves.iter().map(|leaf| leaf.as_i64()).collect::<Option<_>>()?),
        };
        let tensor = Tensor::new(shape, elements).ok()?;
        let has_rows = tensor.shape().first() != Some(&0);
        (spec.check(&tensor).is_ok() && has_rows).then_some(tensor)
    });
    let all: Option<Vec<Tensor>> = all.collect();
    all.filter(|all| all.len() == given.len())
}

fn number(leaf: &Value) -> Option<f32> {
    leaf.as_f64().map(|number| number as f32)
}

fn depth(value: &Value) -> usize {
    let of_elements = |elements: &Vec<Value>| elements.iter().map(depth).max().unwrap_or(0);
    value.as_array().map_or(0, |elements| 1 + of_elements(elements))
}

fn is_of(value: &Value, shape: &[usize]) -> bool {
    match shape {
        [] => !value.is_array(),
        [size, inner @ ..] => value.as_array().is_some_and(|elements| {
            elements.len() == *size && elements.iter().all(|element| is_of(element, inner))
        }),
    }
}

fn flatten<'v>(value: &'v Value, leaves: &mut Vec<&'v Value>) {
    match value.as_array() {
        Some(elements) => elements.iter().for_each(|element| flatten(element, leaves)),
        None => leaves.push(value),
    }
}
