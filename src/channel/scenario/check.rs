//! What every value of a scenario may be.

use std::borrow::Cow;

use super::place::line_with;
use super::{Attenuation, Carrier, Fibre, FibreTable, Ride, Scenario, ScenarioError};
use crate::channel::nm_of;

/// One value: section and key, how it reads, what would be right, whether it is.
struct Rule {
    field: String,
    value: String,
    allowed: Cow<'static, str>,
    holds: bool,
}

/// Whether all values are possible; `before` holds each override with the scenario that it changed.
pub(super) fn check(
    scenario: &Scenario,
    origin: &str,
    text: &str,
    before: &[(&str, Scenario)],
) -> Result<(), ScenarioError> {
    let Some(broken) = rules(scenario).into_iter().find(|rule| !rule.holds) else { return Ok(()) };
    let origin = match culprit(&broken.field, before) {
        Some(given) => format!("--set {given}"),
        None => match line_with(text, &broken.field) {
            Some(line) => format!("{origin}, line {line}"),
            None => origin.to_owned(),
        },
    };
    Err(ScenarioError::Value { origin, field: broken.field, value: broken.value, allowed: broken.allowed })
}

fn rules(scenario: &Scenario) -> Vec<Rule> {
    let own = [bb84(scenario), cv(scenario), coherent(scenario), times(scenario)].into_iter().flatten();
    let on = scenario.on(Ride::Second);
    let mut second = fibre(&on);
    second.extend(scenario.second.fibre.as_ref().and_then(|own| unused(&on.link.fibre, own)));
    second.iter_mut().for_each(|rule| rule.field.insert_str(0, "second."));
    let unused = unused(&scenario.link.fibre, &scenario.fibre);
    fibre(scenario).into_iter().chain(own).chain(unused).chain(second).collect()
}

/// Of a fibre and all the light in it.
fn fibre(scenario: &Scenario) -> Vec<Rule> {
    let rules = [link(scenario), data(scenario), beside(scenario)].into_iter().flatten();
    rules.chain(measured(scenario)).collect()
}

/// A fibre's measured attenuation reaches all light in it: nobody knows the loss beyond.
fn measured(scenario: &Scenario) -> Option<Rule> {
    let Attenuation::Measured(curve) = scenario.fibre().attenuation else { return None };
    let [low, high] = curve.ends();
    let light = light_nm(scenario);
    let [least, most] =
        [light.iter().copied().fold(low, f64::min), light.iter().copied().fold(high, f64::max)];
    Some(Rule {
        field: "fibre.attenuation".into(),
        value: format!("points from {low} to {high} nm"),
        allowed: format!(
            "points from {:.1} to {:.1} nm, where there is light: measure there too, or move the light",
            (least * 10.0).floor() / 10.0,
            (most * 10.0).ceil() / 10.0
        )
        .into(),
        holds: least >= low && most <= high,
    })
}

/// All light in the first fibre, in nm.
fn light_nm(scenario: &Scenario) -> Vec<f64> {
    let channels =
        [(scenario.bb84.rides, scenario.bb84.wavelength_nm), (scenario.cv.rides, scenario.cv.wavelength_nm)];
    let quantum = channels.into_iter().filter(|(rides, _)| *rides == Ride::First).map(|(_, nm)| nm);
    let carriers = scenario.carriers().into_iter().filter(|carrier| carrier.power_w > 0.0);
    let signals = scenario.signal.iter().map(|signal| signal.wavelength_nm);
    quantum.chain(carriers.map(|carrier| nm_of(carrier.thz))).chain(signals).collect()
}

/// Properties of a fibre count only under its name.
fn unused(fibre: &str, table: &FibreTable) -> Option<Rule> {
    let is_known = Fibre::named(fibre).is_some();
    (is_known && *table != FibreTable::default()).then(|| Rule {
        field: "link.fibre".into(),
        value: format!("{fibre:?}"),
        allowed: "the name in the section [fibre], or no such section: its values would not count".into(),
        holds: false,
    })
}

