//! The records of `link --json`: one object a quantum channel.

use keystill::channel::{Bb84Budget, CvBudget, DataChannel, Filter, Mechanism, Ride, Scattering, Scenario};
use serde_json::{Value, json};

/// The fields that both quantum channels share, of the fibre that the channel rides.
fn common(
    scenario: &Scenario,
    protocol: &str,
    rides: Ride,
    filter: &Filter,
    scattering: &Scattering,
) -> Value {
    let on = scenario.on(rides);
    json!({
        "protocol": protocol,
        "scenario": scenario.name,
        "wavelength_nm": filter.wavelength_nm,
        "rides": rides.name(),
        "direction": on.data.direction.name(),
        "fibre": on.link.fibre,
        "length_km": on.link.length_km,
        "launch_power_dbm": on.data.launch_power_dbm,
        "loss_db": scattering.loss_db,
        "srs_gain_db": scattering.srs_gain_db,
        "raman_w_per_nm": scattering.raman_w_per_nm,
        "raman_photons_per_s_per_nm": scattering.raman_photons_per_s_per_nm,
        "noise_w_per_nm": scattering.noise_w_per_nm,
        "noise_photons_per_s_per_nm": scattering.noise_photons_per_s_per_nm,
        "noise_db_per_k": scattering.noise_db_per_k,
        "mechanisms": Mechanism::ALL.iter().map(|mechanism| json!({
            "mechanism": mechanism.name(),
            "share": scattering.share(*mechanism),
        })).collect::<Vec<_>>(),
        "contributions": scattering.contributions.iter().map(|contribution| json!({
            "mechanism": contribution.mechanism.name(),
            "carrier_thz": contribution.carrier_thz,
            "share": contribution.share,
        })).collect::<Vec<_>>(),
    })
}

pub(super) fn bb84_json(scenario: &Scenario, budget: &Bb84Budget, secret_bit_per_s: f64) -> Value {
    let mut record =
        common(scenario, "bb84", scenario.bb84.rides, &Filter::of_bb84(scenario), &budget.scattering);
    record["scattered_photons_per_gate"] = json!(budget.scattered_per_gate);
    record["click_probability"] = json!(budget.click_rate);
    record["click_probability_by_intensity"] = json!(budget.click_by_intensity);
    record["qber_by_intensity"] = json!(budget.qber_by_intensity);
    record["qber"] = json!(budget.qber);
    record["sifted_bit_per_s"] = json!(budget.sifted_bit_per_s);
    record["secret_bit_per_s"] = json!(secret_bit_per_s);
    record
}

pub(super) fn cv_json(scenario: &Scenario, budget: &CvBudget, secret_bit_per_s: f64) -> Value {
    let mut record = common(scenario, "cv", scenario.cv.rides, &Filter::of_cv(scenario), &budget.scattering);
    record["photons_per_mode"] = json!(budget.photons_per_mode);
    record["excess_noise_bob_snu"] = json!(budget.excess_noise_bob_snu);
    record["excess_noise_input_snu"] = json!(budget.excess_noise_input_snu);
    record["transmittance"] = json!(budget.transmittance);
    record["excess_noise_phase_snu"] = json!(budget.excess_noise_parts_snu.phase);
    record["excess_noise_imbalance_snu"] = json!(budget.excess_noise_parts_snu.imbalance);
    record["excess_noise_converter_snu"] = json!(budget.excess_noise_parts_snu.converter);
    record["snr"] = json!(budget.snr);
    record["sifted_bit_per_s"] = json!(2e6 * scenario.cv.symbol_rate_mbd);
    record["secret_bit_per_s"] = json!(secret_bit_per_s);
    record
}

/// The data carriers of a fibre.
pub(super) fn data_carriers(channels: &[DataChannel]) -> Value {
    let carriers = channels.iter().map(|channel| {
        json!({
            "carrier_thz": channel.carrier.thz,
            "gbit_per_s": channel.carrier.gbit_per_s,
            "launch_power_w": channel.carrier.power_w,
            "output_power_w": channel.output_w,
            "tilt_db": channel.tilt_db,
            "gsnr_db": channel.gsnr_db,
            "margin_db": channel.margin_db,
        })
    });
    carriers.collect()
}
