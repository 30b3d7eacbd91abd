//! One array as numpy writes it, read in parts: a line that says type and shape, and the elements.

use std::io::{self, Error, Read};

use half::f16;

use crate::domain::tensor::{DType, Elements, element_count};

/// An array that is being read.
pub(super) struct Array<R> {
    from: R,
    kind: Kind,
    pub(super) shape: Vec<usize>,
    /// The bytes of what is being read.
    buffer: Vec<u8>,
}

/// What its elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Numbers(DType),
    /// Texts of so many characters of four bytes.
    Texts(usize),
    /// Texts of so many bytes.
    Bytes(usize),
}

impl<R: Read> Array<R> {
    /// Reads what stands before the elements.
    pub(super) fn open(mut from: R) -> io::Result<Self> {
        let mut magic = [0; 8];
        from.read_exact(&mut magic)?;
        let mut length = [0; 4];
        match magic {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _] => from.read_exact(&mut length[..2])?,
            [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => from.read_exact(&mut length)?,
            _ => return Err(Error::other("it is no array of numpy")),
        }
        const LONGEST: u32 = 1 << 16;
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(Error::other("it is no array of numbers or texts"));
        }
        let mut header = vec![0; length as usize];
        from.read_exact(&mut header)?;
        let (kind, shape) = read_header(&String::from_utf8_lossy(&header)).map_err(Error::other)?;
        Ok(Self { from, kind, shape, buffer: Vec::new() })
    }

    /// The next so many elements.
    pub(super) fn next(&mut self, count: usize) -> io::Result<Elements> {
        let size = match self.kind {
            Kind::Numbers(dtype) => dtype.size().unwrap_or_default(),
            Kind::Texts(characters) => characters * size_of::<u32>(),
            Kind::Bytes(bytes) => bytes,
        };
        let too_many = || Error::other("it is larger than memory");
        let length = count.checked_mul(size).ok_or_else(too_many)?;
        // As far as it goes: what a header promises need not be there.
        self.buffer.clear();
        self.from.by_ref().take(length as u64).read_to_end(&mut self.buffer)?;
        match self.buffer.len() == length {
            true => elements(self.kind, &self.buffer, count),
            false => Err(Error::other("it ends too early")),
        }
    }
}

fn elements(kind: Kind, bytes: &[u8], count: usize) -> io::Result<Elements> {
    macro_rules! numbers {
        ($variant:ident, $type:ty) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
            Elements::$variant(chunks.iter().map(|it| <$type>::from_le_bytes(*it)).collect())
        }};
    }
    Ok(match kind {
        Kind::Numbers(DType::Bool) => Elements::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
        Kind::Numbers(DType::U8) => Elements::U8(bytes.to_vec()),
        Kind::Numbers(DType::U16) => numbers!(U16, u16),
        Kind::Numbers(DType::U32) => numbers!(U32, u32),
        Kind::Numbers(DType::U64) => numbers!(U64, u64),
        Kind::Numbers(DType::I8) => numbers!(I8, i8),
        Kind::Numbers(DType::I16) => numbers!(I16, i16),
        Kind::Numbers(DType::I32) => numbers!(I32, i32),
        Kind::Numbers(DType::I64) => numbers!(I64, i64),
        Kind::Numbers(DType::F16) => numbers!(F16, f16),
        Kind::Numbers(DType::BF16) => numbers!(BF16, half::bf16),
        Kind::Numbers(DType::F32) => numbers!(F32, f32),
        Kind::Numbers(DType::F64) => numbers!(F64, f64),
        Kind::Numbers(DType::String) | Kind::Texts(0) | Kind::Bytes(0) => {
            Elements::String(std::iter::repeat_n(String::new(), count).collect())
        }
        Kind::Texts(characters) => {
            let of = |chunk: &[u8]| {
                let (codes, _) = chunk.as_chunks::<4>();
                let codes: Vec<u32> = codes.iter().map(|code| u32::from_le_bytes(*code)).collect();
                let length = codes.iter().rposition(|code| *code != 0).map_or(0, |last| last + 1);
                codes[..length].iter().map(|code| char::from_u32(*code)).collect::<Option<String>>()
            };
            let texts: Option<Vec<String>> = bytes.chunks_exact(characters * 4).map(of).collect();
            Elements::String(texts.ok_or_else(|| Error::other("it has texts that are no unicode"))?)
        }
        Kind::Bytes(length) => {
            let of = |chunk: &[u8]| {
                let length = chunk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                String::from_utf8(chunk[..length].to_vec()).ok()
            };
            let texts: Option<Vec<String>> = bytes.chunks_exact(length).map(of).collect();
            Elements::String(texts.ok_or_else(|| Error::other("it has texts that are no UTF-8"))?)
        }
    })
}

