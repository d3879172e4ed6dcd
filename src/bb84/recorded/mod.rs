//! What other programs and systems write: sifted bits in a column of a CSV file or in S-Fifteen qcrypto's type-3 files,
//! raw data of VeriQloud's Kiwi.
//!
//! Sifted bits are read as a [`BitBlock`], first bit first. Everything that does not fit the format is refused with the reason and
//! the place: a string that is shifted by one bit against the other side's is half wrong.

pub mod kiwi;
pub mod type3;

use std::io::BufRead;

use crate::bits::BitBlock;
use crate::columns::{Column, Columns, Unreadable};

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
