//! The noise budget of a link.

use keystill_engine::channel::{Scattering, Scenario, budget};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::value_error;

/// What the data carriers of a scenario do to both quantum channels: a dict with "bb84" and "cv".
///
/// scenario: a name that ships, or the text of a TOML file; overrides: "section.key=value" each.
#[pyfunction]
#[pyo3(signature = (scenario = "iown-47t2", overrides = Vec::new()))]
pub(crate) fn link_budget<'py>(
    py: Python<'py>,
    scenario: &str,
    overrides: Vec<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let text = if scenario.contains('\n') {
        scenario.to_owned()
    } else {
        Scenario::shipped(scenario).map_err(value_error)?.to_owned()
    };
    let scenario = Scenario::from_text("scenario", &text, &overrides).map_err(value_error)?;
    let found = py.detach(|| budget(&scenario));
    let bb84 = common(py, &found.bb84.scattering)?;
    bb84.set_item("wavelength_nm", scenario.bb84.wavelength_nm)?;
    bb84.set_item("qber", found.bb84.qber)?;
    bb84.set_item("click_probability", found.bb84.click_rate)?;
    bb84.set_item("sifted_bit_per_s", found.bb84.sifted_bit_per_s)?;
    let cv = common(py, &found.cv.scattering)?;
    cv.set_item("wavelength_nm", scenario.cv.wavelength_nm)?;
    cv.set_item("photons_per_mode", found.cv.photons_per_mode)?;
    cv.set_item("transmittance", found.cv.transmittance)?;
    cv.set_item("excess_noise_input_snu", found.cv.excess_noise_input_snu)?;
    cv.set_item("snr", found.cv.snr)?;
    let both = PyDict::new(py);
    both.set_item("bb84", bb84)?;
    both.set_item("cv", cv)?;
    Ok(both)
}

fn common<'py>(py: Python<'py>, scattering: &Scattering) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("loss_db", scattering.loss_db)?;
    dict.set_item("srs_gain_db", scattering.srs_gain_db)?;
    dict.set_item("raman_w_per_nm", scattering.raman_w_per_nm)?;
    dict.set_item("raman_photons_per_s_per_nm", scattering.raman_photons_per_s_per_nm)?;
    let contributions = PyList::empty(py);
    for own in &scattering.contributions {
        contributions.append((own.mechanism.name(), own.carrier_thz, own.share))?;
    }
    dict.set_item("contributions", contributions)?;
    Ok(dict)
}
