//! Quadratures as other programs write them: NumPy's `.npy`, two columns of a CSV file, or plain numbers one after the
//! other.
//!
//! A symbol is two real numbers x, p, or one complex number. Of `.npy` (format 1 to 3) these are read, of
//! either byte order: `f4` and `f8` of shape (2n,) with x and p in turn or (n, 2), `c8` and `c16` of shape
//! (n,), in C order. Everything else is refused with the reason: a header that is almost right is how data
//! of another meaning get in.
//!
//! `.npy`: magic `\x93NUMPY`, version 2 bytes, length of the header (2 bytes, from version 2 on 4, little-endian),
//! the header, a Python dictionary with the keys `descr`, `fortran_order`, `shape`, then the numbers.

use std::io::BufRead;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::columns::{self, Column, Columns};
use crate::npy::{Header, MAGIC, split};

pub use crate::npy::Unreadable;

/// Symbols of a CSV file that are read at once, at most: 2 GiB of them.
pub const MOST_CSV_SYMBOLS: u64 = 1 << 28;
/// Bytes of a symbol in single precision.
const SYMBOL_BYTES: usize = 8;

/// The columns x and p of a CSV file (see [`columns`]) as plain numbers x, p, x, p, … of single precision, for
/// [`Recorded::plain`]; the two columns that there are if none are named.
///
/// # Errors
/// [`columns::Unreadable`] with the line, for more than [`MOST_CSV_SYMBOLS`] too.
pub fn csv(
    input: impl BufRead,
    wanted: Option<[Column; 2]>,
) -> Result<Zeroizing<Vec<u8>>, columns::Unreadable> {
    let mut columns = Columns::open(input, wanted, |field| number(field).is_some())?;
    let mut numbers = Zeroizing::new(Vec::new());
    while let Some([x, p]) = columns.next_row("a number", number)? {
        if (numbers.len() / SYMBOL_BYTES) as u64 == MOST_CSV_SYMBOLS {
            return Err(columns::Unreadable::TooMany { line: columns.line(), most: MOST_CSV_SYMBOLS });
        }
        grow(&mut numbers);
        numbers.extend_from_slice(&x.to_le_bytes());
        numbers.extend_from_slice(&p.to_le_bytes());
    }
    Ok(numbers)
}

fn number(field: &str) -> Option<f32> {
    field.parse().ok()
}

/// Makes room for a symbol; what moves is wiped where it was.
fn grow(numbers: &mut Zeroizing<Vec<u8>>) {
    if numbers.capacity() - numbers.len() < SYMBOL_BYTES {
        let mut larger = Zeroizing::new(Vec::with_capacity((2 * numbers.len()).max(1 << 16)));
        larger.extend_from_slice(numbers);
        *numbers = larger;
    }
}

/// How a real number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl Number {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endian {
    Little,
    Big,
}

/// The quadratures x, p, x, p, … of a recording, read where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    numbers: &'a [u8],
    number: Number,
    endian: Endian,
}

impl<'a> Recorded<'a> {
    /// The quadratures of an `.npy` file.
    ///
    /// # Errors
    /// [`Unreadable`] where it is none, or holds something else.
    pub fn npy(file: &'a [u8]) -> Result<Self, Unreadable> {
        let (header, numbers) = split(file)?;
        let header = Header::parse(header)?;
        let (number, endian, complex) = header.number()?;
        let quadratures = header.quadratures(complex)?;
        let expected = quadratures.checked_mul(number.bytes() as u64);
        let found = numbers.len() as u64;
        if expected != Some(found) {
            return Err(Unreadable::Length { expected: expected.unwrap_or(u64::MAX), found });
        }
        Ok(Self { numbers, number, endian })
    }

    /// Whether a file begins as an `.npy` file does.
    #[must_use]
    pub fn is_npy(file: &[u8]) -> bool {
        file.starts_with(MAGIC)
    }

    /// Plain little-endian numbers x, p, x, p, …
    ///
    /// # Errors
    /// [`Unreadable::Length`] where the last symbol is cut.
    pub fn plain(file: &'a [u8], number: Number) -> Result<Self, Unreadable> {
        let (found, symbol) = (file.len() as u64, 2 * number.bytes() as u64);
        if !found.is_multiple_of(symbol) {
            return Err(Unreadable::Length { expected: found.next_multiple_of(symbol), found });
        }
        Ok(Self { numbers: file, number, endian: Endian::Little })
    }

