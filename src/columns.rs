//! Columns of a text file: CSV as spreadsheets, Python and MATLAB write it.
//!
//! ```text
//! file    = line · …            lines end in LF or CR LF; empty ones, and those that begin with #, are skipped
//! line    = field · (separator · field) …
//! field   = text without separator and quote, or "text"
//! ```
//!
//! The separator is the first of comma, semicolon and tab that the first line has; every line has as many fields as the
//! first. The first line may name the columns: it does if the column that is read does not hold a value there.
//! Spaces around a field do not count. A file is read line by line: however long it is, one line is in memory,
//! and a line that is longer than [`MOST_LINE_BYTES`] is refused. That line is wiped, because it may be secret.

use std::io::BufRead;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

/// Bytes of a line, at most.
pub const MOST_LINE_BYTES: usize = 1 << 16;
/// Bytes of what an error shows of a field.
const SHOWN: usize = 24;
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Reading failed.
    #[error("line {line} cannot be read")]
    Io {
        /// Line, from 1.
        line: u64,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A line that is no line.
    #[error(
        "line {line} is longer than {MOST_LINE_BYTES} bytes: this is no CSV, or its lines do not end in LF"
    )]
    Long {
        /// Line, from 1.
        line: u64,
    },
    /// Bytes that are no text.
    #[error("line {line} is no UTF-8 text: this is no CSV")]
    NoText {
        /// Line, from 1.
        line: u64,
    },
    /// Another number of fields than in the first line.
    #[error(
        "line {line} has {found} fields where the first line has {expected}: it was cut, or a separator is missing"
    )]
    Fields {
        /// Line, from 1.
        line: u64,
        /// Fields found.
        found: usize,
        /// Fields of the first line.
        expected: usize,
    },
    /// A quote within a field.
    #[error("line {line} has a quote within a field: write plain values, without quotes")]
    Quote {
        /// Line, from 1.
        line: u64,
    },
    /// A column that the file does not have.
    #[error("there is no column {column}; {known}")]
    NoColumn {
        /// What was asked for.
        column: Column,
        /// The columns that there are.
        known: String,
    },
    /// Several columns, and nobody says which.
    #[error(
        "lines have {found} fields where {wanted} are read: say which columns by name or number; {known}"
    )]
    WhichColumn {
        /// Fields of the first line.
        found: usize,
        /// Columns that are read.
        wanted: usize,
        /// The columns that there are.
        known: String,
    },
    /// A field that does not hold what it should.
    #[error("line {line}, column {column}: `{found}` is not {expected}")]
    Value {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// How it begins.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// More lines than there may be.
    #[error("line {line} is beyond the {most} values that are read at once: cut the file in parts")]
    TooMany {
        /// Line, from 1.
        line: u64,
        /// Values at most.
        most: u64,
    },
}

/// Which column is read: its name in the first line, or its number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By number, from 1.
    Number(usize),
    /// By the name that the first line gives it.
    Name(String),
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl From<&str> for Column {
    /// A number is a number; everything else is a name.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number)
    }
}

/// The values of `N` columns, line by line.
#[derive(Debug)]
pub struct Columns<R, const N: usize> {
    input: R,
    line: u64,
    /// The bytes of the line under way.
    buffer: Zeroizing<Vec<u8>>,
    separator: Option<u8>,
    fields: usize,
    places: [usize; N],
    /// Whether the line in the buffer holds values that nobody has taken.
    waiting: bool,
}

