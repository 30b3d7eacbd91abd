//! One tensor: whether its data is as much as its shape and its type say.

use super::error::Stop;
use super::external::{Beside, External, ExternalFault};
use super::schema::tensor as field;

/// A tensor, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Tensor {
    pub(super) shape: Shape,
    pub(super) data_type: u64,
    /// The length of the data as it is in memory.
    pub(super) raw: Option<u64>,
    /// All its texts together.
    pub(super) text_bytes: u64,
    /// The kinds of data that are not raw, by the number of the field.
    counted: Vec<(u32, Count)>,
    pub(super) external: Option<External>,
    pub(super) location: u64,
}

/// The dimensions, as much of them as is needed.
#[derive(Debug)]
pub(super) struct Shape {
    dims: usize,
    /// The product of those that are not zero; none when no number holds it.
    product: Option<u64>,
    has_zero: bool,
    negative: Option<i64>,
}

/// How many values there are. Packed numbers take between 1 and 10 bytes, and are not read to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// What a tensor takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    /// Bytes in memory, of data that is in the model's file.
    pub(super) inside: u64,
    /// Bytes in files beside it.
    pub(super) outside: u64,
    /// The bits of one element; none for texts.
    pub(super) bits: Option<u64>,
}

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TensorFault {
    /// Newer than this server, or nonsense.
    #[error("its element type has the number {0}, which this server does not know")]
    Type(u64),
    /// Some readers would take it for another one.
    #[error("`data_location` is {0}, where ONNX knows 0 (in the model) and 1 (in another file)")]
    Where(u64),
    /// There is no such shape.
    #[error("its shape has the dimension {0}")]
    Negative(i64),
    /// Nor has any other tensor.
    #[error("its shape has more than {0} dimensions")]
    TooManyDims(usize),
    /// No memory has so many bytes.
    #[error("its shape stands for more bytes than a number can count")]
    Overflow,
    /// The shape lies, or the data does.
    #[error("its shape and type make {expected} bytes, and its data has {found}")]
    Bytes { expected: u64, found: u64 },
    /// The same, for data in other forms.
    #[error("its shape makes {expected} elements, and its data has {}", between(*.least, *.most))]
    Elements { expected: u64, least: u64, most: u64 },
    /// The data is not where readers look for it.
    #[error("its elements are {element}, and data of that type is not kept in `{field}`")]
    Field { element: &'static str, field: &'static str },
    /// It is unclear which one counts.
    #[error("its data is there in two forms")]
    TwoForms,
    /// A part is missing.
    #[error("a sparse tensor has `values` and `indices`, and one of them is missing")]
    Sparse,
    /// ONNX Runtime writes the zeros out, too.
    #[error("with its zeros it has more than 2 GiB")]
    Dense,
}

fn between(least: u64, most: u64) -> String {
    if least == most { least.to_string() } else { format!("between {least} and {most}") }
}

/// A type of elements.
struct Element {
    name: &'static str,
    /// None: texts.
    bits: Option<u64>,
    /// Where data is that is not raw.
    field: u32,
    /// How many elements a value there stands for, when it is not one; a complex number takes two values.
    packing: Packing,
}

enum Packing {
    One,
    /// Elements of less than a byte may share a value.
    Shared(u64),
    /// Real and imaginary part.
    Two,
}

impl Element {
    const fn new(name: &'static str, bits: u64, field: u32) -> Self {
        Self { name, bits: Some(bits), field, packing: Packing::One }
    }

    const fn shared(name: &'static str, bits: u64) -> Self {
        Self {
            name,
            bits: Some(bits),
            field: field::INT32_DATA,
            packing: Packing::Shared(8 / bits),
        }
    }

    const fn complex(name: &'static str, bits: u64, field: u32) -> Self {
        Self { name, bits: Some(bits), field, packing: Packing::Two }
    }

    fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::new("f32", 32, field::FLOAT_DATA),
            2 => Self::new("u8", 8, field::INT32_DATA),
            3 => Self::new("i8", 8, field::INT32_DATA),
            4 => Self::new("u16", 16, field::INT32_DATA),
            5 => Self::new("i16", 16, field::INT32_DATA),
            6 => Self::new("i32", 32, field::INT32_DATA),
            7 => Self::new("i64", 64, field::INT64_DATA),
            8 => Self { bits: None, ..Self::new("texts", 0, field::STRING_DATA) },
            9 => Self::new("bool", 8, field::INT32_DATA),
            10 => Self::new("f16", 16, field::INT32_DATA),
            11 => Self::new("f64", 64, field::DOUBLE_DATA),
            12 => Self::new("u32", 32, field::UINT64_DATA),
            13 => Self::new("u64", 64, field::UINT64_DATA),
            14 => Self::complex("complex64", 64, field::FLOAT_DATA),
            15 => Self::complex("complex128", 128, field::DOUBLE_DATA),
            16 => Self::new("bf16", 16, field::INT32_DATA),
            17..=20 => Self::new("f8", 8, field::INT32_DATA),
            21 => Self::shared("u4", 4),
            22 => Self::shared("i4", 4),
            23 => Self::shared("f4", 4),
            24 => Self::new("f8", 8, field::INT32_DATA),
            25 => Self::shared("u2", 2),
            26 => Self::shared("i2", 2),
            _ => return None,
        })
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self { dims: 0, product: Some(1), has_zero: false, negative: None }
    }
}

