//! `keystill amplify`: Toeplitz hashing of files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::BitBlock;
use keystill_kernels::os::{FileMap, MapError};
use zeroize::Zeroizing;

use super::{Exit, Failure, OrExit};

/// Hash a file of corrected bits down to a secret key with a Toeplitz matrix.
///
/// Files are bits packed lowest bit first, the last byte padded with zeros. The plain matrix has the
/// first column s[0..m) and the first row s[0], s[n+m-2], ..., s[m] of a seed of n+m-1 bits; the
/// modified one is such a matrix for the first n-m bits beside the identity, from n-1 bits. The seed
/// must be uniform, drawn after the input was fixed, and never used again. The output appears whole
/// or not at all.
///
/// Example: keystill amplify --input corrected.bits --seed seed.bits --bits 400000 --modified --output key.bits
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The bits to hash.
    #[arg(long)]
    input: PathBuf,
    /// How many they are, if the last byte is not full.
    #[arg(long)]
    input_bits: Option<usize>,
    /// The seed: exactly the bytes that its bits take.
    #[arg(long)]
    seed: PathBuf,
    /// Bits of the output.
    #[arg(long)]
    bits: usize,
    /// Take the modified matrix: a shorter seed and less work.
    #[arg(long)]
    modified: bool,
    /// Where the output goes.
    #[arg(long)]
    output: PathBuf,
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let input = open(&args.input, args.input_bits)?;
    let input_bits = args.input_bits.unwrap_or(8 * input.len());
    let matrix = if args.modified { Matrix::Modified } else { Matrix::Plain };
    let hash = Toeplitz::new(matrix, input_bits, args.bits).or_exit(Exit::Usage)?;
    let seed = open(&args.seed, Some(hash.seed_bits()))?;
    let input_block = BitBlock::from_bytes(&input, input_bits);
    let seed_block = BitBlock::from_bytes(&seed, hash.seed_bits());
    let output = hash.hash(Isa::best(), &input_block, &seed_block).or_exit(Exit::Usage)?;
    write_whole(&args.output, &Zeroizing::new(output.to_bytes())).or_exit(Exit::Storage)
}

/// Maps a file that holds that many bits; a wrong length is the user's mistake, the rest storage's.
pub(super) fn open(path: &Path, bits: Option<usize>) -> Result<FileMap, Failure> {
    FileMap::open(path, bits.map(|bits| bits.div_ceil(8) as u64)).map_err(|error| {
        let exit = match error {
            MapError::Length { .. } => Exit::Configuration,
            MapError::Io { .. } | MapError::Locked { .. } => Exit::Storage,
        };
        Failure::new(exit, error)
    })
}

/// Writes a file beside its place and moves it there, so that no partial one is ever seen.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| anyhow::anyhow!("{} names no file", path.display()))?;
    let partial = folder.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    let written = write_synced(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|error| {
        // The first error is the one to tell; nothing may be there to remove.
        let _ = fs::remove_file(&partial);
        anyhow::anyhow!("cannot write {}: {error}", path.display())
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
