//! Tensors: what goes into a model and comes out of it.
//!
//! Elements are row-major (the last dimension varies fastest). The element types stand in one table at
//! the end of this paragraph's first macro call; everything that is the same for all of them is made
//! from that table, so that a further type is one line there.

use std::fmt;

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
        }

        /// The elements of a tensor, borrowed from wherever they lie.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum ElementsView<'a> { $($(#[$doc])* $variant(&'a [$element]),)* }

        impl ElementsView<'_> {
            /// The type of the elements.
            pub fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$variant,)* }
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

    /// The tensor, borrowed.
    pub fn view(&self) -> TensorView<'_> {
        TensorView { shape: &self.shape, elements: self.elements.view() }
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

/// One output of a model, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueView<'a> {
    /// A tensor.
    Tensor(TensorView<'a>),
    /// Scores by class name, a map per row.
    ClassScores(&'a ClassScores),
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
    fn a_shape_that_overflows_holds_nothing() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
        assert!(Tensor::new(vec![usize::MAX, 2], Elements::F32(vec![])).is_err());
    }
}
