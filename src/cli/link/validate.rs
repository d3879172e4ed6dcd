//! `keystill link --validate`: published measurements and other programs' results beside the model.
//!
//! The rows' data stand beside this file; the model reads none of them.

use anyhow::anyhow;
use keystill::channel::{
    Curve, Direction, Evolution, Fibre, Noise, PLANCK, Scenario, Stimulated, budget, nm_of,
};
use serde_json::json;

use super::key;
use crate::cli::{Exit, Failure, OrExit};

const OSA: &str = include_str!("validation/raman_osa_1550.csv");
const ERAERDS: &str = include_str!("validation/raman_eraerds_1550.csv");
const BURENKOV: &str = include_str!("validation/burenkov_2023.csv");
const GNPY_TILT: &str = include_str!("validation/gnpy_tilt.csv");
const GNPY_QUANTUM: &str = include_str!("validation/gnpy_quantum.csv");
const GNPY_STOKES: &str = include_str!("validation/gnpy_stokes.csv");

/// T12: 1 GHz, 50 km of dark fibre, sessions of 20 minutes. The receiver's loss, the detectors' memory and the misalignment
/// are not stated there: assumed as in the default scenario.
const T12: [&str; 12] = [
    "link.length_km=50",
    "data.launch_power_dbm=-200",
    "bb84.wavelength_nm=1550",
    "bb84.mean_photons=[0.425,0.044,0.001]",
    "bb84.probabilities=[0.98828125,0.0078125,0.00390625]",
    "bb84.test_probability=0.0625",
    "bb84.detector_efficiency=0.205",
    "bb84.dark_count_probability=2.1e-5",
    "bb84.afterpulse_probability=0.0525",
    "bb84.receiver_loss_db=3",
    "bb84.block_s=1200",
    "noise.amplifier=off",
];

/// Temperature of rows that name none, in K.
const KELVIN: f64 = 300.0;

/// Published rows whose set-up is not published well enough to compute them.
const OPEN: [(&str, &str); 7] = [
    ("Dynes 2016: 100 km beside 2×100G", "receiver and loss budget not stated"),
    ("Wang 2023: time-interleaved C band, 20 and 100 km", "detector and interleaving not stated"),
    ("HC-NANF 2 km, 8×200G", "not a silica core"),
    ("150 GHz from the quantum channel: key rate −43 %", "reference key rate and carrier power not stated"),
    ("7-core fibre, 56×200G", "crosstalk between cores is not modelled"),
    ("CV over dark fibre, 100 km (2305.08156)", "no coexistence; a row of the CV key length"),
    ("Yuan 2007/2008: self-differencing APD", "intensities and loss not stated"),
];

/// One published number beside the model's.
struct Row {
    source: &'static str,
    quantity: String,
    published: String,
    model: String,
    /// Model minus published, in the goal's unit.
    error: f64,
    unit: &'static str,
    /// The greatest error wished for; none where there is only a statement.
    goal: Option<f64>,
}

/// Which mechanisms the rows are computed with.
#[derive(Clone, Copy)]
struct Model {
    /// 1, or 0 without spontaneous scattering.
    raman: f64,
    stimulated: Stimulated,
}

impl Model {
    fn new(noise: &Noise) -> Self {
        let stimulated = if noise.stimulated.is_on() { Stimulated::On } else { Stimulated::Off };
        Self { raman: if noise.raman.is_on() { 1.0 } else { 0.0 }, stimulated }
    }
}

/// Prints all rows, misses included; of a scenario's values only its switches of noise act on them.
pub(super) fn run(json: bool, overrides: &[String]) -> Result<(), Failure> {
    if let Some(other) = overrides.iter().find(|given| !given.trim_start().starts_with("noise.")) {
        let error = anyhow!(
            "--set {other}: the rows of --validate have their own links; only noise.… acts on them, as in \
             --set noise.raman=off"
        );
        return Err(Failure::new(Exit::Usage, error));
    }
    let rows = rows(overrides)?;
    if json {
        for row in &rows {
            println!("{}", record(row));
        }
        for (row, reason) in OPEN {
            println!("{}", json!({ "source": row, "computed": false, "reason": reason }));
        }
        return Ok(());
    }
    println!("| row | quantity | published | model | error | goal |\n|---|---|---|---|---|---|");
    for row in &rows {
        let goal = row.goal.map_or("stated".to_owned(), |goal| format!("{goal} {}", row.unit));
        println!(
            "| {} | {} | {} | {} | {:+.3} {}{} | {goal} |",
            row.source,
            row.quantity,
            row.published,
            row.model,
            row.error,
            row.unit,
            if row.misses() { " **miss**" } else { "" }
        );
    }
    for (row, reason) in OPEN {
        println!("| {row} | | | | not computed | {reason} |");
    }
    Ok(())
}

