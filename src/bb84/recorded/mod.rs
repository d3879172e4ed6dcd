//! What other programs and systems write: sifted bits in a column of a CSV file, in NumPy's `.npy` or in S-Fifteen
//! qcrypto's type-3 files, raw data of VeriQloud's Kiwi.
//!
//! Sifted bits are read as a [`BitBlock`], first bit first. Everything that does not fit the format is refused with the reason and
//! the place: a string that is shifted by one bit against the other side's is half wrong.

pub mod kiwi;
pub mod type3;

use std::io::BufRead;

use crate::bits::BitBlock;
use crate::columns::{Column, Columns, Unreadable};
use crate::npy::{self, Header};

/// Bits that are read at once, at most: 512 MiB of them.
pub const MOST_BITS: u64 = 1 << 32;

/// Bits of a column of a CSV file: `0` or `1` a line (see [`columns`](crate::columns)).
///
/// # Errors
/// [`Unreadable`] with the line, for more than [`MOST_BITS`] too.
pub fn csv(input: impl BufRead, column: Option<Column>) -> Result<BitBlock, Unreadable> {
    let mut columns = Columns::open(input, column.map(|column| [column]), |field| bit(field).is_some())?;
    let mut bits = BitBlock::default();
    while let Some([bit]) = columns.next_row("a bit, 0 or 1", bit)? {
        if bits.len() as u64 == MOST_BITS {
            return Err(Unreadable::TooMany { line: columns.line(), most: MOST_BITS });
        }
        bits.push(bit);
    }
    Ok(bits)
}

/// Bits of an `.npy` file: one-dimensional, of type `u1`, `i1` or `b1`, a bit an element.
///
/// # Errors
/// [`npy::Unreadable`], for more than [`MOST_BITS`] too.
pub fn npy(file: &[u8]) -> Result<BitBlock, npy::Unreadable> {
    let missing = |reason| npy::Unreadable::Header { reason };
    let (header, elements) = npy::split(file)?;
    let Header { descr, fortran_order, shape } = Header::parse(header)?;
    // Of one dimension the order says nothing, but NumPy writes it.
    fortran_order.ok_or(missing("`fortran_order` is missing"))?;
    let descr = descr.ok_or(missing("`descr` is missing"))?;
    if !matches!(descr.as_str(), "|u1" | "|i1" | "|b1") {
        return Err(npy::Unreadable::BitType { descr });
    }
    let shape = shape.ok_or(missing("`shape` is missing"))?;
    let [expected] = shape[..] else { return Err(npy::Unreadable::BitShape { shape }) };
    if expected > MOST_BITS {
        return Err(npy::Unreadable::TooMany { bits: expected, most: MOST_BITS });
    }
    let found = elements.len() as u64;
    if expected != found {
        return Err(npy::Unreadable::Length { expected, found });
    }
    if let Some(place) = elements.iter().position(|element| *element > 1) {
        return Err(npy::Unreadable::Bit { place, found: elements[place] });
    }
    let mut bits = BitBlock::zeros(elements.len());
    bits.edit(|words| {
        for (word, elements) in words.iter_mut().zip(elements.chunks(64)) {
            *word = elements.iter().rev().fold(0, |word, element| word << 1 | u64::from(*element));
        }
    });
    Ok(bits)
}

/// Whether a file begins as an `.npy` file does.
#[must_use]
pub fn is_npy(file: &[u8]) -> bool {
    file.starts_with(npy::MAGIC)
}

fn bit(field: &str) -> Option<bool> {
    match field {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_becomes_bits() {
        let file = |descr: &str, shape: &str, elements: &[u8]| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
            let length = u16::try_from(header.len()).expect("short").to_le_bytes();
            [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
        };
        let bools: Vec<bool> = (0..131).map(|i| i % 3 == 0).collect();
        let elements: Vec<u8> = bools.iter().map(|bit| u8::from(*bit)).collect();
        for descr in ["|u1", "|i1", "|b1"] {
            let bits = npy(&file(descr, "(131,)", &elements)).expect(descr);
            assert_eq!(bits, BitBlock::from_bools(&bools), "{descr}: in the array's order");
        }
        let error = |descr, shape, elements: &[u8]| npy(&file(descr, shape, elements)).expect_err("wrong");
        let place = npy::Unreadable::Bit { place: 1, found: 7 };
        assert_eq!(error("|u1", "(2,)", &[0, 7]), place, "packed bits are no bits");
        let length = npy::Unreadable::Length { expected: 3, found: 2 };
        assert_eq!(error("|u1", "(3,)", &[0, 1]), length, "cut");
        let shape = npy::Unreadable::BitShape { shape: vec![1, 2] };
        assert_eq!(error("|u1", "(1, 2)", &[0, 1]), shape, "a matrix");
        let kind = npy::Unreadable::BitType { descr: "<i8".into() };
        assert_eq!(error("<i8", "(1,)", &[0; 8]), kind, "integers of eight bytes");
        let many = error("|u1", "(4294967297,)", &[0]);
        assert!(matches!(many, npy::Unreadable::TooMany { .. }), "more than are read: {many}");
    }

    #[test]
    fn a_column_becomes_bits() {
        let bits = csv("bit\n1\n0\n1\n1\n".as_bytes(), None).expect("a column");
        assert_eq!(bits, BitBlock::from_bools(&[true, false, true, true]), "in the file's order");
        let named = Some(Column::from("alice"));
        let bits = csv("alice,bob\n0,1\n1,1\n".as_bytes(), named).expect("two columns");
        assert_eq!(bits, BitBlock::from_bools(&[false, true]), "the named one");
        for (text, place) in [("1\n2\n", "line 2"), ("bit\n1\n\n1.0\n", "line 4"), ("1\n1 0\n", "line 2")] {
            let told = csv(text.as_bytes(), None).expect_err(text).to_string();
            assert!(told.contains(place) && told.contains("0 or 1"), "{text:?}: {told}");
        }
    }
}