    /// Symbols in the recording.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.quadratures() / 2
    }

    /// Real numbers in the recording, two a symbol.
    #[must_use]
    pub fn quadratures(&self) -> usize {
        self.numbers.len() / self.number.bytes()
    }

    /// The quadratures of a range, in single precision. What is not a number stays so, what is too large
    /// becomes infinite: the reader judges no value.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn read(&self, range: Range<usize>) -> impl Iterator<Item = f32> + use<'a> {
        let (endian, size) = (self.endian, self.number.bytes());
        let bytes = &self.numbers[range.start * size..range.end * size];
        let (singles, doubles) = match self.number {
            Number::F32 => (bytes.as_chunks::<4>().0, &[][..]),
            Number::F64 => (&[][..], bytes.as_chunks::<8>().0),
        };
        let single = move |bytes: &[u8; 4]| match endian {
            Endian::Little => f32::from_le_bytes(*bytes),
            Endian::Big => f32::from_be_bytes(*bytes),
        };
        #[expect(clippy::cast_possible_truncation, reason = "quadratures are single precision from here on")]
        let double = move |bytes: &[u8; 8]| match endian {
            Endian::Little => f64::from_le_bytes(*bytes) as f32,
            Endian::Big => f64::from_be_bytes(*bytes) as f32,
        };
        singles.iter().map(single).chain(doubles.iter().map(double))
    }
}

/// What a header says of the numbers.
impl Header {
    /// Number, byte order, and whether two of them are one complex number.
    fn number(&self) -> Result<(Number, Endian, bool), Unreadable> {
        let descr = self.descr.as_deref().ok_or(Unreadable::Header { reason: "`descr` is missing" })?;
        let other = || Unreadable::Type { descr: descr.to_owned() };
        let (endian, number) = match (descr.strip_prefix('<'), descr.strip_prefix('>')) {
            (Some(number), _) => (Endian::Little, number),
            (_, Some(number)) => (Endian::Big, number),
            _ => return Err(other()),
        };
        match number {
            "f4" => Ok((Number::F32, endian, false)),
            "f8" => Ok((Number::F64, endian, false)),
            "c8" => Ok((Number::F32, endian, true)),
            "c16" => Ok((Number::F64, endian, true)),
            _ => Err(other()),
        }
    }