fn record(row: &Row) -> serde_json::Value {
    json!({
        "source": row.source, "quantity": row.quantity, "published": row.published, "model": row.model,
        "error": row.error, "unit": row.unit, "goal": row.goal, "met": !row.misses(), "computed": true,
    })
}

impl Row {
    fn misses(&self) -> bool {
        // Without a mechanism an error may be infinite, or no number.
        self.goal.is_some_and(|goal| self.error.is_nan() || self.error.abs() > goal)
    }
}

fn rows(overrides: &[String]) -> Result<Vec<Row>, Failure> {
    let text = Scenario::shipped("iown-47t2").or_exit(Exit::Internal)?;
    let model =
        Model::new(&Scenario::from_text("iown-47t2", text, overrides).or_exit(Exit::Configuration)?.noise);
    let mut rows = spectrum(model, "Smith 2025, measured backwards", OSA, 1549.57)?;
    rows.extend(spectrum(model, "Eraerds 2010", ERAERDS, 1550.0)?);
    rows.extend(burenkov(model)?);
    rows.extend(kumar(model));
    rows.extend(tilt(model)?);
    rows.extend(quantum(model)?);
    rows.extend(stokes(model)?);
    rows.extend(closed_forms());
    rows.extend(against(model));
    rows.extend(t12(overrides)?);
    Ok(rows)
}

fn decibel(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

fn curve(text: &str, column: usize) -> Result<Curve, Failure> {
    Curve::from_csv(text, 0, column)
        .ok_or_else(|| Failure::new(Exit::Internal, anyhow::anyhow!("a table of rows is damaged")))
}

/// Mean error and spread of a cross-section ρ over its wavelengths.
fn spectrum(model: Model, source: &'static str, text: &str, pump_nm: f64) -> Result<Vec<Row>, Failure> {
    let (fibre, measured) = (Fibre::g652d(), curve(text, 1)?);
    let errors: Vec<f64> = measured
        .points()
        .map(|(nm, rho)| decibel(model.raman * fibre.raman_per_km_nm(pump_nm, nm, KELVIN) / rho))
        .collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let spread = (errors.iter().map(|error| (error - mean) * (error - mean)).sum::<f64>()
        / errors.len() as f64)
        .sqrt();
    let row = |quantity: &str, error: f64, goal: f64| Row {
        source,
        quantity: format!("{quantity} of ρ over {} wavelengths", errors.len()),
        published: "spectrum".into(),
        model: "spectrum".into(),
        error,
        unit: "dB",
        goal: Some(goal),
    };
    Ok(vec![row("mean", mean, 1.0), row("spread", spread, 0.4)])
}

fn burenkov(with: Model) -> Result<Vec<Row>, Failure> {
    let fibre = Fibre::g652d();
    let mut rows = Vec::new();
    for (direction, column) in [("forward", 2), ("backward", 3)] {
        for (pump, beta) in curve(BURENKOV, column)?.points() {
            let (pump_thz, wave_thz) = (nm_of(pump), nm_of(1550.0));
            // Photons a photon, from watts a watt; a metre, from a kilometre.
            let density = with.raman * fibre.raman_density_per_km_w(pump_thz, wave_thz, KELVIN);
            let model = density * 1e-3 * pump_thz / wave_thz;
            rows.push(Row {
                source: "Burenkov 2023",
                quantity: format!("β {pump} to 1550 nm, {direction}"),
                published: format!("{beta:.2e} /(m Hz)"),
                model: format!("{model:.2e}"),
                error: decibel(model / beta),
                unit: "dB",
                goal: Some(1.0),
            });
        }
    }
    Ok(rows)
}

/// 0 dBm at 1550.12 nm beside CV at 1531.12 nm, 25 km, 0.5 dB of add/drop: noise at Bob in shot-noise units.
fn kumar(with: Model) -> Vec<Row> {
    let evolution = Evolution::solve(&Fibre::g652d(), &[(nm_of(1550.12), 1e-3)], 25.0, with.stimulated);
    let quantum_thz = nm_of(1531.12);
    let row = |direction, name: &str, published: f64| {
        let density: f64 = evolution.scattered_w_per_hz(quantum_thz, direction, KELVIN).iter().sum();
        let model = with.raman * density / (PLANCK * quantum_thz * 1e12) * 10_f64.powf(-0.05);
        Row {
            source: "Kumar 2015",
            quantity: format!("CV noise at 25 km, {name}"),
            published: format!("{published:.2e} SNU"),
            model: format!("{model:.2e}"),
            error: decibel(model / published),
            unit: "dB",
            goal: Some(1.0),
        }
    };
    vec![row(Direction::Co, "forward", 1.3e-3), row(Direction::Counter, "backward", 1.6e-3)]
}

/// The demonstration's comb at a power in W a carrier.
fn comb(power_w: f64) -> Vec<(f64, f64)> {
    let band = |first: f64| (0..59).map(move |slot| (first + 0.075 * f64::from(slot), power_w));
    band(186.2).chain(band(191.6)).collect()
}

fn tilt(with: Model) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (dbm, column) in [(17.0, 1), (20.0, 2), (23.0, 3)] {
        let power_w = 10_f64.powf(dbm / 10.0) * 1e-3 / 118.0;
        let evolution = Evolution::solve(&Fibre::g652d(), &comb(power_w), 25.0, with.stimulated);
        let reference: Vec<f64> = curve(GNPY_TILT, column)?.points().map(|(_, gain)| gain).collect();
        let model = evolution.tilt_db();
        let worst =
            model.iter().zip(&reference).map(|(a, b)| a - b).max_by(|a, b| a.abs().total_cmp(&b.abs()));
        let ends = |gains: &[f64]| match (gains.first(), gains.last()) {
            (Some(first), Some(last)) => format!("{first:+.3} to {last:+.3} dB"),
            _ => String::new(),
        };
        rows.push(Row {
            source: "GNPy 3.0.1, order 4",
            quantity: format!("tilt of 118 carriers at +{dbm} dBm, the worst one"),
            published: ends(&reference),
            model: ends(&model),
            error: worst.unwrap_or(f64::NAN),
            unit: "dB",
            goal: Some(0.005),
        });
    }
    Ok(rows)
}

