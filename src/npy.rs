//! Arrays as NumPy writes them: the head of an `.npy` file.
//!
//! ```text
//! file = "\x93NUMPY" · version:2 bytes · length of the header · header · numbers
//! ```
//!
//! The length is two bytes, from version 2 on four, little-endian. The header is a Python dictionary with the keys
//! `descr`, `fortran_order` and `shape`, and none besides. What the numbers mean is for those to say who read them:
//! [`cv::recorded`](crate::cv::recorded), [`bb84::recorded`](crate::bb84::recorded).

/// Why bytes are no array of a kind that is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The file does not begin as an `.npy` file does.
    #[error("this is no .npy file")]
    NoMagic,
    /// A version that does not exist yet.
    #[error(".npy version {major} is not known; 1 to 3 are")]
    Version {
        /// The version found.
        major: u8,
    },
    /// The header is cut or is not what NumPy writes.
    #[error("the .npy header cannot be read: {reason}")]
    Header {
        /// What is wrong.
        reason: &'static str,
    },
    /// Numbers of another type.
    #[error("numbers of type `{descr}`; f4, f8, c8 and c16 are read")]
    Type {
        /// The type found.
        descr: String,
    },
    /// Columns one after the other.
    #[error("the array is in Fortran order; save numpy.ascontiguousarray(…) of it")]
    FortranOrder,
    /// Another shape.
    #[error(
        "shape {shape:?} of {kind} numbers; (n, 2) and (2n,) of real ones are read, and (n,) of complex ones"
    )]
    Shape {
        /// The shape found.
        shape: Vec<u64>,
        /// Real or complex.
        kind: &'static str,
    },
    /// The file is shorter or longer than it says.
    #[error("{found} bytes of numbers where {expected} are expected: the file was cut or altered")]
    Length {
        /// Bytes that the header promises, or the next whole symbol takes.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Bits of another type.
    #[error(
        "bits of type `{descr}`; u1, i1 and b1 are read, one bit an element: save bits.astype(numpy.uint8)"
    )]
    BitType {
        /// The type found.
        descr: String,
    },
    /// Bits of another shape.
    #[error("shape {shape:?} of bits; (n,) is read: save bits.ravel()")]
    BitShape {
        /// The shape found.
        shape: Vec<u64>,
    },
    /// An element that is no bit.
    #[error(
        "element {place} is {found}, not 0 or 1; packed bits are read from plain files: save them by tofile()"
    )]
    Bit {
        /// The element, from 0.
        place: usize,
        /// Its value.
        found: u8,
    },
    /// More than are read at once.
    #[error("{bits} bits; {most} are read at once: cut the file in parts")]
    TooMany {
        /// The bits found.
        bits: u64,
        /// Bits at most.
        most: u64,
    },
}

/// How an `.npy` file begins.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Header and numbers of an `.npy` file.
pub(crate) fn split(file: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let cut = Unreadable::Header { reason: "it is cut" };
    let rest = file.strip_prefix(MAGIC).ok_or(Unreadable::NoMagic)?;
    let ([major, _minor], rest) = rest.split_first_chunk().ok_or(cut.clone())?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or(cut.clone())?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or(cut.clone())?;
            (usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX), rest)
        }
        major => return Err(Unreadable::Version { major: *major }),
    };
    rest.split_at_checked(length).ok_or(cut)
}

/// The dictionary of an `.npy` file.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(crate) descr: Option<String>,
    pub(crate) fortran_order: Option<bool>,
    pub(crate) shape: Option<Vec<u64>>,
}

impl Header {
    pub(crate) fn parse(header: &[u8]) -> Result<Self, Unreadable> {
        let wrong = |reason| Unreadable::Header { reason };
        let text = std::str::from_utf8(header).map_err(|_| wrong("it is no text"))?;
        let mut words = Words { rest: text };
        let mut found = Self::default();
        words.expect("{")?;
        while !words.take("}") {
            let key = words.string()?;
            words.expect(":")?;
            let twice = match key {
                "descr" => found.descr.replace(words.string()?.to_owned()).is_some(),
                "fortran_order" => found.fortran_order.replace(words.truth()?).is_some(),
                "shape" => found.shape.replace(words.numbers()?).is_some(),
                _ => return Err(wrong("it has a key that NumPy does not write")),
            };
            if twice {
                return Err(wrong("a key stands in it twice"));
            }
            if !words.take(",") {
                words.expect("}")?;
                break;
            }
        }
        if !words.rest.trim_ascii().is_empty() {
            return Err(wrong("something follows the dictionary"));
        }
        Ok(found)
    }
}

/// Reads the words of a dictionary.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn take(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), Unreadable> {
        if self.take(word) { Ok(()) } else { Err(Unreadable::Header { reason: "it is no dictionary" }) }
    }

    fn string(&mut self) -> Result<&'a str, Unreadable> {
        let wrong = Unreadable::Header { reason: "a string is expected" };
        let quote = if self.take("'") {
            '\''
        } else if self.take("\"") {
            '"'
        } else {
            return Err(wrong);
        };
        let (string, rest) = self.rest.split_once(quote).ok_or(wrong)?;
        self.rest = rest;
        Ok(string)
    }

    fn truth(&mut self) -> Result<bool, Unreadable> {
        let (yes, no) = (self.take("True"), self.take("False"));
        if yes || no { Ok(yes) } else { Err(Unreadable::Header { reason: "True or False is expected" }) }
    }

    /// A tuple of at most four numbers.
    fn numbers(&mut self) -> Result<Vec<u64>, Unreadable> {
        let wrong = Unreadable::Header { reason: "a tuple of numbers is expected" };
        self.expect("(")?;
        let mut numbers = Vec::new();
        while !self.take(")") {
            let digits = self.rest.trim_ascii_start();
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let number = digits[..end].parse().map_err(|_| wrong.clone())?;
            self.rest = &digits[end..];
            numbers.push(number);
            if numbers.len() > 4 || (!self.take(",") && !self.rest.trim_ascii_start().starts_with(')')) {
                return Err(wrong);
            }
        }
        Ok(numbers)
    }
}
