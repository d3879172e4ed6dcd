//! keystill for Python: NumPy in and out.
//!
//! Bits are arrays of `uint8`: packed lowest bit first where a function says "packed", one a byte with
//! values 0 and 1 otherwise. Errors are `ValueError` (the call) and `keystill.NoKey` (the data).

mod amplify;
mod keylen;
mod link;
mod reconcile;

use pyo3::prelude::*;

pyo3::create_exception!(keystill, NoKey, pyo3::exceptions::PyException, "The data leave no secure key.");

/// Distils the raw data of quantum key distribution into secret key.
#[pymodule]
fn keystill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("NoKey", module.py().get_type::<NoKey>())?;
    module.add_function(wrap_pyfunction!(amplify::amplify, module)?)?;
    module.add_function(wrap_pyfunction!(amplify::seed_bits, module)?)?;
    module.add_function(wrap_pyfunction!(keylen::bb84_key_length, module)?)?;
    module.add_function(wrap_pyfunction!(keylen::cv_key_length, module)?)?;
    module.add_function(wrap_pyfunction!(link::link_budget, module)?)?;
    module.add_function(wrap_pyfunction!(reconcile::reconcile, module)?)?;
    module.add_function(wrap_pyfunction!(reconcile::distill, module)?)?;
    Ok(())
}

/// Makes a `ValueError` of whatever went wrong with a call.
fn value_error(error: impl ToString) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(error.to_string())
}
