//! The files that `keystill distill` reads: which format they have, and their bits.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use keystill::bb84::recorded::{self, type3};
use keystill::columns::Column;
use keystill_kernels::os::FileMap;
use zeroize::Zeroizing;

use crate::cli::{Exit, Failure, OrExit};

/// Files in a folder of epochs, at most: nine hours of them.
const MOST_FILES: usize = 1 << 16;

/// How a file of bits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// By the name: .npy, .csv, .tsv and .txt are CSV; folders, .t3 and files named by the epoch in their header are type 3; else packed.
    Auto,
    /// Packed bits, lowest first.
    Packed,
    /// NumPy's .npy: one dimension of u1, i1 or b1, a bit an element.
    Npy,
    /// A column of 0 and 1.
    Csv,
    /// S-Fifteen qcrypto: a folder of sifted epochs, or a file of one or several.
    Type3,
}

impl Format {
    fn of(self, path: &Path) -> Result<Self, Failure> {
        if self != Self::Auto {
            return Ok(self);
        }
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
        match suffix.as_deref() {
            _ if path.is_dir() => Ok(Self::Type3),
            Some("t3") => Ok(Self::Type3),
            Some("npy") => Ok(Self::Npy),
            Some(suffix) if is_csv(suffix) => Ok(Self::Csv),
            None if named_by_epoch(path)? => Ok(Self::Type3),
            _ => Ok(Self::Packed),
        }
    }
}

/// Whether a file's name says that it is CSV.
pub(super) fn is_csv(suffix: &str) -> bool {
    ["csv", "tsv", "txt"].contains(&suffix)
}

/// Whether a file is named as qcrypto names it: by the epoch in its header.
fn named_by_epoch(path: &Path) -> Result<bool, Failure> {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let epoch = name.filter(|name| name.len() == 8).and_then(|name| u32::from_str_radix(&name, 16).ok());
    let Some(epoch) = epoch else { return Ok(false) };
    Ok(type3::first_epoch(&open(path)?) == Some(epoch))
}

/// The bits of one side.
pub(super) enum Bits {
    /// Packed, where they stand; how many they are nobody has said.
    Mapped(FileMap),
    /// Read and packed, and how many they are.
    Read(Zeroizing<Vec<u8>>, usize),
}

impl std::ops::Deref for Bits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file,
            Self::Read(bytes, _) => bytes,
        }
    }
}

impl Bits {
    /// How many bits there are; whole bytes where only the file's length is known.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Mapped(file) => 8 * file.len(),
            Self::Read(_, bits) => *bits,
        }
    }

    fn read(bits: &keystill::bits::BitBlock) -> Self {
        Self::Read(Zeroizing::new(bits.to_bytes()), bits.len())
    }
}

/// Both sides' bits.
pub(super) fn both(paths: [&PathBuf; 2], format: Format, column: Option<&str>) -> Result<[Bits; 2], Failure> {
    let formats = [format.of(paths[0])?, format.of(paths[1])?];
    if formats == [Format::Type3; 2] {
        let [alice, bob] = [epochs(paths[0])?, epochs(paths[1])?];
        alice.fits(&bob).or_exit(Exit::Configuration)?;
        return Ok([Bits::read(&alice.bits()), Bits::read(&bob.bits())]);
    }
    if column.is_some() && !formats.contains(&Format::Csv) {
        return Err(Failure::new(
            Exit::Usage,
            anyhow!("--column: neither file is CSV; say --format csv if they are"),
        ));
    }
    let read = |path: &Path, format| match format {
        Format::Csv => csv(path, column),
        Format::Type3 => Ok(Bits::read(&epochs(path)?.bits())),
        Format::Npy => npy(path),
        Format::Auto | Format::Packed => Ok(Bits::Mapped(open(path)?)),
    };
    Ok([read(paths[0], formats[0])?, read(paths[1], formats[1])?])
}

fn csv(path: &Path, column: Option<&str>) -> Result<Bits, Failure> {
    let shown = || path.display().to_string();
    let file = File::open(path).with_context(shown).or_exit(Exit::Storage)?;
    let bits = recorded::csv(BufReader::new(file), column.map(Column::from));
    let bits = bits.with_context(shown).or_exit(Exit::Configuration)?;
    if bits.is_empty() {
        return Err(Failure::new(Exit::Configuration, anyhow!("{}: there is no bit in it", shown())));
    }
    Ok(Bits::read(&bits))
}

fn npy(path: &Path) -> Result<Bits, Failure> {
    let bits = recorded::npy(&open(path)?);
    Ok(Bits::read(&bits.with_context(|| path.display().to_string()).or_exit(Exit::Configuration)?))
}

/// The packets of a file, or of all files in a folder.
fn epochs(path: &Path) -> Result<type3::Sifted, Failure> {
    let mut sifted = type3::Sifted::default();
    for path in files(path)? {
        let taken = sifted.take(&open(&path)?);
        taken.with_context(|| path.display().to_string()).or_exit(Exit::Configuration)?;
    }
    Ok(sifted)
}

/// The file itself, or the files of a folder by name; hidden ones are left out.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let shown = || path.display().to_string();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(shown).or_exit(Exit::Storage)? {
        let entry = entry.with_context(shown).or_exit(Exit::Storage)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            files.push(entry.path());
        }
        if files.len() > MOST_FILES {
            let error =
                anyhow!("{} holds more than {MOST_FILES} files: distil fewer epochs at once", shown());
            return Err(Failure::new(Exit::Configuration, error));
        }
    }
    if files.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            anyhow!("{} is empty: there is no epoch in it", shown()),
        ));
    }
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> Result<FileMap, Failure> {
    FileMap::open(path, None).or_exit(Exit::Storage)
}
