//! Tensors whose data is not what their shape and type say.

use super::*;

const F32: u64 = 1;

/// The sentence about an initializer `w`.
#[track_caller]
fn complaint_about(fields: &[Vec<u8>]) -> String {
    let fields = [text(8, "w"), fields.concat()];
    let sentence = complaint(&with(&[initializer(&fields)]));
    sentence.strip_prefix("initializer `w`: ").unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

fn raw(length: usize) -> Vec<u8> {
    bytes(9, &[vec![0; length]])
}

#[test]
fn raw_data_is_as_long_as_the_shape_says() {
    let tensor = |raw| [dims(&[3, 4]), number(2, F32), bytes(9, &[vec![0; raw]])];
    let contract = verdict(&with(&[initializer(&tensor(48))])).unwrap();
    assert_eq!(contract.inline_bytes, 48);
    for wrong in [0, 47, 49] {
        assert_eq!(
            complaint_about(&tensor(wrong)),
            format!("its shape and type make 48 bytes, and its data has {wrong}")
        );
    }
}

#[test]
fn dimensions_may_be_packed() {
    let tensor = [bytes(1, &[vec![2, 3]]), number(1, 2), number(2, F32), raw(48)];
    assert!(verdict(&with(&[initializer(&tensor)])).is_ok());
    let half = [bytes(1, &[vec![2, 0x83]]), number(2, F32), raw(24)];
    assert!(complaint_about(&half).contains("begins no field"));
}

#[test]
fn a_shape_that_no_memory_holds_is_refused() {
    for (shape, sentence) in [
        (&[u64::MAX][..], "its shape has the dimension -1"),
        (&[1 << 32, 1 << 32], "its shape stands for more bytes than a number can count"),
        (&[1 << 62], "its shape stands for more bytes than a number can count"),
        (&[0, 1 << 40, 1 << 40], "its shape stands for more bytes than a number can count"),
        (&[1 << 40], "its shape makes 1099511627776 elements, and its data has 0"),
        (&[1; 65], "its shape has more than 64 dimensions"),
    ] {
        assert_eq!(complaint_about(&[dims(shape), number(2, F32)]), sentence);
    }
}

#[test]
fn data_that_is_not_raw_is_counted() {
    let floats = |packed: usize, single: usize| {
        let single = [onnx::key(4, 5), vec![0; 4]].concat().repeat(single);
        [dims(&[3]), number(2, F32), bytes(4, &[vec![0; 4 * packed]]), single]
    };
    assert!(verdict(&with(&[initializer(&floats(3, 0))])).is_ok());
    assert!(verdict(&with(&[initializer(&floats(1, 2))])).is_ok());
    assert_eq!(complaint_about(&floats(2, 0)), "its shape makes 3 elements, and its data has 2");

    let texts = |count| [dims(&[2]), number(2, 8), text(6, "text").repeat(count)];
    assert_eq!(verdict(&with(&[initializer(&texts(2))])).unwrap().inline_bytes, 8);
    assert_eq!(complaint_about(&texts(3)), "its shape makes 2 elements, and its data has 3");
    let complex = |floats: usize| [dims(&[2]), number(2, 14), bytes(4, &[vec![0; 4 * floats]])];
    assert!(verdict(&with(&[initializer(&complex(4))])).is_ok());
    assert_eq!(complaint_about(&complex(2)), "its shape makes 2 elements, and its data has 1");
}

#[test]
fn packed_numbers_are_judged_by_their_length() {
    const I64: u64 = 7;
    let numbers =
        |elements, length| [dims(&[elements]), number(2, I64), bytes(7, &[vec![1; length]])];
    assert!(verdict(&with(&[initializer(&numbers(3, 3))])).is_ok());
    assert!(verdict(&with(&[initializer(&numbers(3, 30))])).is_ok());
    assert_eq!(
        complaint_about(&numbers(4, 3)),
        "its shape makes 4 elements, and its data has between 1 and 3"
    );
    assert_eq!(
        complaint_about(&numbers(3, 31)),
        "its shape makes 3 elements, and its data has between 4 and 31"
    );
}

#[test]
fn elements_of_less_than_a_byte_share_bytes() {
    const I4: u64 = 22;
    let packed = |length| [dims(&[3]), number(2, I4), bytes(9, &[vec![0; length]])];
    assert_eq!(verdict(&with(&[initializer(&packed(2))])).unwrap().inline_bytes, 2);
    assert_eq!(complaint_about(&packed(3)), "its shape and type make 2 bytes, and its data has 3");
    let numbers = [dims(&[3]), number(2, I4), bytes(5, &[vec![0; 2]])];
    assert!(verdict(&with(&[initializer(&numbers)])).is_ok());
}

#[test]
fn data_is_in_one_form_and_in_the_one_for_its_type() {
    let f32 = |data: &[Vec<u8>]| [dims(&[1]), number(2, F32), data.concat()];
    let float = bytes(4, &[vec![0; 4]]);
    assert_eq!(complaint_about(&f32(&[raw(4), float.clone()])), "its data is there in two forms");
    assert_eq!(complaint_about(&f32(&[float, number(5, 1)])), "its data is there in two forms");
    assert_eq!(
        complaint_about(&f32(&[number(5, 1)])),
        "its elements are f32, and data of that type is not kept in `int32_data`"
    );
    assert_eq!(
        complaint_about(&[dims(&[1]), number(2, 8), raw(4)]),
        "its elements are texts, and data of that type is not kept in `raw_data`"
    );
}

#[test]
fn types_that_nobody_knows_are_refused() {
    // As a number of 32 bits, the last one would be 1.
    for data_type in [99, u64::MAX, 1 << 32 | 1] {
        let sentence = complaint_about(&[number(2, data_type), raw(4)]);
        assert_eq!(
            sentence,
            format!("its element type has the number {data_type}, which this server does not know")
        );
    }
    assert!(complaint_about(&[raw(4)]).contains("the number 0"));
    assert_eq!(
        complaint_about(&[number(2, F32), raw(4), number(14, 1 << 32 | 1)]),
        "`data_location` is 4294967297, where ONNX knows 0 (in the model) and 1 (in another file)"
    );
}

#[test]
fn an_empty_tensor_in_an_attribute_is_no_harm() {
    assert!(verdict(&with(&[node_with(&[bytes(5, &[])])])).is_ok());
}

#[test]
fn a_sparse_tensor_has_its_parts_and_is_judged_with_its_zeros() {
    const I64: u64 = 7;
    let values = bytes(1, &[dims(&[1]), number(2, F32), raw(4), text(8, "w")]);
    let indices = bytes(2, &[dims(&[1]), number(2, I64), raw(8)]);
    let shape = |dim| number(3, dim);
    let sparse = |parts: &[Vec<u8>]| with(&[bytes(15, parts)]);
    let good = verdict(&sparse(&[values.clone(), indices.clone(), shape(1000)])).unwrap();
    assert_eq!(good.inline_bytes, 4000 + 4 + 8);
    assert_eq!(
        complaint(&sparse(&[values.clone(), indices, shape(1 << 40)])),
        "sparse initializer 1: with its zeros it has more than 2 GiB"
    );
    let short = bytes(2, &[dims(&[2]), number(2, I64), raw(8)]);
    assert_eq!(
        complaint(&sparse(&[values.clone(), short, shape(9)])),
        "indices in sparse initializer 1: its shape and type make 16 bytes, and its data has 8"
    );
    assert_eq!(
        complaint(&sparse(&[values, shape(9)])),
        "sparse initializer 1: a sparse tensor has `values` and `indices`, and one of them is missing"
    );
}