/// The override to blame for a field: the last one before which its rule held, whatever it set; or else the last
/// that set the field, or a part of it.
fn culprit<'a>(field: &str, before: &[(&'a str, Scenario)]) -> Option<&'a str> {
    let held = |scenario: &Scenario| {
        let mut own = rules(scenario).into_iter().filter(|rule| rule.field == field).peekable();
        own.peek().is_some() && own.all(|rule| rule.holds)
    };
    let sets = |given: &str| {
        let name = given.split('=').next().unwrap_or(given).trim();
        name == field || name.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
    };
    let mut last = before.iter().rev();
    let broke = last.find(|(_, scenario)| held(scenario));
    broke.or_else(|| before.iter().rev().find(|(given, _)| sets(given))).map(|(given, _)| *given)
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and texts alike, most of them made on the spot")]
fn rule(field: &str, value: impl ToString, allowed: &'static str, holds: bool) -> Rule {
    Rule { field: field.to_owned(), value: value.to_string(), allowed: allowed.into(), holds }
}

fn within(field: &str, value: f64, [low, high]: [f64; 2], allowed: &'static str) -> Rule {
    rule(field, value, allowed, (low..=high).contains(&value))
}

fn probability(field: &str, value: f64) -> Rule {
    within(field, value, [0.0, 1.0], "a probability from 0 to 1")
}

fn decibel(field: &str, value: f64) -> Rule {
    within(field, value, [0.0, 300.0], "0 to 300 dB")
}

fn wavelength(field: &str, nm: f64) -> Rule {
    within(field, nm, [1260.0, 1625.0], "1260 to 1625 nm")
}

fn link(scenario: &Scenario) -> Vec<Rule> {
    let (link, table) = (&scenario.link, &scenario.fibre);
    let known = Fibre::named(&link.fibre).is_some() || (!link.fibre.is_empty() && link.fibre == table.name);
    let measured = &table.attenuation;
    vec![
        within("link.length_km", link.length_km, [0.1, 200.0], "0.1 to 200 km"),
        rule(
            "link.fibre",
            format!("{:?}", link.fibre),
            "a known fibre: \"G.652.D\" or \"G.654.E\", or a file of the section [fibre], *.toml",
            known,
        ),
        within("link.temperature_k", link.temperature_k, [200.0, 350.0], "200 to 350 K"),
        rule(
            "fibre.attenuation",
            format!("{measured:?}"),
            "pairs of nm and dB/km, the latter from 0.01 to 10",
            measured.iter().all(|[nm, db]| (800.0..2000.0).contains(nm) && (0.01..=10.0).contains(db)),
        ),
        rule(
            "fibre.effective_area_um2",
            table.effective_area_um2,
            "0 (that of G.652.D), or 10 to 200 µm²",
            table.effective_area_um2 == 0.0 || (10.0..=200.0).contains(&table.effective_area_um2),
        ),
        within("fibre.raman_strength", table.raman_strength, [0.0, 10.0], "0 (that of G.652.D) to 10"),
        within(
            "fibre.dispersion_ps_per_nm_km",
            table.dispersion_ps_per_nm_km,
            [0.0, 100.0],
            "0 (that of G.652.D) to 100 ps/(nm km)",
        ),
        within(
            "fibre.nonlinear_index_e20_m2_per_w",
            table.nonlinear_index_e20_m2_per_w,
            [0.0, 100.0],
            "0 (that of G.652.D) to 100 (10^-20 m²/W)",
        ),
        within(
            "fibre.backscatter_per_s",
            table.backscatter_per_s,
            [0.0, 1000.0],
            "0 (that of G.652.D) to 1000 /s",
        ),
        rule(
            "fibre.kappa",
            format!("{:?}", table.kappa),
            "pairs of THz and dB, the latter from -20 to 20",
            table.kappa.iter().all(|[thz, db]| (0.0..100.0).contains(thz) && db.abs() <= 20.0),
        ),
    ]
}