impl<R: BufRead, const N: usize> Columns<R, N> {
    /// Reads the first line and finds the columns in it: `wanted`, or all of them if there are `N`.
    /// `is_value` says whether a field holds a value rather than a name.
    ///
    /// # Errors
    /// [`Unreadable`]; a file without lines is none, but has no values.
    pub fn open(
        input: R,
        wanted: Option<[Column; N]>,
        is_value: impl Fn(&str) -> bool,
    ) -> Result<Self, Unreadable> {
        let buffer = Zeroizing::new(Vec::with_capacity(MOST_LINE_BYTES + 2));
        let mut columns =
            Self { input, line: 0, buffer, separator: None, fields: 0, places: [0; N], waiting: false };
        if !columns.advance()? {
            return Ok(columns);
        }
        let text = columns.text()?;
        columns.separator = SEPARATORS.into_iter().find(|separator| text.as_bytes().contains(separator));
        let ranges = columns.ranges()?;
        let text = columns.text()?;
        let first: Vec<&str> = ranges.iter().map(|range| &text[range.clone()]).collect();
        let places = places(wanted, &first)?;
        let named = places.iter().any(|place| !is_value(first[*place]));
        let fields = first.len();
        (columns.fields, columns.places, columns.waiting) = (fields, places, !named);
        Ok(columns)
    }

    /// Takes the values of the next line, each by `parse`; `None` at the end.
    ///
    /// # Errors
    /// [`Unreadable`], where `parse` finds no value too: `expected` says what it should be.
    pub fn next_row<T: Copy + Default>(
        &mut self,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<[T; N]>, Unreadable> {
        if !std::mem::take(&mut self.waiting) && !self.advance()? {
            return Ok(None);
        }
        let ranges = self.ranges()?;
        if ranges.len() != self.fields {
            let (line, found, expected) = (self.line, ranges.len(), self.fields);
            return Err(Unreadable::Fields { line, found, expected });
        }
        let text = self.text()?;
        let mut values = [T::default(); N];
        for (value, place) in values.iter_mut().zip(self.places) {
            let field = &text[ranges[place].clone()];
            let found = || field.chars().take(SHOWN).filter(|letter| !letter.is_control()).collect();
            let wrong = || Unreadable::Value { line: self.line, column: place + 1, found: found(), expected };
            *value = parse(field).ok_or_else(wrong)?;
        }
        Ok(Some(values))
    }

    /// The line that was read last, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Brings the next line that is not empty and no comment into the buffer.
    fn advance(&mut self) -> Result<bool, Unreadable> {
        loop {
            self.buffer.as_mut_slice().zeroize();
            self.buffer.clear();
            self.line += 1;
            let line = self.line;
            let mut limited = std::io::Read::take(&mut self.input, MOST_LINE_BYTES as u64 + 2);
            let read = limited
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| Unreadable::Io { line, source })?;
            if read == 0 {
                return Ok(false);
            }
            if read > MOST_LINE_BYTES {
                return Err(Unreadable::Long { line });
            }
            if line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            let text = self.buffer.trim_ascii();
            if !text.is_empty() && text[0] != b'#' {
                return Ok(true);
            }
        }
    }

    fn text(&self) -> Result<&str, Unreadable> {
        let text = std::str::from_utf8(&self.buffer).map_err(|_| Unreadable::NoText { line: self.line })?;
        Ok(text.strip_suffix('\n').unwrap_or(text))
    }

    /// Where the fields of the line stand, spaces and quotes around them taken off.
    fn ranges(&self) -> Result<Vec<Range<usize>>, Unreadable> {
        let text = self.text()?;
        let mut ranges = Vec::with_capacity(self.fields);
        let mut first = 0;
        let is_end = |(_, byte): &(usize, u8)| Some(*byte) == self.separator;
        for (end, _) in text.bytes().enumerate().filter(is_end).chain([(text.len(), 0)]) {
            let field = &text[first..end];
            let kept = field.trim_start();
            let begin = end - kept.len();
            let kept = kept.trim_end();
            let bare = kept.strip_prefix('"').and_then(|kept| kept.strip_suffix('"'));
            let begin = begin + usize::from(bare.is_some());
            let kept = bare.unwrap_or(kept);
            if kept.contains('"') {
                return Err(Unreadable::Quote { line: self.line });
            }
            ranges.push(begin..begin + kept.len());
            first = end + 1;
        }
        Ok(ranges)
    }
}

