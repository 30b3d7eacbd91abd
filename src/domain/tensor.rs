//! Tensors: what goes into a model and comes out of it.
//!
//! Elements are row-major (the last dimension varies fastest). The element types stand in one table at
//! the end of this paragraph's first macro call; everything that is the same for all of them is made
//! from that table, so that a further type is one line there.

use std::fmt;
use std::ops::Range;

/// Makes [`DType`], [`Elements`], [`ElementsView`] and [`Element`] from one table of element types.
macro_rules! element_types {
    ($($(#[$doc:meta])* $variant:ident($element:ty) = $name:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DType { $($(#[$doc])* $variant,)* }

        impl DType {
            /// The name that is shown to people: `f32`, `i64`, `string`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// An empty buffer of this type with room for `capacity` elements.
            pub fn buffer(self, capacity: usize) -> Elements {
                match self { $(Self::$variant => Elements::$variant(Vec::with_capacity(capacity)),)* }
            }

            /// `count` zeros: 0, `false` or the empty text.
            pub fn zeros(self, count: usize) -> Elements {
                match self { $(Self::$variant => Elements::$variant(vec![<$element>::default(); count]),)* }
            }
        }

        /// The elements of a tensor, owned.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Elements { $($(#[$doc])* $variant(Vec<$element>),)* }

        impl Elements {
            /// The type of the elements.
            pub fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$variant,)* }
            }

            /// How many elements there are.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(elements) => elements.len(),)* }
            }

            /// The elements, borrowed.
            pub fn view(&self) -> ElementsView<'_> {
                match self { $(Self::$variant(elements) => ElementsView::$variant(elements),)* }
            }

            /// Adds elements of the same type at the end. False, and nothing is added, when the type is another.
            pub fn extend(&mut self, more: ElementsView<'_>) -> bool {
                match (self, more) {
                    $((Self::$variant(elements), ElementsView::$variant(more)) => {
                        elements.extend_from_slice(more);
                        true
                    })*
                    _ => false,
                }
            }
        }

        /// The elements of a tensor, borrowed from wherever they lie.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum ElementsView<'a> { $($(#[$doc])* $variant(&'a [$element]),)* }

        impl<'a> ElementsView<'a> {
            /// The type of the elements.
            pub fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$variant,)* }
            }

            /// The elements of a range; none when it reaches beyond the end.
            pub fn slice(&self, range: Range<usize>) -> Option<ElementsView<'a>> {
                match self {
                    $(Self::$variant(elements) => elements.get(range).map(ElementsView::$variant),)*
                }
            }

            /// How many elements there are.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(elements) => elements.len(),)* }
            }
        }

        $(impl Element for $element {
            const DTYPE: DType = DType::$variant;

            fn into_elements(elements: Vec<Self>) -> Elements {
                Elements::$variant(elements)
            }
        })*
    };
}

element_types! {
    /// True or false.
    Bool(bool) = "bool";
    /// 32-bit signed integers.
    I32(i32) = "i32";
    /// 64-bit signed integers.
    I64(i64) = "i64";
    /// IEEE 754 single precision.
    F32(f32) = "f32";
    /// IEEE 754 double precision.
    F64(f64) = "f64";
    /// UTF-8 text.
    String(String) = "string";
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Elements {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ElementsView<'_> {
    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of them is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        // All are looked at, whatever comes first: so the compiler can look at many at once.
        match self {
            Self::F32(elements) => !elements.iter().fold(false, |any, it| any | !it.is_finite()),
            Self::F64(elements) => !elements.iter().fold(false, |any, it| any | !it.is_finite()),
            Self::Bool(_) | Self::I32(_) | Self::I64(_) | Self::String(_) => true,
        }
    }
}

/// A Rust type that is an element type of tensors.
pub trait Element: Sized {
    /// The element type that this Rust type stands for.
    const DTYPE: DType;

    /// Wraps a buffer without copying it.
    fn into_elements(elements: Vec<Self>) -> Elements;
}

/// A tensor: elements in row-major order and the sizes of its dimensions. A scalar has no dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    elements: Elements,
}

/// Elements and shape that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tensor of shape {shape:?} cannot hold {elements} elements")]
pub struct ShapeMismatch {
    /// The sizes of the dimensions.
    pub shape: Vec<usize>,
    /// The number of elements that came with it.
    pub elements: usize,
}