fn data(scenario: &Scenario) -> Vec<Rule> {
    let data = &scenario.data;
    let centres = data.slot_centres_thz();
    let mut in_order = centres.clone();
    in_order.sort_by(f64::total_cmp);
    let apart = in_order.windows(2).all(|pair| pair[1] - pair[0] >= data.slot_ghz * 1e-3 * 0.999);
    let pairs = data.carriers_800g.iter().zip(&data.slots).all(|(wide, slots)| 2 * wide <= *slots);
    let fits = data.carriers_800g.len() <= data.slots.len() && pairs;
    let powers = &data.carrier_power_dbm;
    vec![
        within("data.launch_power_dbm", data.launch_power_dbm, [-200.0, 30.0], "-200 (off) to 30 dBm"),
        within("data.slot_ghz", data.slot_ghz, [6.25, 1000.0], "6.25 to 1000 GHz"),
        rule(
            "data.slots",
            format!("{:?}", data.slots),
            "one number for each of first_slot_thz, at most 2000 in all",
            data.slots.len() == data.first_slot_thz.len() && centres.len() <= 2000,
        ),
        rule(
            "data.first_slot_thz",
            format!("{:?}", data.first_slot_thz),
            "bands between 184.5 and 196.5 THz whose slots do not overlap",
            apart && centres.iter().all(|centre| (184.5..=196.5).contains(centre)),
        ),
        rule(
            "data.carriers_800g",
            format!("{:?}", data.carriers_800g),
            "at most one number a band, at most half the band's slots",
            fits,
        ),
        rule(
            "data.dark_thz",
            format!("{:?}", data.dark_thz),
            "pairs of THz, the lower first",
            data.dark_thz.iter().all(|[from, to]| from <= to),
        ),
        rule(
            "data.carrier_power_dbm",
            format!("{powers:?}"),
            "pairs of a carrier's THz and its power from -200 to 30 dBm",
            powers.iter().all(|[thz, dbm]| {
                let near = |carrier: &Carrier| (carrier.thz - thz).abs() < 0.5e-3 * data.slot_ghz;
                (-200.0..=30.0).contains(dbm) && data.lit(&[]).iter().any(near)
            }),
        ),
        within("data.modem.occupancy", data.modem.occupancy, [0.1, 1.0], "0.1 to 1"),
        decibel("data.modem.transceiver_snr_db", data.modem.transceiver_snr_db),
        decibel("data.modem.required_gsnr_400g_db", data.modem.required_gsnr_400g_db),
        decibel("data.modem.required_gsnr_800g_db", data.modem.required_gsnr_800g_db),
        decibel("data.modem.preamplifier_noise_figure_db", data.modem.preamplifier_noise_figure_db),
    ]
}

fn beside(scenario: &Scenario) -> Vec<Rule> {
    let (amplifier, filters) = (&scenario.amplifier, &scenario.filters);
    let mut rules = vec![
        within("amplifier.noise_figure_db", amplifier.noise_figure_db, [3.0, 30.0], "3 to 30 dB"),
        within("amplifier.gain_db", amplifier.gain_db, [0.0, 60.0], "0 to 60 dB"),
        decibel("amplifier.roll_off_db", amplifier.roll_off_db),
        decibel("filters.mux_isolation_db", filters.mux_isolation_db),
        decibel("filters.bb84_isolation_db", filters.bb84_isolation_db),
        decibel("filters.cv_isolation_db", filters.cv_isolation_db),
        decibel("filters.add_loss_db", filters.add_loss_db),
        decibel("filters.drop_loss_db", filters.drop_loss_db),
        within("filters.cv_passband_nm", filters.cv_passband_nm, [1e-5, 100.0], "0.00001 to 100 nm"),
    ];
    for (place, signal) in scenario.signal.iter().enumerate() {
        rules.push(wavelength(&format!("signal.{place}.wavelength_nm"), signal.wavelength_nm));
        let field = format!("signal.{place}.power_dbm");
        rules.push(within(&field, signal.power_dbm, [-200.0, 30.0], "-200 (off) to 30 dBm"));
    }
    rules
}

