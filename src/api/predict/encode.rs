//! The outputs of a run, written as JSON in the form of the request.
//!
//! Numbers are written straight from where the library put them. An f32 is written as the shortest decimal
//! that reads back as the same f32. `NaN`, `Infinity` and `-Infinity` are written as bare words, which is
//! what TensorFlow Serving does.

use base64::Engine;

use super::decode::Form;
use crate::api::json::write;
use crate::domain::tensor::{ClassScoresView, ElementsView, TensorView, ValueView};

/// One output with its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) value: ValueView<'a>,
}

/// An output that cannot be given one value per row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "output `{output}` has the shape {shape:?}, which cannot be split into {rows} rows; use `inputs` instead of `instances`"
)]
pub(super) struct NotPerRow {
    output: String,
    shape: Vec<usize>,
    rows: usize,
}

/// Writes the body of the answer. `classes` are names for class numbers, where the model has none.
///
/// # Errors
/// [`NotPerRow`] when rows were asked for and an output has none.
pub(super) fn encode(
    form: Form,
    outputs: &[Named<'_>],
    classes: &[String],
) -> Result<Vec<u8>, NotPerRow> {
    let mut json = Json { out: Vec::with_capacity(expected_bytes(outputs)), classes };
    match form {
        Form::Rows(rows) => {
            check_rows(outputs, rows)?;
            json.raw(b"{\"predictions\":");
            json.list(0..rows, |json, row| {
                json.members(outputs, |json, output| json.row(output, row))
            });
        }
        Form::Columns => {
            json.raw(b"{\"outputs\":");
            json.members(outputs, Json::whole);
        }
    }
    json.raw(b"}");
    Ok(json.out)
}

/// Writes an object with each value whole, by its name.
pub(super) fn by_name(values: &[Named<'_>]) -> Vec<u8> {
    let mut json = Json { out: Vec::with_capacity(expected_bytes(values)), classes: &[] };
    json.separated(b'{', b'}', values, &mut |json: &mut Json<'_>, value: &Named<'_>| {
        json.key(value.name);
        json.whole(value);
    });
    json.out
}

fn check_rows(outputs: &[Named<'_>], rows: usize) -> Result<(), NotPerRow> {
    let not_per_row = |output: &Named<'_>, shape: &[usize]| NotPerRow {
        output: output.name.to_owned(),
        shape: shape.to_vec(),
        rows,
    };
    for output in outputs {
        match output.value {
            ValueView::Tensor(tensor) if tensor.shape.first() != Some(&rows) => {
                return Err(not_per_row(output, tensor.shape));
            }
            ValueView::ClassScores(scores) if scores.rows != rows => {
                return Err(not_per_row(output, &[scores.rows]));
            }
            ValueView::Tensor(_) | ValueView::ClassScores(_) => {}
        }
    }
    Ok(())
}

/// The text in the making.
struct Json<'c> {
    out: Vec<u8>,
    classes: &'c [String],
}

impl<'c> Json<'c> {
    fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.separated(b'[', b']', items, &mut write);
    }

    fn separated<T>(
        &mut self,
        open: u8,
        close: u8,
        items: impl IntoIterator<Item = T>,
        write: &mut impl FnMut(&mut Self, T),
    ) {
        self.out.push(open);
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self, item);
        }
        self.out.push(close);
    }

    /// One output: its value alone. Several: an object.
    fn members(&mut self, outputs: &[Named<'_>], mut write: impl FnMut(&mut Self, &Named<'_>)) {
        if let [only] = outputs {
            return write(self, only);
        }
        self.separated(b'{', b'}', outputs, &mut |json: &mut Self, output: &Named<'_>| {
            json.key(output.name);
            write(json, output);
        });
    }

    fn row(&mut self, output: &Named<'_>, row: usize) {
        match output.value {
            ValueView::ClassScores(scores) => self.class_scores_of(scores, row),
            ValueView::Tensor(tensor) => {
                let inner = &tensor.shape[1..];
                let size = inner.iter().product();
                self.nested(output.name, &tensor, inner, row * size, size);
            }
        }
    }

    fn whole(&mut self, output: &Named<'_>) {
        match output.value {
            ValueView::ClassScores(scores) => {
                self.list(0..scores.rows, |json, row| json.class_scores_of(scores, row));
            }
            ValueView::Tensor(tensor) => {
                self.nested(output.name, &tensor, tensor.shape, 0, tensor.elements.len());
            }
        }
    }

    /// The `size` elements from `first` on, as arrays in arrays of the sizes in `dims`.
    fn nested(
        &mut self,
        name: &str,
        tensor: &TensorView<'_>,
        dims: &[usize],
        first: usize,
        size: usize,
    ) {
        match dims {
            [] => self.element(name, tensor, first),
            [columns] if self.are_class_scores(tensor, *columns) => {
                self.named_columns(tensor, first)
            }
            [0, ..] => self.raw(b"[]"),
            [length, inner @ ..] => {
                let size = size / length;
                self.list(0..*length, |json, index| {
                    json.nested(name, tensor, inner, first + index * size, size);
                });
            }
        }
    }

    /// A matrix with a column per class is what classifiers give for probabilities.
    fn are_class_scores(&self, tensor: &TensorView<'_>, columns: usize) -> bool {
        let are_numbers = matches!(tensor.elements, ElementsView::F32(_) | ElementsView::F64(_));
        are_numbers && tensor.shape.len() == 2 && columns == self.classes.len() && columns > 0
    }

    fn named_columns(&mut self, tensor: &TensorView<'_>, first: usize) {
        let classes = self.classes;
        self.separated(
            b'{',
            b'}',
            classes.iter().enumerate(),
            &mut |json: &mut Self, (column, class)| {
                json.key(class);
                json.number(tensor, first + column);
            },
        );
    }

    fn class_scores_of(&mut self, scores: ClassScoresView<'_>, row: usize) {
        let first = row * scores.classes.len();
        let columns = scores.classes.iter().zip(&scores.scores[first..]);
        self.separated(b'{', b'}', columns, &mut |json: &mut Self, (class, score)| {
            json.key(class_number(class).and_then(|class| json.class_name(class)).unwrap_or(class));
            json.f32(*score);
        });
    }

    fn class_name(&self, class: usize) -> Option<&'c str> {
        self.classes.get(class).map(String::as_str)
    }

    fn element(&mut self, name: &str, tensor: &TensorView<'_>, index: usize) {
        match tensor.elements {
            // One class number per row is what classifiers give for labels.
            ElementsView::I64(classes) if tensor.shape.len() == 1 => {
                let class = usize::try_from(classes[index]).ok();
                match class.and_then(|class| self.class_name(class)) {
                    Some(class) => self.text(class),
                    None => self.number(tensor, index),
                }
            }
            // The suffix by which TensorFlow Serving tells bytes from text.
            ElementsView::String(texts) if name.ends_with("_bytes") => {
                self.raw(b"{\"b64\":\"");
                let encoded = base64::engine::general_purpose::STANDARD.encode(&texts[index]);
                self.raw(encoded.as_bytes());
                self.raw(b"\"}");
            }
            elements => write::element(&mut self.out, elements, index),
        }
    }

    fn number(&mut self, tensor: &TensorView<'_>, index: usize) {
        write::element(&mut self.out, tensor.elements, index);
    }

    fn f32(&mut self, value: f32) {
        write::single(&mut self.out, value);
    }

    fn key(&mut self, key: &str) {
        self.text(key);
        self.out.push(b':');
    }

    fn text(&mut self, text: &str) {
        write::text(&mut self.out, text);
    }
}

