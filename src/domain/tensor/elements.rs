//! The types that a tensor's elements can have: all that ONNX Runtime computes with on a CPU.
//!
//! They stand in one table at the end of this file's first macro; everything that is the same for all of them is made
//! from that table, or with [`with_elements`]. So a further type is one line in either.

use std::fmt;
use std::ops::Range;

use half::{bf16, f16};

/// Makes [`DType`], [`Elements`], [`ElementsView`] and [`Element`] from one table of element types.
macro_rules! element_types {
    ($($(#[$doc:meta])* $variant:ident($element:ty) = $name:literal, $kind:ident;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DType { $($(#[$doc])* $variant,)* }

        impl DType {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name that is shown to people: `f32`, `i64`, `string`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What elements of this type are.
            pub const fn kind(self) -> ElementKind {
                match self { $(Self::$variant => ElementKind::$kind,)* }
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
    Bool(bool) = "bool", Truth;
    /// 8-bit unsigned integers.
    U8(u8) = "u8", Integer;
    /// 16-bit unsigned integers.
    U16(u16) = "u16", Integer;
    /// 32-bit unsigned integers.
    U32(u32) = "u32", Integer;
    /// 64-bit unsigned integers.
    U64(u64) = "u64", Integer;
    /// 8-bit signed integers.
    I8(i8) = "i8", Integer;
    /// 16-bit signed integers.
    I16(i16) = "i16", Integer;
    /// 32-bit signed integers.
    I32(i32) = "i32", Integer;
    /// 64-bit signed integers.
    I64(i64) = "i64", Integer;
    /// IEEE 754 half precision.
    F16(f16) = "f16", Float;
    /// The upper half of single precision: its range, with less precision than half precision has.
    BF16(bf16) = "bf16", Float;
    /// IEEE 754 single precision.
    F32(f32) = "f32", Float;
    /// IEEE 754 double precision.
    F64(f64) = "f64", Float;
    /// UTF-8 text.
    String(String) = "string", Text;
}

/// Evaluates an expression with what a value of [`Elements`] or [`ElementsView`] holds, whatever its type is; or one
/// expression with numbers and truth values, and another with texts.
macro_rules! with_elements {
    ($kind:ident, $elements:expr, $all:ident => $call:expr) => {
        with_elements!($kind, $elements, $all => $call, $all => $call)
    };
    ($kind:ident, $elements:expr, $numbers:ident => $call:expr, $texts:ident => $other:expr) => {
        match $elements {
            $kind::Bool($numbers) => $call,
            $kind::U8($numbers) => $call,
            $kind::U16($numbers) => $call,
            $kind::U32($numbers) => $call,
            $kind::U64($numbers) => $call,
            $kind::I8($numbers) => $call,
            $kind::I16($numbers) => $call,
            $kind::I32($numbers) => $call,
            $kind::I64($numbers) => $call,
            $kind::F16($numbers) => $call,
            $kind::BF16($numbers) => $call,
            $kind::F32($numbers) => $call,
            $kind::F64($numbers) => $call,
            $kind::String($texts) => $other,
        }
    };
}
pub(crate) use with_elements;

/// What elements are, whatever their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementKind {
    /// True or false.
    Truth,
    /// Whole numbers.
    Integer,
    /// Numbers that may have a fraction, be infinite, or be none.
    Float,
    /// Texts.
    Text,
}

impl DType {
    /// The bytes of one element; none where elements differ in that.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Elements {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ElementsView<'_> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        with_elements!(ElementsView, self, elements => elements.len())
    }

    /// About how much memory they take.
    pub fn bytes(&self) -> usize {
        with_elements!(
            ElementsView,
            self,
            numbers => size_of_val(*numbers),
            texts => texts.iter().map(|text| size_of::<String>() + text.len()).sum()
        )
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of them is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        // All are looked at, whatever comes first: so the compiler can look at many at once.
        macro_rules! are_finite {
            ($elements:expr) => {
                !$elements.iter().fold(false, |any, it| any | !it.is_finite())
            };
        }
        match self {
            Self::F16(elements) => are_finite!(elements),
            Self::BF16(elements) => are_finite!(elements),
            Self::F32(elements) => are_finite!(elements),
            Self::F64(elements) => are_finite!(elements),
            Self::Bool(_)
            | Self::U8(_)
            | Self::U16(_)
            | Self::U32(_)
            | Self::U64(_)
            | Self::I8(_)
            | Self::I16(_)
            | Self::I32(_)
            | Self::I64(_)
            | Self::String(_) => true,
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
