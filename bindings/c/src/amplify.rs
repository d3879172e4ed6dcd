//! Privacy amplification.

use keystill_engine::Isa;
use keystill_engine::amplify::{Matrix, Prepared, Toeplitz};
use keystill_engine::bits::BitBlock;
use zeroize::Zeroizing;

use crate::border::{KeystillStatus, Outcome, Status, bytes, guarded, null, out_of_range, room};

/// Which universal family.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeystillMatrix {
    /// A full Toeplitz matrix: a seed of input + output - 1 bits.
    Plain = 0,
    /// A Toeplitz matrix beside the identity: a seed of input - 1 bits, and less work.
    Modified = 1,
}

/// A hash with its seed, ready for several inputs. Opaque.
pub struct KeystillAmplifier {
    prepared: Prepared,
    hash: Toeplitz,
}

fn toeplitz(matrix: u32, input_bits: usize, output_bits: usize) -> Result<Toeplitz, (Status, String)> {
    let matrix = match matrix {
        0 => Matrix::Plain,
        1 => Matrix::Modified,
        _ => return Err(out_of_range("`matrix` is KEYSTILL_MATRIX_PLAIN or KEYSTILL_MATRIX_MODIFIED")),
    };
    Toeplitz::new(matrix, input_bits, output_bits).map_err(out_of_range)
}

fn enough(name: &str, bits: usize, length: usize) -> Result<(), (Status, String)> {
    if length == bits.div_ceil(8) {
        return Ok(());
    }
    Err(out_of_range(format!("`{name}` has {length} bytes; {bits} bits take {}", bits.div_ceil(8))))
}

/// How many bits the seed has, or 0 if there is no such hash: 1 <= output <= input <= 2^30.
/// `matrix` is a KeystillMatrix.
#[unsafe(no_mangle)]
pub extern "C" fn keystill_seed_bits(matrix: u32, input_bits: usize, output_bits: usize) -> usize {
    toeplitz(matrix, input_bits, output_bits).map_or(0, |hash| hash.seed_bits())
}

/// Makes a hash of `input_bits` to `output_bits` from a seed of keystill_seed_bits() bits in
/// `seed_length` bytes, and stores it in `*amplifier`. Free it with keystill_amplifier_free().
/// `matrix` is a KeystillMatrix.
///
/// # Safety
/// `seed` points to `seed_length` bytes; `amplifier` to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_amplifier_new(
    matrix: u32,
    input_bits: usize,
    output_bits: usize,
    seed: *const u8,
    seed_length: usize,
    amplifier: *mut *mut KeystillAmplifier,
) -> KeystillStatus {
    guarded(|| {
        if amplifier.is_null() {
            return Err(null("amplifier"));
        }
        let hash = toeplitz(matrix, input_bits, output_bits)?;
        enough("seed", hash.seed_bits(), seed_length)?;
        // SAFETY: the caller vouches for the seed.
        let seed = unsafe { bytes(seed, seed_length, "seed") }?;
        let seed = BitBlock::from_bytes(seed, hash.seed_bits());
        let prepared = hash.prepare(Isa::best(), &seed).map_err(out_of_range)?;
        let made = Box::into_raw(Box::new(KeystillAmplifier { prepared, hash }));
        // SAFETY: not null, and the caller vouches for the room.
        unsafe { amplifier.write(made) };
        Ok(())
    })
}

/// Hashes `input` into `output`; both lengths in bytes must be what their bits take. May be called by
/// several threads at once.
///
/// # Safety
/// `amplifier` came from keystill_amplifier_new() and was not freed; `input` and `output` point to
/// their lengths and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_amplify(
    amplifier: *const KeystillAmplifier,
    input: *const u8,
    input_length: usize,
    output: *mut u8,
    output_length: usize,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the handle.
        let amplifier = unsafe { amplifier.as_ref() }.ok_or_else(|| null("amplifier"))?;
        enough("input", amplifier.hash.input_bits(), input_length)?;
        enough("output", amplifier.hash.output_bits(), output_length)?;
        // SAFETY: the caller vouches for the input.
        let input = unsafe { bytes(input, input_length, "input") }?;
        // SAFETY: the caller vouches for the output.
        let output = unsafe { room(output, output_length, "output") }?;
        hash(amplifier, input, output)
    })
}

fn hash(amplifier: &KeystillAmplifier, input: &[u8], output: &mut [u8]) -> Outcome {
    let input = BitBlock::from_bytes(input, amplifier.hash.input_bits());
    let hashed = amplifier.prepared.hash(Isa::best(), &input).map_err(out_of_range)?;
    output.copy_from_slice(&Zeroizing::new(hashed.to_bytes()));
    Ok(())
}

/// Frees a hash. Null is fine.
///
/// # Safety
/// `amplifier` is null, or came from keystill_amplifier_new() and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_amplifier_free(amplifier: *mut KeystillAmplifier) {
    if amplifier.is_null() {
        return;
    }
    // Dropping wipes memory and cannot fail; a panic must not cross all the same.
    let _ = guarded(|| {
        // SAFETY: made by `Box::into_raw` above; the caller gives it back once.
        drop(unsafe { Box::from_raw(amplifier) });
        Ok(())
    });
}