/// Type and shape of `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
fn read_header(header: &str) -> Result<(Kind, Vec<usize>), String> {
    let broken = || "what it says of type and shape cannot be read".to_owned();
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':")).ok_or_else(broken)?;
        Ok::<_, String>(rest.trim_start())
    };
    let descr = after("descr")?;
    let descr = descr.strip_prefix('\'').and_then(|descr| descr.split_once('\''));
    let (descr, _) = descr.ok_or("it has fields; expected numbers or texts")?;
    if after("fortran_order")?.starts_with("True") {
        return Err(
            "its columns stand one after another; save `numpy.ascontiguousarray` of it".to_owned()
        );
    }
    let shape = after("shape")?.strip_prefix('(').and_then(|shape| shape.split_once(')'));
    let (shape, _) = shape.ok_or_else(broken)?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> =
        sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| broken())?;
    element_count(&shape).ok_or_else(broken)?;
    Ok((kind(descr)?, shape))
}

fn kind(descr: &str) -> Result<Kind, String> {
    let number = match descr {
        "|b1" => Some(DType::Bool),
        "|u1" => Some(DType::U8),
        "|i1" => Some(DType::I8),
        "<u2" => Some(DType::U16),
        "<u4" => Some(DType::U32),
        "<u8" => Some(DType::U64),
        "<i2" => Some(DType::I16),
        "<i4" => Some(DType::I32),
        "<i8" => Some(DType::I64),
        "<f2" => Some(DType::F16),
        "<f4" => Some(DType::F32),
        "<f8" => Some(DType::F64),
        _ => None,
    };
    let length = |prefix: &str| descr.strip_prefix(prefix)?.parse::<u32>().ok();
    match (number, length("<U"), length("|S")) {
        (Some(dtype), ..) => Ok(Kind::Numbers(dtype)),
        (_, Some(characters), _) => Ok(Kind::Texts(characters as usize)),
        (.., Some(bytes)) => Ok(Kind::Bytes(bytes as usize)),
        (None, None, None) if descr == "|O" => {
            Err("it has objects of Python; save texts with `astype(str)`, and numbers as such"
                .to_owned())
        }
        (None, None, None) => {
            Err(format!("it is of type `{descr}`; expected numbers, little-endian, or texts"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn array(header: &str, elements: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
    }

    fn of(descr: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 1), }}\n")
    }

    #[test]
    fn numbers_and_texts_are_read_in_parts() {
        let bytes = array(&of("<f4"), &[1.5f32.to_le_bytes(), 2f32.to_le_bytes()].concat());
        let mut read = Array::open(&bytes[..]).unwrap();
        assert_eq!(read.shape, [2, 1]);
        assert_eq!(read.next(1).unwrap(), Elements::F32(vec![1.5]));
        assert_eq!(read.next(1).unwrap(), Elements::F32(vec![2.0]));
        assert!(read.next(1).is_err());
        let texts: Vec<u8> =
            ['ü', 'x', 'a', '\0'].iter().flat_map(|c| u32::from(*c).to_le_bytes()).collect();
        let bytes = array(&of("<U2"), &texts);
        let texts = Array::open(&bytes[..]).unwrap().next(2).unwrap();
        assert_eq!(texts, Elements::String(vec!["üx".into(), "a".into()]));
        let bytes = array(&of("|S2"), b"a\0bc");
        let texts = Array::open(&bytes[..]).unwrap().next(2).unwrap();
        assert_eq!(texts, Elements::String(vec!["a".into(), "bc".into()]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let told = |header: &str| Array::open(&array(header, &[])[..]).err().unwrap().to_string();
        assert!(told(&of("|O")).contains("astype(str)"));
        assert!(told(&of(">f4")).contains("little-endian"));
        assert!(told(&of("<f4").replace("False", "True")).contains("ascontiguousarray"));
        assert!(told("{'descr': [('a', '<f4')], }").contains("fields"));
        assert!(told("{'descr': '<f4'}").contains("cannot be read"));
    }

    proptest! {
        #[test]
        fn whatever_the_header_is_nothing_breaks(header in "[{'descrfotanshape_:<U48,() }]{0,60}", dims in "[0-9, ]{0,30}") {
            let _ = Array::open(&array(&header, &[])[..]);
            let header = of("<U8").replace("2, 1", &dims);
            if let Ok(mut read) = Array::open(&array(&header, &[])[..]) {
                let _ = read.next(1);
            }
        }
    }
}
