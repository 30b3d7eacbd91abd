//! The best classes of an output in its place: `0.83:2:cat`, the number, the place and the name of each.

use std::cmp::Ordering;

use crate::api::json::write;
use crate::domain::tensor::{DType, ElementKind, ElementsView, ValueView};

/// The texts that an output becomes, and their shape.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Classes {
    /// `[rows, classes]`, or `[classes]` where the output has no rows.
    pub(in crate::api) shape: Vec<usize>,
    pub(in crate::api) texts: Vec<String>,
}

/// The `most` best classes of each row, best first. `names` are the classes' by number, where the model has none of its
/// own.
pub(in crate::api) fn classify(output: ValueView<'_>, most: usize, names: &[String]) -> Classes {
    match output {
        ValueView::ClassScores(scores) => {
            let named = |class: usize| {
                let own = &scores.classes[class];
                own.parse().ok().and_then(|number: usize| names.get(number)).unwrap_or(own).as_str()
            };
            let scores_of_all = ElementsView::F32(scores.scores);
            best(scores_of_all, vec![scores.rows], scores.classes.len(), most, |class| {
                Some(named(class))
            })
        }
        ValueView::Tensor(tensor) => {
            let (rows, columns) = match tensor.shape {
                [] | [_] => (Vec::new(), tensor.elements.len()),
                [rows, others @ ..] => (vec![*rows], others.iter().product()),
            };
            let named = |class: usize| names.get(class).map(String::as_str);
            let named = |class| named(class).filter(|_| names.len() == columns);
            best(tensor.elements, rows, columns, most, named)
        }
    }
}

fn best<'n>(
    elements: ElementsView<'_>,
    rows: Vec<usize>,
    columns: usize,
    most: usize,
    named: impl Fn(usize) -> Option<&'n str>,
) -> Classes {
    let count = rows.first().copied().unwrap_or(1);
    let most = most.min(columns);
    let mut texts = Vec::with_capacity(count.saturating_mul(most));
    for row in 0..count {
        let mut places: Vec<usize> = (row * columns..(row + 1) * columns).collect();
        let better =
            |one: &usize, other: &usize| descending(elements, *one, *other).then(one.cmp(other));
        if most < places.len() && most > 0 {
            places.select_nth_unstable_by(most - 1, better);
        }
        places.truncate(most);
        places.sort_unstable_by(better);
        for place in places {
            let class = place - row * columns;
            let mut text = Vec::new();
            write::element(&mut text, elements, place);
            let mut text = String::from_utf8_lossy(&text).into_owned();
            text.push(':');
            text.push_str(&class.to_string());
            if let Some(name) = named(class) {
                text.push(':');
                text.push_str(name);
            }
            texts.push(text);
        }
    }
    Classes { shape: rows.into_iter().chain([most]).collect(), texts }
}

/// Larger numbers first, and what is no number last.
fn descending(elements: ElementsView<'_>, one: usize, other: usize) -> Ordering {
    fn floats<T: PartialOrd + Copy>(one: T, other: T) -> Ordering {
        let is_number = |value: T| value.partial_cmp(&value).is_some();
        other.partial_cmp(&one).unwrap_or_else(|| is_number(other).cmp(&is_number(one)))
    }
    match elements {
        ElementsView::U8(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::U16(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::U32(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::U64(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::I8(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::I16(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::I32(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::I64(numbers) => numbers[other].cmp(&numbers[one]),
        ElementsView::F16(numbers) => floats(numbers[one], numbers[other]),
        ElementsView::BF16(numbers) => floats(numbers[one], numbers[other]),
        ElementsView::F32(numbers) => floats(numbers[one], numbers[other]),
        ElementsView::F64(numbers) => floats(numbers[one], numbers[other]),
        ElementsView::Bool(_) | ElementsView::String(_) => Ordering::Equal,
    }
}

/// Whether elements of this type can be sorted so.
pub(in crate::api) fn is_sortable(dtype: DType) -> bool {
    match dtype.kind() {
        ElementKind::Integer | ElementKind::Float => true,
        ElementKind::Truth | ElementKind::Text => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tensor::{ClassScores, Elements, Tensor};

    fn classes(shape: &[usize], elements: Elements, most: usize, names: &[&str]) -> Classes {
        let tensor = Tensor::new(shape.to_vec(), elements).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        classify(ValueView::Tensor(tensor.view()), most, &names)
    }

    fn told(shape: &[usize], texts: &[&str]) -> Classes {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Classes { shape: shape.to_vec(), texts }
    }

    #[test]
    fn each_row_has_its_best_classes_first_with_their_names() {
        let scores = Elements::F32(vec![0.1, 0.7, 0.2, 0.5, 0.0, 0.5]);
        assert_eq!(
            classes(&[2, 3], scores.clone(), 2, &["a", "b", "c"]),
            told(&[2, 2], &["0.7:1:b", "0.2:2:c", "0.5:0:a", "0.5:2:c"])
        );
        // Names of other classes are none of these.
        assert_eq!(
            classes(&[2, 3], scores.clone(), 1, &["a", "b"]),
            told(&[2, 1], &["0.7:1", "0.5:0"])
        );
        let expected = ["0.7:1", "0.5:3", "0.5:5"];
        assert_eq!(classes(&[6], scores, 3, &[]), told(&[3], &expected));
    }

    #[test]
    fn there_are_no_more_classes_than_numbers_and_what_is_none_comes_last() {
        let scores = Elements::F64(vec![f64::NAN, -1.0, f64::INFINITY]);
        let expected = ["Infinity:2", "-1.0:1", "NaN:0"];
        assert_eq!(classes(&[1, 3], scores, 10, &[]), told(&[1, 3], &expected));
        assert_eq!(classes(&[2, 0], Elements::I64(vec![]), 1, &[]), told(&[2, 0], &[]));
        let integers = Elements::U64(vec![1, u64::MAX]);
        let expected = ["18446744073709551615:1"];
        assert_eq!(classes(&[1, 2], integers, 1, &[]), told(&[1, 1], &expected));
    }

    #[test]
    fn class_scores_have_names_of_their_own() {
        let classes = vec!["cat".into(), "1".into()];
        let scores = ClassScores { classes, scores: vec![0.25, 0.75], rows: 1 };
        let output = ValueView::ClassScores(scores.view());
        let names = ["zero".to_owned(), "dog".to_owned()];
        assert_eq!(classify(output, 2, &names), told(&[1, 2], &["0.75:1:dog", "0.25:0:cat"]));
    }
}
