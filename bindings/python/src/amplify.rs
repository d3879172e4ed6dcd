//! Privacy amplification.

use keystill_engine::Isa;
use keystill_engine::amplify::{Matrix, Toeplitz};
use keystill_engine::bits::BitBlock;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::value_error;

pub(crate) fn toeplitz(matrix: &str, input_bits: usize, output_bits: usize) -> PyResult<Toeplitz> {
    let matrix = match matrix {
        "plain" => Matrix::Plain,
        "modified" => Matrix::Modified,
        other => return Err(value_error(format!("matrix {other:?}: \"plain\" or \"modified\""))),
    };
    Toeplitz::new(matrix, input_bits, output_bits).map_err(value_error)
}

/// The bits that a seed has for a hash of input_bits to output_bits.
#[pyfunction]
#[pyo3(signature = (input_bits, output_bits, *, matrix = "modified"))]
pub(crate) fn seed_bits(input_bits: usize, output_bits: usize, matrix: &str) -> PyResult<usize> {
    Ok(toeplitz(matrix, input_bits, output_bits)?.seed_bits())
}

/// Hashes packed bits to output_bits packed bits with a packed seed of seed_bits() bits.
///
/// input_bits says how many of the input's bits count; all of them by default. The interpreter is
/// free for other threads meanwhile.
#[pyfunction]
#[pyo3(signature = (input, seed, output_bits, *, input_bits = None, matrix = "modified"))]
pub(crate) fn amplify<'py>(
    py: Python<'py>,
    input: PyReadonlyArray1<'py, u8>,
    seed: PyReadonlyArray1<'py, u8>,
    output_bits: usize,
    input_bits: Option<usize>,
    matrix: &str,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (input, seed) = (input.as_slice()?, seed.as_slice()?);
    let input_bits = input_bits.unwrap_or(8 * input.len());
    let hash = toeplitz(matrix, input_bits, output_bits)?;
    for (name, bits, bytes) in [("input", input_bits, input.len()), ("seed", hash.seed_bits(), seed.len())] {
        if bytes != bits.div_ceil(8) {
            let words = format!("{name} has {bytes} bytes; {bits} bits take {}", bits.div_ceil(8));
            return Err(value_error(words));
        }
    }
    let input = BitBlock::from_bytes(input, input_bits);
    let seed = BitBlock::from_bytes(seed, hash.seed_bits());
    let output = py.detach(|| hash.hash(Isa::best(), &input, &seed)).map_err(value_error)?;
    Ok(PyArray1::from_slice(py, &Zeroizing::new(output.to_bytes())))
}