impl Shape {
    /// Takes a dimension. What is wrong with it is said in the end, when the tensor's name is known.
    pub(super) fn push(&mut self, dim: u64) {
        self.dims += 1;
        // A negative number has all its 64 bits on the wire.
        let signed = dim as i64;
        if signed < 0 {
            self.negative = Some(signed);
        } else if dim == 0 {
            self.has_zero = true;
        } else {
            self.product = self.product.and_then(|product| product.checked_mul(dim));
        }
    }

    /// How many elements there are, and how many bytes they take.
    pub(super) fn size(&self, bits: u64, most_dims: usize) -> Result<(u64, u64), TensorFault> {
        if self.dims > most_dims {
            return Err(TensorFault::TooManyDims(most_dims));
        }
        if let Some(negative) = self.negative {
            return Err(TensorFault::Negative(negative));
        }
        let elements = self.product.ok_or(TensorFault::Overflow)?;
        let all_bits = u128::from(elements) * u128::from(bits);
        // ONNX Runtime may count with a sign.
        let bytes = i64::try_from(all_bits.div_ceil(8)).map_err(|_| TensorFault::Overflow)?;
        Ok(if self.has_zero { (0, 0) } else { (elements, bytes as u64) })
    }
}

impl Count {
    pub(super) fn exactly(count: u64) -> Self {
        Self { least: count, most: count }
    }

    /// Of so many bytes of numbers, one behind the other.
    pub(super) fn packed(bytes: u64) -> Self {
        Self { least: bytes.div_ceil(10), most: bytes }
    }
}

impl Tensor {
    /// Takes some values of a field that is not raw data.
    pub(super) fn add(&mut self, field: u32, count: Count) {
        if count.most == 0 {
            return;
        }
        match self.counted.iter_mut().find(|(known, _)| *known == field) {
            Some((_, sum)) => {
                sum.least += count.least;
                sum.most += count.most;
            }
            None => self.counted.push((field, count)),
        }
    }

    /// Says whether the data is there and as long as it should be.
    pub(super) fn check(self, beside: &mut Beside, most_dims: usize) -> Result<Weights, Stop> {
        let is_external = match self.location {
            0 => false,
            1 => true,
            other => return Err(TensorFault::Where(other).into()),
        };
        let is_inside = self.raw.is_some_and(|bytes| bytes > 0) || !self.counted.is_empty();
        if self.data_type == 0 && !is_external && self.external.is_none() && !is_inside {
            return Ok(Weights::default()); // an attribute that was left empty
        }
        let element = Element::of(self.data_type).ok_or(TensorFault::Type(self.data_type))?;
        let (elements, bytes) = self.shape.size(element.bits.unwrap_or(8), most_dims)?;
        let bits = element.bits;
        match (self.external, is_external) {
            (None, false) => {}
            (None, true) => return Err(ExternalFault::NoLocation.into()),
            (Some(_), false) => return Err(ExternalFault::Undecided.into()),
            (Some(_), true) if bits.is_none() => return Err(ExternalFault::Texts.into()),
            (Some(_), true) if is_inside => return Err(ExternalFault::AlsoInside.into()),
            (Some(external), true) => {
                external.check(bytes, beside)?;
                return Ok(Weights { inside: 0, outside: bytes, bits });
            }
        }
        match (self.raw, &self.counted[..]) {
            (Some(found), []) if bits.is_some() => {
                if found != bytes {
                    return Err(TensorFault::Bytes { expected: bytes, found }.into());
                }
            }
            (Some(_), []) => {
                return Err(TensorFault::Field { element: element.name, field: "raw_data" }.into());
            }
            (None, []) => element.check_count(elements, Count::default())?,
            (None, [(field, found)]) if *field == element.field => {
                element.check_count(elements, *found)?;
            }
            (None, [(field, _)]) => {
                let field = field::MESSAGE.rule(*field).map_or("another field", |rule| rule.name);
                return Err(TensorFault::Field { element: element.name, field }.into());
            }
            (Some(_) | None, _) => return Err(TensorFault::TwoForms.into()),
        }
        let inside = if bits.is_some() { bytes } else { self.text_bytes };
        Ok(Weights { inside, outside: 0, bits })
    }
}

impl Element {
    fn check_count(&self, expected: u64, found: Count) -> Result<(), TensorFault> {
        let Count { least, most } = match self.packing {
            Packing::One => found,
            Packing::Shared(by) => Count { most: found.most.saturating_mul(by), ..found },
            Packing::Two => Count { least: found.least.div_ceil(2), most: found.most / 2 },
        };
        if expected < least || expected > most {
            return Err(TensorFault::Elements { expected, least, most });
        }
        Ok(())
    }
}
