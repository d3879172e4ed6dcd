//! `keystill link --fit FILE.csv`: κ(Δ) of a fibre from a measured Raman spectrum.

use std::path::Path;

use anyhow::{Context, anyhow};
use keystill::channel::{Scenario, fit_kappa};
use serde_json::json;

use crate::cli::{Exit, Failure, OrExit};

/// What was measured, beside the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pump {
    /// Its wavelength in nm.
    pub(super) wavelength_nm: f64,
    /// Its power at the fibre's input in dBm.
    pub(super) power_dbm: f64,
}

/// Reads a spectrum, fits κ(Δ), prints it as the section `fibre` of a scenario.
pub(super) fn run(file: &Path, pump: Pump, scenario: &Scenario, json: bool) -> Result<(), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| name.clone()).or_exit(Exit::Configuration)?;
    let spectrum = cross_sections(&name, &text, pump, scenario).or_exit(Exit::Configuration)?;
    let fit = fit_kappa(&scenario.fibre(), pump.wavelength_nm, &spectrum, scenario.link.temperature_k)
        .ok_or_else(|| anyhow!("{name}: a fit needs three positive values beyond 0.25 THz from the pump"))
        .or_exit(Exit::Configuration)?;
    let points: Vec<[f64; 2]> = fit.kappa_db.points().map(|(thz, db)| [round(thz), round(db)]).collect();
    if json {
        let record = json!({
            "kappa": points, "points": spectrum.len(), "mean_db": fit.mean_db, "spread_db": fit.spread_db,
            "pump_nm": pump.wavelength_nm,
        });
        println!("{record}");
        return Ok(());
    }
    let pairs: Vec<String> = points.iter().map(|[thz, db]| format!("[{thz:?}, {db:?}]")).collect();
    println!(
        "# {name}: {} points, model minus measurement {:+.3} ± {:.3} dB",
        spectrum.len(),
        fit.mean_db,
        fit.spread_db
    );
    let [low, high] = fit.kappa_db.ends();
    println!("# measured from {low:.1} to {high:.1} THz beside the pump; beyond, κ is that of G.652.D");
    println!("# for a fibre's file, which link.fibre may name");
    println!("name = \"{}, fitted\"\nkappa = [{}]", scenario.link.fibre, pairs.join(", "));
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// ρ by wavelength: as it stands (`rho`), or from the power a nanometre that comes back (`dbm_per_nm`).
fn cross_sections(
    name: &str,
    text: &str,
    pump: Pump,
    scenario: &Scenario,
) -> Result<Vec<(f64, f64)>, anyhow::Error> {
    let mut lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let heading: String = lines.next().map(|(_, line)| line.split_whitespace().collect()).unwrap_or_default();
    let backward = match heading.as_str() {
        "wavelength_nm,rho" => false,
        "wavelength_nm,dbm_per_nm" => true,
        _ => {
            return Err(anyhow!(
                "{name}: the heading is `wavelength_nm,rho` or `wavelength_nm,dbm_per_nm`, not `{heading}`"
            ));
        }
    };
    lines
        .map(|(number, line)| {
            let cell =
                |place: usize| line.split(',').nth(place).and_then(|cell| cell.trim().parse::<f64>().ok());
            let (Some(nm), Some(value)) = (cell(0), cell(1)) else {
                return Err(anyhow!("{name}, line {}: two numbers, not `{line}`", number + 1));
            };
            Ok((nm, if backward { from_power(nm, value, pump, scenario) } else { value }))
        })
        .collect()
}

/// ρ from the backward power a nanometre, by the closed form of an undepleted pump.
fn from_power(nm: f64, dbm_per_nm: f64, pump: Pump, scenario: &Scenario) -> f64 {
    let fibre = scenario.fibre();
    let both = fibre.attenuation_per_km(pump.wavelength_nm) + fibre.attenuation_per_km(nm);
    let reach = -(-both * scenario.link.length_km).exp_m1() / both;
    10_f64.powf((dbm_per_nm - pump.power_dbm) / 10.0) / reach
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_and_its_cross_section_fit_alike() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario = Scenario::from_text("iown-47t2", text, &[]).expect("good values");
        let pump = Pump { wavelength_nm: 1550.0, power_dbm: 3.0 };
        let both = scenario.fibre().attenuation_per_km(1550.0) + scenario.fibre().attenuation_per_km(1570.0);
        let back = 4.5e-9 * -(-both * 25.0).exp_m1() / both;
        let csv = format!("wavelength_nm,dbm_per_nm\n1570,{}\n", 3.0 + 10.0 * back.log10());
        let found = cross_sections("x.csv", &csv, pump, &scenario).expect("a spectrum");
        assert!((found[0].1 / 4.5e-9 - 1.0).abs() < 1e-9, "{found:?}");
        let error =
            cross_sections("x.csv", "wavelength_nm,rho\n1570,x\n", pump, &scenario).expect_err("no number");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