fn bb84(scenario: &Scenario) -> Vec<Rule> {
    let bb84 = &scenario.bb84;
    let [bright, decoy, dim] = bb84.mean_photons;
    let sum: f64 = bb84.probabilities.iter().sum();
    let frames = bb84.block_s * 1e3 >= bb84.frame_ms && bb84.block_s <= 3600.0;
    let gates = bb84.frame_ms * bb84.clock_ghz * 1e6;
    vec![
        wavelength("bb84.wavelength_nm", bb84.wavelength_nm),
        within("bb84.clock_ghz", bb84.clock_ghz, [0.001, 10.0], "0.001 to 10 GHz"),
        rule(
            "bb84.mean_photons",
            format!("{:?}", bb84.mean_photons),
            "three numbers, brightest first, the first above the sum of the others, none above 2",
            bright > decoy + dim && decoy > dim && dim >= 0.0 && bright <= 2.0,
        ),
        rule(
            "bb84.probabilities",
            format!("{:?}", bb84.probabilities),
            "three positive numbers of sum 1",
            (sum - 1.0).abs() < 1e-9 && bb84.probabilities.iter().all(|p| *p > 0.0),
        ),
        within(
            "bb84.test_probability",
            bb84.test_probability,
            [f64::MIN_POSITIVE, 1.0 - 1e-12],
            "above 0 and below 1",
        ),
        within("bb84.filter_nm", bb84.filter_nm, [1e-5, 100.0], "0.00001 to 100 nm"),
        within("bb84.gate_ps", bb84.gate_ps, [0.0, 1000.0 / bb84.clock_ghz], "0 to the clock's period"),
        within("bb84.receiver_loss_db", bb84.receiver_loss_db, [0.0, 60.0], "0 to 60 dB"),
        probability("bb84.detector_efficiency", bb84.detector_efficiency),
        probability("bb84.dark_count_probability", bb84.dark_count_probability),
        probability("bb84.afterpulse_probability", bb84.afterpulse_probability),
        within("bb84.afterpulse_gates", bb84.afterpulse_gates, [1.0, 100.0], "1 to 100"),
        rule("bb84.dead_gates", bb84.dead_gates, "0 to 1000 gates", bb84.dead_gates <= 1000),
        probability("bb84.misalignment", bb84.misalignment),
        rule(
            "bb84.frame_ms",
            bb84.frame_ms,
            "0.01 to 1000 ms, at most 2^31 gates",
            (0.01..=1000.0).contains(&bb84.frame_ms) && gates <= 2e9,
        ),
        rule("bb84.block_s", bb84.block_s, "at least one frame and at most 3600 s", frames),
        within("bb84.epsilon", bb84.epsilon, [f64::MIN_POSITIVE, 1.0 - 1e-12], "above 0 and below 1"),
        within("bb84.detector.jitter_ps", bb84.detector.jitter_ps, [0.0, 1e4], "0 to 10000 ps"),
        within(
            "bb84.detector.timing_offset_ps",
            bb84.detector.timing_offset_ps,
            [-1e4, 1e4],
            "-10000 to 10000 ps",
        ),
        within("bb84.detector.mismatch", bb84.detector.mismatch, [-0.5, 0.5], "-0.5 to 0.5"),
    ]
}

fn cv(scenario: &Scenario) -> Vec<Rule> {
    let cv = &scenario.cv;
    let symbols = cv.frame_ms * cv.symbol_rate_mbd * 1e3;
    let samples = f64::from(cv.sample_symbols);
    vec![
        wavelength("cv.wavelength_nm", cv.wavelength_nm),
        within("cv.symbol_rate_mbd", cv.symbol_rate_mbd, [0.01, 10_000.0], "0.01 to 10000 MBd"),
        within(
            "cv.modulation_variance_snu",
            cv.modulation_variance_snu,
            [0.01, 100.0],
            "0.01 to 100 shot-noise units",
        ),
        within(
            "cv.technical_excess_noise_snu",
            cv.technical_excess_noise_snu,
            [0.0, 10.0],
            "0 to 10 shot-noise units",
        ),
        within(
            "cv.receiver_efficiency",
            cv.receiver_efficiency,
            [f64::MIN_POSITIVE, 1.0],
            "above 0, at most 1",
        ),
        within("cv.electronic_noise_snu", cv.electronic_noise_snu, [0.0, 10.0], "0 to 10 shot-noise units"),
        rule(
            "cv.calibration_samples",
            cv.calibration_samples,
            "at least 1000000",
            cv.calibration_samples >= 1_000_000,
        ),
        rule(
            "cv.frame_ms",
            cv.frame_ms,
            "0.01 to 1000 ms, at most 2^26 symbols",
            (0.01..=1000.0).contains(&cv.frame_ms) && symbols <= 67e6,
        ),
        rule(
            "cv.sample_symbols",
            cv.sample_symbols,
            "1000 to a quarter of the block",
            samples >= 1000.0 && samples * 4.0 <= cv.block_s * cv.symbol_rate_mbd * 1e6,
        ),
        rule(
            "cv.block_s",
            cv.block_s,
            "at least one frame and at most 3600 s",
            cv.block_s * 1e3 >= cv.frame_ms && cv.block_s <= 3600.0,
        ),
        within("cv.epsilon", cv.epsilon, [f64::MIN_POSITIVE, 1.0 - 1e-12], "above 0 and below 1"),
        within(
            "cv.calibration_epsilon",
            cv.calibration_epsilon,
            [0.0, 0.24 * cv.epsilon],
            "from 0 to 0.24 cv.epsilon",
        ),
        rule(
            "cv.receiver_efficiency_spread",
            cv.receiver_efficiency_spread,
            "from 0, within an efficiency above 0 and at most 1",
            (0.0..cv.receiver_efficiency).contains(&cv.receiver_efficiency_spread)
                && cv.receiver_efficiency + cv.receiver_efficiency_spread <= 1.0,
        ),
        within(
            "cv.electronic_noise_spread_snu",
            cv.electronic_noise_spread_snu,
            [0.0, cv.electronic_noise_snu],
            "from 0 to cv.electronic_noise_snu",
        ),
    ]
}