fn quantum(with: Model) -> Result<Vec<Row>, Failure> {
    let power_w = 10_f64.powf(1.7) * 1e-3 / 118.0;
    let evolution = Evolution::solve(&Fibre::g652d(), &comb(power_w), 25.0, with.stimulated);
    let reference = curve(GNPY_QUANTUM, 1)?;
    let row = |(nm, gain): (f64, f64)| {
        let model = evolution.gain_db(nm_of(nm));
        Row {
            source: "GNPy 3.0.1, probe",
            quantity: format!("gain of a channel at {nm} nm, +17 dBm"),
            published: format!("{gain:+.4} dB"),
            model: format!("{model:+.4} dB"),
            error: model - gain,
            unit: "dB",
            goal: Some(0.01),
        }
    };
    Ok(reference.points().map(row).collect())
}

/// Stokes light of the C-band carriers alone; GNPy knows no κ, so the model leaves it away here.
fn stokes(with: Model) -> Result<Vec<Row>, Failure> {
    let fibre =
        Fibre { kappa_db: Curve::new([(0.0, 0.0)]).unwrap_or(Fibre::g652d().kappa_db), ..Fibre::g652d() };
    let carriers = &comb(10_f64.powf(1.7) * 1e-3 / 118.0)[59..];
    let evolution = Evolution::solve(&fibre, carriers, 25.0, with.stimulated);
    let row = |(nm, published): (f64, f64)| {
        let scattered: f64 = evolution.scattered_w_per_hz(nm_of(nm), Direction::Co, KELVIN).iter().sum();
        let model = with.raman * scattered;
        Row {
            source: "GNPy 3.0.1, Stokes",
            quantity: format!("scattering at {nm} nm of the C band, κ = 1"),
            published: format!("{published:.3e} W/Hz"),
            model: format!("{model:.3e}"),
            error: decibel(model / published),
            unit: "dB",
            goal: Some(0.1),
        }
    };
    Ok(curve(GNPY_STOKES, 1)?.points().map(row).collect())
}

/// Integration along the fibre against the closed forms of undepleted carriers: the worst of many.
fn closed_forms() -> Vec<Row> {
    let fibre = Fibre::g652d();
    let worst = |direction: Direction| {
        let mut worst = 0.0_f64;
        for length in [0.5, 10.0, 25.0, 50.0, 100.0, 200.0] {
            for (pump_nm, quantum_nm) in
                [(1530.0, 1310.0), (1550.0, 1490.0), (1600.0, 1550.0), (1550.0, 1625.0)]
            {
                let evolution = Evolution::solve(&fibre, &[(nm_of(pump_nm), 1e-3)], length, Stimulated::Off);
                let integrated: f64 = evolution.reaching_w_km(nm_of(quantum_nm), direction).iter().sum();
                let closed = 1e-3 * closed_form(&fibre, [pump_nm, quantum_nm], length, direction);
                let error = decibel(integrated / closed);
                worst = if error.abs() > worst.abs() { error } else { worst };
            }
        }
        worst
    };
    let row = |direction: Direction| Row {
        source: "closed form",
        quantity: format!("integration along the fibre, {}, 0.5 to 200 km, the worst", direction.name()),
        published: "closed form".into(),
        model: "integrated".into(),
        error: worst(direction),
        unit: "dB",
        goal: Some(0.02),
    };
    vec![row(Direction::Co), row(Direction::Counter)]
}

