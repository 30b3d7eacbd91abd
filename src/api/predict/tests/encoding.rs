//! An answer holds what the model said: given back as a request, it is read as the same tensor.

use proptest::prelude::*;

use super::super::decode::Form;
use super::super::encode::{Named, encode};
use super::{Model, reference};
use crate::domain::signature::{Dim, Shape, TensorSpec};
use crate::domain::tensor::{Elements, Tensor, ValueView, element_count};

/// A tensor of up to three dimensions with any elements.
fn tensors() -> impl Strategy<Value = Tensor> {
    prop::collection::vec(0..4_usize, 0..4).prop_flat_map(|shape| {
        let elements = elements(element_count(&shape).unwrap());
        elements.prop_map(move |elements| Tensor::new(shape.clone(), elements).unwrap())
    })
}

fn elements(count: usize) -> BoxedStrategy<Elements> {
    use prop::collection::vec;
    prop_oneof![
        vec(any::<bool>(), count).prop_map(Elements::Bool),
        vec(any::<i32>(), count).prop_map(Elements::I32),
        vec(any::<i64>(), count).prop_map(Elements::I64),
        vec(any::<u32>().prop_map(f32::from_bits), count).prop_map(Elements::F32),
        vec(any::<u64>().prop_map(f64::from_bits), count).prop_map(Elements::F64),
        vec(any::<String>(), count).prop_map(Elements::String),
    ]
    .boxed()
}

/// The answer with one output.
fn answer(form: Form, name: &str, tensor: &Tensor) -> String {
    let output = Named { name, value: ValueView::Tensor(tensor.view()) };
    String::from_utf8(encode(form, &[output], &[]).unwrap()).unwrap()
}

/// A model that takes such tensors.
fn taker(tensor: &Tensor) -> Model {
    let dims = tensor.shape().iter().map(|size| Dim::Fixed(*size)).collect();
    let shape = Shape(Some(dims));
    Model::of(vec![TensorSpec { name: "x".into(), dtype: tensor.dtype(), shape }])
}

/// What the reference reads from a body, as text: there `NaN` is `NaN`, and a negative zero is not zero.
fn read(body: &str, tensor: &Tensor) -> String {
    let decoded = reference::decode(body, &taker(tensor));
    decoded.map_or_else(|| "nothing".into(), |decoded| format!("{:?}", decoded.inputs[0]))
}

proptest! {
    #[test]
    fn an_answer_in_columns_holds_the_tensor(tensor in tensors(), as_bytes: bool) {
        let name = if as_bytes { "y_bytes" } else { "y" };
        let body = answer(Form::Columns, name, &tensor).replacen("outputs", "inputs", 1);
        prop_assert_eq!(read(&body, &tensor), format!("{tensor:?}"), "{}", body);
    }

    #[test]
    fn an_answer_in_rows_holds_the_tensor(tensor in tensors()) {
        let Some(rows @ 1..) = tensor.shape().first().copied() else { return Ok(()) };
        let body = answer(Form::Rows(rows), "y", &tensor).replacen("predictions", "instances", 1);
        prop_assert_eq!(read(&body, &tensor), format!("{tensor:?}"), "{}", body);
    }

    #[test]
    fn the_text_of_an_f32_is_that_f32(bits: u32) {
        let value = f32::from_bits(bits);
        let tensor = Tensor::new(vec![], Elements::F32(vec![value])).unwrap();
        let body = answer(Form::Columns, "y", &tensor);
        let text = body.strip_prefix(r#"{"outputs":"#).and_then(|rest| rest.strip_suffix('}'));
        let read: f32 = text.unwrap().parse().unwrap();
        prop_assert!(read.to_bits() == bits || (read.is_nan() && value.is_nan()), "{}", body);
    }
}