/// The number that a class is called by, written as models write it: `07` is a name.
fn class_number(class: &str) -> Option<usize> {
    let is_plain = class == "0" || !class.starts_with(['0', '+']);
    class.parse().ok().filter(|_| is_plain)
}

/// About as many bytes as the answer will take.
fn expected_bytes(outputs: &[Named<'_>]) -> usize {
    const PER_ELEMENT: usize = 12;
    let elements = outputs.iter().map(|output| match output.value {
        ValueView::Tensor(tensor) => tensor.elements.len(),
        ValueView::ClassScores(scores) => 2 * scores.scores.len(),
    });
    256 + PER_ELEMENT * elements.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tensor::ClassScores;

    fn tensor<'a>(name: &'a str, shape: &'a [usize], elements: ElementsView<'a>) -> Named<'a> {
        Named { name, value: ValueView::Tensor(TensorView { shape, elements }) }
    }

    fn rows(rows: usize, outputs: &[Named<'_>], classes: &[String]) -> String {
        String::from_utf8(encode(Form::Rows(rows), outputs, classes).unwrap()).unwrap()
    }

    fn columns(outputs: &[Named<'_>]) -> String {
        String::from_utf8(encode(Form::Columns, outputs, &[]).unwrap()).unwrap()
    }

    #[test]
    fn a_single_output_stands_without_its_name_and_several_with() {
        let one = tensor("y", &[2, 1], ElementsView::F32(&[0.5, 1e-7]));
        assert_eq!(rows(2, &[one], &[]), r#"{"predictions":[[0.5],[1e-7]]}"#);
        assert_eq!(columns(&[one]), r#"{"outputs":[[0.5],[1e-7]]}"#);
        let two = tensor("n", &[2], ElementsView::I64(&[7, -1]));
        assert_eq!(
            rows(2, &[one, two], &[]),
            r#"{"predictions":[{"y":[0.5],"n":7},{"y":[1e-7],"n":-1}]}"#
        );
        assert_eq!(columns(&[one, two]), r#"{"outputs":{"y":[[0.5],[1e-7]],"n":[7,-1]}}"#);
    }

    #[test]
    fn classes_are_called_by_their_names() {
        let classes = ["no".to_owned(), "yes".to_owned()];
        let label = tensor("label", &[1], ElementsView::I64(&[1]));
        let scores = tensor("p", &[1, 2], ElementsView::F32(&[0.25, 0.75]));
        assert_eq!(
            rows(1, &[label, scores], &classes),
            r#"{"predictions":[{"label":"yes","p":{"no":0.25,"yes":0.75}}]}"#
        );
        let unnamed = tensor("label", &[1], ElementsView::I64(&[2]));
        assert_eq!(rows(1, &[unnamed], &classes), r#"{"predictions":[2]}"#);
    }

    #[test]
    fn class_scores_are_objects_and_numbers_get_the_names_of_the_settings() {
        let scores = ClassScores {
            classes: vec!["0".into(), "1".into()],
            scores: vec![0.1, 0.9, 1.0, 0.0],
            rows: 2,
        };
        let output = Named { name: "p", value: ValueView::ClassScores(scores.view()) };
        assert_eq!(
            rows(2, &[output], &[]),
            r#"{"predictions":[{"0":0.1,"1":0.9},{"0":1.0,"1":0.0}]}"#
        );
        let classes = ["no".to_owned(), "yes".to_owned()];
        assert_eq!(
            rows(2, &[output], &classes),
            r#"{"predictions":[{"no":0.1,"yes":0.9},{"no":1.0,"yes":0.0}]}"#
        );
    }

    #[test]
    fn a_class_name_that_only_looks_like_a_number_is_left_alone() {
        let scores = ClassScores {
            classes: vec!["1".into(), "01".into(), "+1".into()],
            scores: vec![0.5, 0.25, 0.25],
            rows: 1,
        };
        let output = Named { name: "p", value: ValueView::ClassScores(scores.view()) };
        let classes = ["no".to_owned(), "yes".to_owned()];
        assert_eq!(
            rows(1, &[output], &classes),
            r#"{"predictions":[{"yes":0.5,"01":0.25,"+1":0.25}]}"#
        );
    }

    #[test]
    fn texts_are_escaped_and_bytes_encoded() {
        let texts = ["a\"\n".to_owned()];
        let text = tensor("t", &[1], ElementsView::String(&texts));
        assert_eq!(rows(1, &[text], &[]), r#"{"predictions":["a\"\n"]}"#);
        let bytes = tensor("t_bytes", &[1], ElementsView::String(&texts));
        assert_eq!(rows(1, &[bytes], &[]), r#"{"predictions":[{"b64":"YSIK"}]}"#);
    }

    #[test]
    fn numbers_that_json_lacks_are_bare_words() {
        let odd =
            tensor("y", &[3], ElementsView::F64(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]));
        assert_eq!(columns(&[odd]), r#"{"outputs":[NaN,Infinity,-Infinity]}"#);
    }

    #[test]
    fn empty_dimensions_and_scalars_have_their_form() {
        let scalar = tensor("s", &[], ElementsView::Bool(&[true]));
        assert_eq!(columns(&[scalar]), r#"{"outputs":true}"#);
        let empty = tensor("e", &[2, 0, 3], ElementsView::I32(&[]));
        assert_eq!(columns(&[empty]), r#"{"outputs":[[],[]]}"#);
    }

    #[test]
    fn an_output_without_rows_cannot_be_given_per_row() {
        let total = tensor("total", &[], ElementsView::F32(&[3.0]));
        assert_eq!(
            encode(Form::Rows(2), &[total], &[]).unwrap_err().to_string(),
            "output `total` has the shape [], which cannot be split into 2 rows; use `inputs` instead of `instances`"
        );
    }
}