fn closed_form(fibre: &Fibre, [pump_nm, quantum_nm]: [f64; 2], length: f64, direction: Direction) -> f64 {
    let (pump, wave) = (fibre.attenuation_per_km(pump_nm), fibre.attenuation_per_km(quantum_nm));
    match direction {
        Direction::Co => (-wave * length).exp() * -(-(pump - wave) * length).exp_m1() / (pump - wave),
        Direction::Counter => -(-(pump + wave) * length).exp_m1() / (pump + wave),
    }
}

/// A weak wave that meets a strong pump gains exp(C·P·L_eff).
fn against(with: Model) -> Option<Row> {
    let (fibre, pump_thz, wave_thz, power_w, length_km) =
        (Fibre::g652d(), nm_of(1455.0), nm_of(1550.0), 0.3, 50.0);
    let light = [&[(wave_thz, 1e-9)][..], &[(pump_thz, power_w)]];
    let [wave, _] = Evolution::solve_both(&fibre, light, length_km, with.stimulated);
    let attenuation = fibre.attenuation_per_km(nm_of(pump_thz));
    let effective = -(-attenuation * length_km).exp_m1() / attenuation;
    let closed = decibel((fibre.raman_gain_per_km_w(pump_thz, wave_thz) * power_w * effective).exp());
    let model = *wave.tilt_db().first()?;
    Some(Row {
        source: "closed form",
        quantity: "gain of a weak wave at 1550 nm against 0.3 W at 1455 nm, 50 km".into(),
        published: format!("{closed:+.4} dB"),
        model: format!("{model:+.4} dB"),
        error: model - closed,
        unit: "dB",
        goal: Some(0.02),
    })
}

fn t12(overrides: &[String]) -> Result<Vec<Row>, Failure> {
    let text = Scenario::shipped("iown-47t2").or_exit(Exit::Internal)?;
    let given: Vec<String> = T12.iter().map(|own| (*own).to_owned()).chain(overrides.to_vec()).collect();
    let scenario = Scenario::from_text("T12", text, &given).or_exit(Exit::Internal)?;
    let model = budget(&scenario).bb84;
    let background = 2.0 * scenario.bb84.dark_count_probability
        + scenario.bb84.afterpulse_probability * model.click_by_intensity[0];
    let row = |quantity: &str, [published, model, error]: [f64; 3], unit, goal| Row {
        source: "Lucamarini 2013, T12, 50 km",
        quantity: quantity.into(),
        published: format!("{published:.4e}"),
        model: format!("{model:.4e}"),
        error,
        unit,
        goal,
    };
    let ratio = |published: f64, model: f64| [published, model, 100.0 * (model / published - 1.0)];
    let secret = key::bb84_secret_bit_per_s(&scenario, &model);
    let qber = model.qber;
    Ok(vec![
        row("sifted bits a second, key basis", ratio(4.18e6, model.sifted_bit_per_s), "%", Some(10.0)),
        row("QBER, key basis", [0.0426, qber, 100.0 * (qber - 0.0426)], "% absolute", Some(0.5)),
        row("background of a gate, from dark counts and afterpulses", ratio(2.949e-4, background), "%", None),
        row(
            "secret bits a second: rigorous bound beside the published analysis",
            ratio(1.09e6, secret),
            "%",
            None,
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_with_a_goal_meets_it() {
        for row in rows(&[]).expect("the rows ship") {
            assert!(!row.misses(), "{}, {}: {} {}", row.source, row.quantity, row.error, row.unit);
        }
    }

    #[test]
    fn a_mechanism_that_is_switched_off_is_missed_by_its_rows() {
        let raman = ["Smith", "Eraerds", "Burenkov", "Kumar", "GNPy 3.0.1, Stokes"];
        let stimulated = ["GNPy 3.0.1, order 4", "GNPy 3.0.1, probe"];
        for (switch, sources) in [("noise.raman=off", &raman[..]), ("noise.stimulated=off", &stimulated)] {
            let rows = rows(&[switch.to_owned()]).expect("the rows ship");
            for source in sources {
                let mut own = rows.iter().filter(|row| row.source.starts_with(source)).peekable();
                assert!(own.peek().is_some() && own.any(Row::misses), "{switch}: {source}");
            }
        }
        assert!(run(true, &["link.length_km=3".into()]).is_err(), "nothing else acts on them");
    }
}