impl Tensor {
    /// Puts elements and shape together.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when the dimensions' product (also one that overflows) is not the number of elements.
    pub fn new(shape: Vec<usize>, elements: Elements) -> Result<Self, ShapeMismatch> {
        if element_count(&shape) == Some(elements.len()) {
            Ok(Self { shape, elements })
        } else {
            Err(ShapeMismatch { elements: elements.len(), shape })
        }
    }

    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.elements.dtype()
    }

    /// About how much memory the elements take.
    pub fn bytes(&self) -> usize {
        match &self.elements {
            Elements::Bool(elements) => elements.len(),
            Elements::I32(elements) => size_of_val(&elements[..]),
            Elements::I64(elements) => size_of_val(&elements[..]),
            Elements::F32(elements) => size_of_val(&elements[..]),
            Elements::F64(elements) => size_of_val(&elements[..]),
            Elements::String(texts) => {
                texts.iter().map(|text| size_of::<String>() + text.len()).sum()
            }
        }
    }

    /// The tensor, borrowed.
    pub fn view(&self) -> TensorView<'_> {
        TensorView { shape: &self.shape, elements: self.elements.view() }
    }

    /// The rows of several tensors, one after another, in a tensor of their own; none when there are no tensors or
    /// they differ in more than the number of rows.
    pub fn stack<'t>(tensors: impl IntoIterator<Item = &'t Self> + Clone) -> Option<Self> {
        let first = tensors.clone().into_iter().next()?;
        let (_, inner) = first.shape.split_first()?;
        let count = tensors.clone().into_iter().map(|tensor| tensor.elements.len()).sum();
        let (mut rows, mut elements) = (0usize, first.dtype().buffer(count));
        for tensor in tensors {
            let (more, others) = tensor.shape.split_first()?;
            if others != inner || !elements.extend(tensor.elements.view()) {
                return None;
            }
            rows = rows.checked_add(*more)?;
        }
        let shape = std::iter::once(rows).chain(inner.iter().copied()).collect();
        Self::new(shape, elements).ok()
    }
}

/// A borrowed tensor: an output in the library's memory, or a [`Tensor`] of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// The sizes of the dimensions.
    pub shape: &'a [usize],
    /// The elements, row-major; as many as the dimensions' product says.
    pub elements: ElementsView<'a>,
}

/// The scores of a classifier by class name, as scikit-learn's converters write them ("ZipMap": one map
/// per row). Kept as a matrix, with the names once.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// The class names, in the order of the columns.
    pub classes: Vec<String>,
    /// Row-major, `rows × classes`.
    pub scores: Vec<f32>,
    /// How many rows there are; also right when there are no classes.
    pub rows: usize,
}

impl ClassScores {
    /// The scores, borrowed.
    pub fn view(&self) -> ClassScoresView<'_> {
        ClassScoresView { classes: &self.classes, scores: &self.scores, rows: self.rows }
    }
}

/// Borrowed [`ClassScores`], or some of their rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScoresView<'a> {
    /// The class names, in the order of the columns.
    pub classes: &'a [String],
    /// Row-major, `rows × classes`.
    pub scores: &'a [f32],
    /// How many rows there are.
    pub rows: usize,
}

impl<'a> ClassScoresView<'a> {
    /// The scores of a range of rows; none when it reaches beyond the end.
    pub fn slice(&self, rows: Range<usize>) -> Option<ClassScoresView<'a>> {
        let columns = self.classes.len();
        let scores = self.scores.get(rows.start * columns..rows.end * columns)?;
        (rows.end <= self.rows).then_some(Self { classes: self.classes, scores, rows: rows.len() })
    }
}

/// One output of a model, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueView<'a> {
    /// A tensor.
    Tensor(TensorView<'a>),
    /// Scores by class name, a map per row.
    ClassScores(ClassScoresView<'a>),
}

impl ValueView<'_> {
    /// How many rows there are: the first dimension. A scalar has none.
    pub fn rows(&self) -> Option<usize> {
        match self {
            Self::Tensor(tensor) => tensor.shape.first().copied(),
            Self::ClassScores(scores) => Some(scores.rows),
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.elements.len(),
            Self::ClassScores(scores) => scores.scores.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The product of the dimensions, or `None` where it overflows.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    // A zero anywhere makes the tensor empty, however large its other dimensions are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_holds_exactly_what_its_shape_says() {
        assert!(Tensor::new(vec![2, 3], Elements::F32(vec![0.0; 6])).is_ok());
        assert!(Tensor::new(vec![], Elements::I64(vec![7])).is_ok());
        assert!(Tensor::new(vec![0, 4], Elements::Bool(vec![])).is_ok());
        let error = Tensor::new(vec![2, 3], Elements::F32(vec![0.0; 5])).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [2, 3] cannot hold 5 elements");
    }

    #[test]
    fn tensors_that_differ_only_in_rows_can_be_stacked() {
        let rows = |rows: usize, first: f32| {
            let elements = (0..rows * 2).map(|index| first + index as f32).collect();
            Tensor::new(vec![rows, 2], Elements::F32(elements)).unwrap()
        };
        let stacked = Tensor::stack([&rows(1, 0.0), &rows(2, 10.0)]).unwrap();
        let expected = Elements::F32(vec![0.0, 1.0, 10.0, 11.0, 12.0, 13.0]);
        assert_eq!(stacked, Tensor::new(vec![3, 2], expected).unwrap());
        let slice = stacked.elements().view().slice(2..6);
        assert_eq!(slice, Some(rows(2, 10.0).elements().view()));
        assert_eq!(stacked.elements().view().slice(4..7), None);

        let wider = Tensor::new(vec![1, 3], Elements::F32(vec![0.0; 3])).unwrap();
        let integers = Tensor::new(vec![1, 2], Elements::I64(vec![0; 2])).unwrap();
        let scalar = Tensor::new(vec![], Elements::F32(vec![0.0])).unwrap();
        for other in [wider, integers, scalar] {
            assert_eq!(Tensor::stack([&rows(1, 0.0), &other]), None);
        }
        assert_eq!(Tensor::stack([]), None);
    }

    #[test]
    fn a_shape_that_overflows_holds_nothing() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
        assert!(Tensor::new(vec![usize::MAX, 2], Elements::F32(vec![])).is_err());
    }
}