/// The places of the wanted columns among the fields of the first line.
fn places<const N: usize>(wanted: Option<[Column; N]>, first: &[&str]) -> Result<[usize; N], Unreadable> {
    let shown: Vec<String> =
        first.iter().take(16).map(|field| field.chars().take(SHOWN).collect::<String>()).collect();
    let known = format!("the first line is {}", shown.join(" | "));
    let Some(wanted) = wanted else {
        if first.len() != N {
            return Err(Unreadable::WhichColumn { found: first.len(), wanted: N, known });
        }
        return Ok(std::array::from_fn(|place| place));
    };
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(wanted) {
        let found = match &column {
            Column::Number(number) => number.checked_sub(1).filter(|place| *place < first.len()),
            Column::Name(name) => first.iter().position(|field| field == name),
        };
        *place = found.ok_or_else(|| Unreadable::NoColumn { column, known: known.clone() })?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(field: &str) -> Option<u8> {
        field.parse().ok()
    }

    fn all<const N: usize>(text: &str, wanted: Option<[Column; N]>) -> Result<Vec<[u8; N]>, Unreadable> {
        let mut columns = Columns::open(text.as_bytes(), wanted, |field| digit(field).is_some())?;
        let mut rows = Vec::new();
        while let Some(row) = columns.next_row("a digit", digit)? {
            rows.push(row);
        }
        Ok(rows)
    }

    #[test]
    fn separators_names_comments_and_line_ends() {
        let expected = [[1, 4], [2, 5]];
        for text in [
            "1,4\n2,5\n",
            "\u{feff}x;p\r\n1; 4\r\n\r\n2 ;5",
            "# made by hand\nx\tp\n1\t4\n# half\n2\t5\n",
            "\"x\",\"p\"\n\"1\",4\n2,\"5\"\n",
        ] {
            assert_eq!(all::<2>(text, None).expect(text), expected, "{text:?}");
        }
        assert_eq!(all::<1>("1\n0\n", None).expect("one column"), [[1], [0]], "no separator at all");
        assert!(all::<1>("", None).expect("nothing").is_empty(), "a file without lines has no values");
        assert!(all::<1>("bit\n", None).expect("a name").is_empty(), "a name is no value");
    }

    #[test]
    fn columns_go_by_name_or_number() {
        let text = "time,bit,basis\n7,1,0\n8,0,1\n";
        let column = |name: &str| Some([Column::from(name)]);
        assert_eq!(all(text, column("bit")).expect("by name"), [[1], [0]], "the second");
        assert_eq!(all(text, column("3")).expect("by number"), [[0], [1]], "the third");
        let both = Some([Column::from("basis"), Column::from("bit")]);
        assert_eq!(all(text, both).expect("two"), [[0, 1], [1, 0]], "in the order asked for");
        for missing in ["0", "4", "Bit"] {
            let told = all(text, column(missing)).expect_err("not there").to_string();
            assert!(told.contains("time | bit | basis"), "{missing}: {told}");
        }
        let told = all::<1>(text, None).expect_err("three columns").to_string();
        assert!(told.contains("3 fields") && told.contains("bit"), "{told}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let told = |text: &str| all::<2>(text, None).expect_err(text).to_string();
        assert!(told("1,2\n3\n").contains("line 2 has 1 fields"), "a cut line");
        assert!(told("a,b\n1,2\n1,x\n").contains("line 3, column 2: `x` is not a digit"), "no value");
        assert!(told("1,2\n1,\"2\"3\n").contains("line 2 has a quote"), "a quote");
        let long = format!("1,2\n{}\n", "3".repeat(MOST_LINE_BYTES + 1));
        assert!(told(&long).contains("line 2 is longer"), "a line without end");
        let mut columns = Columns::<_, 1>::open(&b"1\n\xff\n"[..], None, |_| true).expect("a value");
        columns.next_row("a digit", digit).expect("the first").expect("a row");
        let error = columns.next_row("a digit", digit).expect_err("bytes");
        assert!(matches!(error, Unreadable::NoText { line: 2 }), "{error}");
    }
}