    /// Real numbers in the array.
    fn quadratures(&self, complex: bool) -> Result<u64, Unreadable> {
        let missing = |reason| Unreadable::Header { reason };
        if self.fortran_order.ok_or(missing("`fortran_order` is missing"))? {
            return Err(Unreadable::FortranOrder);
        }
        let shape = self.shape.as_deref().ok_or(missing("`shape` is missing"))?;
        let other =
            || Unreadable::Shape { shape: shape.to_vec(), kind: if complex { "complex" } else { "real" } };
        match (shape, complex) {
            ([symbols], true) | ([symbols, 2], false) => symbols.checked_mul(2).ok_or_else(other),
            ([quadratures], false) if quadratures.is_multiple_of(2) => Ok(*quadratures),
            _ => Err(other()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npy(dictionary: &str, numbers: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        let header = format!("{dictionary:<53}\n");
        file.extend([1, 0]);
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(numbers);
        file
    }

    fn dictionary(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    }

    #[test]
    fn every_form_that_numpy_writes_is_read_alike() {
        let values = [1.5f32, -2.0, 0.25, 1e3];
        let bytes =
            |f: &dyn Fn(f32) -> Vec<u8>| values.iter().flat_map(|value| f(*value)).collect::<Vec<_>>();
        let (little, big) = (bytes(&|v| v.to_le_bytes().into()), bytes(&|v| v.to_be_bytes().into()));
        let double = bytes(&|v| f64::from(v).to_le_bytes().into());
        let double_big = bytes(&|v| f64::from(v).to_be_bytes().into());
        for (descr, shape, numbers) in [
            ("<f4", "(4,)", &little),
            ("<f4", "(2, 2)", &little),
            (">f4", "(2, 2)", &big),
            ("<f8", "(4,)", &double),
            (">f8", "(2, 2)", &double_big),
            ("<c8", "(2,)", &little),
            ("<c16", "(2,)", &double),
            (">c16", "(2,)", &double_big),
        ] {
            let file = npy(&dictionary(descr, shape), numbers);
            let read = Recorded::npy(&file).unwrap_or_else(|error| panic!("{descr} {shape}: {error}"));
            assert_eq!(read.symbols(), 2, "{descr} {shape}");
            assert_eq!(read.read(0..4).collect::<Vec<_>>(), values, "{descr} {shape}");
            assert_eq!(read.read(1..3).collect::<Vec<_>>(), values[1..3], "a part of {descr} {shape}");
        }
        assert_eq!(Recorded::plain(&double, Number::F64).map(|read| read.symbols()), Ok(2), "plain doubles");
        let plain = Recorded::plain(&little, Number::F32).expect("plain");
        assert_eq!(plain.read(0..4).collect::<Vec<_>>(), values, "plain singles");
    }

    #[test]
    fn what_is_not_quite_right_is_refused_with_its_reason() {
        let read = |dictionary: &str| Recorded::npy(&npy(dictionary, &[0; 32])).expect_err("refused");
        assert_eq!(read(&dictionary("<i4", "(8,)")), Unreadable::Type { descr: "<i4".into() }, "integers");
        assert_eq!(read(&dictionary("|f4", "(8,)")), Unreadable::Type { descr: "|f4".into() }, "no order");
        let three = Unreadable::Shape { shape: vec![4, 3], kind: "real" };
        assert_eq!(read(&dictionary("<f4", "(4, 3)")), three, "three columns");
        let odd = Unreadable::Shape { shape: vec![7], kind: "real" };
        assert_eq!(read(&dictionary("<f4", "(7,)")), odd, "half a symbol");
        assert_eq!(
            read("{'descr': '<f4', 'fortran_order': True, 'shape': (4, 2), }"),
            Unreadable::FortranOrder,
            "columns"
        );
        let cut = Unreadable::Length { expected: 40, found: 32 };
        assert_eq!(read(&dictionary("<f4", "(5, 2)")), cut, "cut numbers");
        let huge = dictionary("<f8", "(18446744073709551615, 2)");
        assert!(matches!(read(&huge), Unreadable::Shape { .. }), "more than can be counted");
        for wrong in [
            "",
            "{",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (8,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), 'more': 1, }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), } }",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (8,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-8,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (8 8), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 8, }",
        ] {
            assert!(matches!(read(wrong), Unreadable::Header { .. }), "{wrong}");
        }
        assert_eq!(Recorded::npy(b"PK\x03\x04").map(drop), Err(Unreadable::NoMagic), "an archive");
        assert_eq!(
            Recorded::npy(b"\x93NUMPY\x04\x00").map(drop),
            Err(Unreadable::Version { major: 4 }),
            "new"
        );
        let half = Recorded::plain(&[0; 12], Number::F32).map(drop);
        assert_eq!(half, Err(Unreadable::Length { expected: 16, found: 12 }), "half a symbol");
    }

    #[test]
    fn two_columns_are_quadratures_in_turn() {
        let read = |text: &str, wanted| {
            let numbers = csv(text.as_bytes(), wanted)?;
            let recorded = Recorded::plain(&numbers, Number::F32).expect("whole symbols");
            Ok::<_, columns::Unreadable>(recorded.read(0..recorded.quadratures()).collect::<Vec<f32>>())
        };
        let expected = vec![0.5, -1.25, 1e-3, 3.0];
        for text in ["x,p\n0.5,-1.25\n1e-3,3\n", "5.0e-01\t-1.25\n1.000e-03\t+3.0\n"] {
            assert_eq!(read(text, None).expect(text), expected, "{text:?}");
        }
        let text = "time;p;x\n0;-1.25;0.5\n1;3;1e-3\n";
        let named = Some(["x", "p"].map(Column::from));
        assert_eq!(read(text, named).expect("by name"), expected, "in the order asked for");
        let told = read("x,p\n1,2\n1,2e\n", None).expect_err("no number").to_string();
        assert!(told.contains("line 3, column 2: `2e` is not a number"), "{told}");
        let long: String = (0..20_000).map(|i| format!("{i},{}\n", -i)).collect();
        let numbers = read(&long, None).expect("beyond the first room");
        assert!(numbers.chunks(2).enumerate().all(|(i, pair)| pair == [i as f32, -(i as f32)]), "all");
    }

    #[test]
    fn every_cut_of_a_file_is_refused() {
        let file = npy(&dictionary("<f4", "(4, 2)"), &[0; 32]);
        assert!(Recorded::npy(&file).is_ok(), "whole");
        for length in 0..file.len() {
            assert!(Recorded::npy(&file[..length]).is_err(), "cut after {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text: String) {
            let mut file = MAGIC.to_vec();
            file.extend(&bytes);
            if let Ok(read) = Recorded::npy(&file) {
                prop_assert_eq!(read.read(0..read.quadratures()).count(), read.quadratures());
            }
            let _ = Recorded::npy(&npy(&text, &bytes));
        }

        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec(any::<f32>(), 0..64)) {
            let numbers: Vec<u8> = values.iter().chain(&values).flat_map(|value| value.to_le_bytes()).collect();
            let file = npy(&dictionary("<f4", &format!("({},)", 2 * values.len())), &numbers);
            let read = Recorded::npy(&file).expect("as NumPy writes");
            let bits: Vec<u32> = read.read(0..read.quadratures()).map(f32::to_bits).collect();
            let wanted: Vec<u32> = values.iter().chain(&values).map(|value| value.to_bits()).collect();
            prop_assert_eq!(bits, wanted);
        }
    }
}