fn coherent(scenario: &Scenario) -> Vec<Rule> {
    let receiver = &scenario.cv.receiver;
    vec![
        within("cv.receiver.linewidth_khz", receiver.linewidth_khz, [0.0, 1e6], "0 to 1000000 kHz"),
        within("cv.receiver.pilot_delay_ns", receiver.pilot_delay_ns, [0.0, 1e6], "0 to 1000000 ns"),
        within("cv.receiver.pilot_snr_db", receiver.pilot_snr_db, [0.0, 200.0], "0 to 200 dB"),
        within("cv.receiver.imbalance", receiver.imbalance, [-0.5, 0.5], "-0.5 to 0.5"),
        within("cv.receiver.imbalance_deg", receiver.imbalance_deg, [-45.0, 45.0], "-45 to 45 degrees"),
        rule(
            "cv.receiver.adc_bits",
            receiver.adc_bits,
            "0 (ideal), or 2 to 16",
            receiver.adc_bits == 0 || (2..=16).contains(&receiver.adc_bits),
        ),
        within(
            "cv.receiver.adc_range",
            receiver.adc_range,
            [0.1, 1e4],
            "0.1 to 10000 square roots of shot-noise units",
        ),
    ]
}

fn times(scenario: &Scenario) -> Vec<Rule> {
    let drift = &scenario.drift;
    let spread = |field: &str, value: f64| within(field, value, [0.0, 1000.0], "0 (none) to 1000");
    let mut rules = vec![
        within("drift.correlation_s", drift.correlation_s, [1.0, 1e6], "1 to 1000000 s"),
        within(
            "drift.polarisation_correlation_s",
            drift.polarisation_correlation_s,
            [1.0, 1e6],
            "1 to 1000000 s",
        ),
        within("drift.hours", drift.hours, [0.1, 48.0], "0.1 to 48 h"),
        spread("drift.loss_db", drift.loss_db),
        spread("drift.launch_db", drift.launch_db),
        spread("drift.temperature_k", drift.temperature_k),
        spread("drift.daily_k", drift.daily_k),
        spread("drift.polarisation_rad", drift.polarisation_rad),
        spread("drift.timing_ps", drift.timing_ps),
        spread("drift.phase_rad", drift.phase_rad),
    ];
    for (place, event) in scenario.event.iter().enumerate() {
        let field = |key: &str| format!("event.{place}.{key}");
        rules.push(within(&field("at_s"), event.at_s, [0.0, 1e9], "0 s or later"));
        rules.push(within(&field("duration_s"), event.duration_s, [0.0, 1e9], "0 s or longer"));
        rules.push(within(&field("size_db"), event.size_db, [-60.0, 60.0], "-60 to 60 dB"));
        let ordered = event.thz[0] <= event.thz[1];
        rules.push(rule(&field("thz"), format!("{:?}", event.thz), "two THz, the lower first", ordered));
    }
    rules
}
