//! What clients see of a model whose settings give other shapes than the model itself.
//!
//! A setting may narrow a size that the model leaves open, and it may have clients give a value in another form than the
//! model takes it: a scalar as a tensor of one element, say. The elements and their order stay what they are, so a
//! run costs nothing more.

use super::Signature;

/// A signature for clients, and how their shapes become those of the model and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// What clients are told, and held to.
    pub signature: Signature,
    /// For each input, where the model takes another shape than clients give.
    pub inputs: Vec<Option<Reshape>>,
    /// For each output, where clients get another shape than the model gives.
    pub outputs: Vec<Option<Reshape>>,
}

impl Presented {
    /// The model as it is.
    pub fn as_it_is(signature: Signature) -> Self {
        let inputs = vec![None; signature.inputs.len()];
        let outputs = vec![None; signature.outputs.len()];
        Self { signature, inputs, outputs }
    }
}

/// Two forms of the same elements: dimensions as clients have them and as the model has them, none for one of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    outside: Vec<Option<usize>>,
    inside: Vec<Option<usize>>,
}

impl Reshape {
    /// Both forms have as many dimensions of any size, and between these as many elements; else there is none, since
    /// it would not be clear what belongs where.
    pub fn new(outside: Vec<Option<usize>>, inside: Vec<Option<usize>>) -> Option<Self> {
        let sections = |dims: &[Option<usize>]| -> Option<Vec<usize>> {
            dims.split(Option::is_none).map(product).collect()
        };
        let are_alike = sections(&outside)? == sections(&inside)?;
        are_alike.then_some(Self { outside, inside })
    }

    /// The shape for the model of what a client gave; none when it is another than it says.
    pub fn inward(&self, shape: &[usize]) -> Option<Vec<usize>> {
        moved(shape, &self.outside, &self.inside)
    }

    /// The shape for clients of what the model gave; none when it is another than it says.
    pub fn outward(&self, shape: &[usize]) -> Option<Vec<usize>> {
        moved(shape, &self.inside, &self.outside)
    }
}

/// How many elements there are; none where that is no number.
fn product(dims: &[Option<usize>]) -> Option<usize> {
    dims.iter().flatten().try_fold(1usize, |product, size| product.checked_mul(*size))
}

/// The open dimensions take the sizes that they have in `shape`, in their order.
fn moved(shape: &[usize], from: &[Option<usize>], to: &[Option<usize>]) -> Option<Vec<usize>> {
    let fits = |(size, dim): (&usize, &Option<usize>)| dim.is_none_or(|dim| dim == *size);
    if shape.len() != from.len() || !shape.iter().zip(from).all(fits) {
        return None;
    }
    let mut open = shape.iter().zip(from).filter(|(_, dim)| dim.is_none()).map(|(size, _)| *size);
    to.iter().map(|dim| dim.or_else(|| open.next())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn reshape(outside: &[i64], inside: &[i64]) -> Option<Reshape> {
        let dims = |dims: &[i64]| dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        Reshape::new(dims(outside), dims(inside))
    }

    #[test]
    fn one_element_can_be_a_scalar() {
        let scalar = reshape(&[1], &[]).unwrap();
        assert_eq!(scalar.inward(&[1]), Some(vec![]));
        assert_eq!(scalar.outward(&[]), Some(vec![1]));
        assert_eq!(scalar.inward(&[2]), None);
        let of_rows = reshape(&[-1, 1], &[-1]).unwrap();
        assert_eq!(of_rows.inward(&[7, 1]), Some(vec![7]));
        assert_eq!(of_rows.outward(&[7]), Some(vec![7, 1]));
        assert_eq!(of_rows.outward(&[7, 1]), None);
    }

    #[test]
    fn sizes_may_be_put_together_and_taken_apart_between_open_ones() {
        let image = reshape(&[-1, 3, 4, -1], &[-1, 12, -1]).unwrap();
        assert_eq!(image.inward(&[2, 3, 4, 5]), Some(vec![2, 12, 5]));
        for (outside, inside) in [
            (&[2][..], &[3][..]),
            (&[-1], &[-1, -1]),
            (&[2, -1, 3], &[3, -1, 2]),
            (&[-1, 2], &[2]),
            (&[i64::MAX, i64::MAX], &[1]),
        ] {
            assert_eq!(reshape(outside, inside), None, "{outside:?} {inside:?}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_as_it_was(
            sections in vec((1..4_usize, 1..4_usize), 1..4),
            open in vec(0..9_usize, 3),
        ) {
            let flat = sections.iter().map(|(a, b)| vec![Some(a * b)]).collect::<Vec<_>>();
            let apart = sections.iter().map(|(a, b)| vec![Some(*a), Some(*b)]).collect::<Vec<_>>();
            let (outside, inside) = (apart.join(&None), flat.join(&None));
            let mut open = open.into_iter();
            let shape: Vec<usize> =
                outside.iter().map(|dim| dim.or_else(|| open.next()).unwrap()).collect();
            let reshape = Reshape::new(outside, inside).unwrap();
            let inward = reshape.inward(&shape).unwrap();
            prop_assert_eq!(inward.iter().product::<usize>(), shape.iter().product::<usize>());
            prop_assert_eq!(reshape.outward(&inward), Some(shape));
        }
    }
}
