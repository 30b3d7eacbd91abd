//! Tensors: what goes into a model and comes out of it.
//!
//! Elements are row-major (the last dimension varies fastest). Their types are in `elements`, what scikit-learn's
//! classifiers give instead of a tensor in `class_scores`, and numbers that are not copied in `lent`.

mod class_scores;
mod elements;
mod lent;

pub use class_scores::{ClassScores, ClassScoresView};
pub(crate) use elements::with_elements;
pub use elements::{DType, Element, ElementKind, Elements, ElementsView};

use bytes::Bytes;

use self::lent::Lent;

/// A tensor: elements in row-major order and the sizes of its dimensions. A scalar has no dimensions.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Vec<usize>,
    storage: Storage,
}

/// Where the elements are.
#[derive(Clone, Debug)]
enum Storage {
    Own(Elements),
    Lent(Lent),
}

impl PartialEq for Tensor {
    /// Wherever the elements are.
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
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
            Ok(Self { shape, storage: Storage::Own(elements) })
        } else {
            Err(ShapeMismatch { elements: elements.len(), shape })
        }
    }

    /// Numbers of this type that are in somebody else's memory already, in the machine's byte order. They are not
    /// copied, and the memory is kept for as long as the tensor.
    ///
    /// None where they are not as many as the dimensions say, do not lie as numbers of that type have to, or are no
    /// numbers.
    pub fn lent(shape: Vec<usize>, dtype: DType, bytes: Bytes) -> Option<Self> {
        let lent = Lent::new(dtype, bytes)?;
        let is_whole = element_count(&shape) == Some(lent.view().len());
        is_whole.then_some(Self { shape, storage: Storage::Lent(lent) })
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when they do not fit it.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, ShapeMismatch> {
        let elements = self.view().elements.len();
        if element_count(&shape) == Some(elements) {
            Ok(Self { shape, ..self })
        } else {
            Err(ShapeMismatch { shape, elements })
        }
    }

    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The buffer, where the tensor has one of its own.
    #[cfg(test)]
    pub(crate) fn own(&self) -> Option<&Elements> {
        match &self.storage {
            Storage::Own(elements) => Some(elements),
            Storage::Lent(_) => None,
        }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.view().elements.dtype()
    }

    /// About how much memory the elements take.
    pub fn bytes(&self) -> usize {
        self.view().elements.bytes()
    }

    /// The tensor, borrowed.
    pub fn view(&self) -> TensorView<'_> {
        let elements = match &self.storage {
            Storage::Own(elements) => elements.view(),
            Storage::Lent(lent) => lent.view(),
        };
        TensorView { shape: &self.shape, elements }
    }

    /// The rows of several tensors, one after another, in a tensor of their own; none when there are no tensors or
    /// they differ in more than the number of rows.
    pub fn stack<'t>(tensors: impl IntoIterator<Item = &'t Self> + Clone) -> Option<Self> {
        let first = tensors.clone().into_iter().next()?;
        let (_, inner) = first.shape.split_first()?;
        let count = tensors.clone().into_iter().map(|tensor| tensor.view().elements.len()).sum();
        let (mut rows, mut elements) = (0usize, first.dtype().buffer(count));
        for tensor in tensors {
            let (more, others) = tensor.shape.split_first()?;
            if others != inner || !elements.extend(tensor.view().elements) {
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

/// One output of a model, as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// Scores by class name, a map per row.
    ClassScores(ClassScores),
}

impl Value {
    /// The same, borrowed.
    pub fn view(&self) -> ValueView<'_> {
        match self {
            Self::Tensor(tensor) => ValueView::Tensor(tensor.view()),
            Self::ClassScores(scores) => ValueView::ClassScores(scores.view()),
        }
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
        let slice = stacked.view().elements.slice(2..6);
        assert_eq!(slice, Some(rows(2, 10.0).view().elements));
        assert_eq!(stacked.view().elements.slice(4..7), None);

        let wider = Tensor::new(vec![1, 3], Elements::F32(vec![0.0; 3])).unwrap();
        let integers = Tensor::new(vec![1, 2], Elements::I64(vec![0; 2])).unwrap();
        let scalar = Tensor::new(vec![], Elements::F32(vec![0.0])).unwrap();
        for other in [wider, integers, scalar] {
            assert_eq!(Tensor::stack([&rows(1, 0.0), &other]), None);
        }
        assert_eq!(Tensor::stack([]), None);
    }

    #[test]
    fn numbers_that_are_lent_are_those_that_were_copied() {
        let bytes = Bytes::from_owner([[1_u8, 0], [0, 1], [2, 0], [0, 0]].concat());
        let copied = Tensor::new(vec![2, 2], Elements::U16(vec![1, 256, 2, 0])).unwrap();
        let lent = Tensor::lent(vec![2, 2], DType::U16, bytes.clone()).unwrap();
        assert_eq!((&lent, lent.bytes()), (&copied, 8));
        assert_eq!(Tensor::stack([&lent, &copied]).unwrap().shape(), [4, 2]);
        assert_eq!(Tensor::lent(vec![3], DType::U16, bytes), None);
    }

    #[test]
    fn a_shape_that_overflows_holds_nothing() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
        assert!(Tensor::new(vec![usize::MAX, 2], Elements::F32(vec![])).is_err());
    }
}
