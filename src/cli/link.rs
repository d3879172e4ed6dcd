//! `keystill link`: the noise budget of a scenario, on one screen.

use serde_json::{Value, json};

use keystill::bb84::security::{self, Claim, Observation, Source};
use keystill::channel::{Bb84Budget, Budget, CvBudget, Scattering, Scenario, budget};
use keystill::cv::security as cv_security;

use super::Failure;
use super::summary::si;
use super::world::load_scenario;

/// Efficiency that the expected BB84 key rate reckons with.
const EXPECTED_F: f64 = 1.15;
/// Efficiency that the expected CV key rate reckons with.
const EXPECTED_BETA: f64 = 0.91;
/// Carriers shown on a screen.
const SHOWN: usize = 5;

/// Show what the data carriers do to both quantum channels, and the counts, noise and key to expect.
///
/// Example: keystill link --set data.launch_power_dbm=20 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A scenario that ships, or a TOML file.
    #[arg(long, default_value = "iown-47t2", value_name = "NAME|FILE")]
    scenario: String,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    overrides: Vec<String>,
    /// Print one JSON object a line, one a quantum channel.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let scenario = load_scenario(&args.scenario, &args.overrides)?;
    let budget = budget(&scenario);
    let secret = [bb84_secret_bit_per_s(&scenario, &budget.bb84), cv_secret_bit_per_s(&scenario, &budget.cv)];
    if args.json {
        println!("{}", bb84_json(&scenario, &budget.bb84, secret[0]));
        println!("{}", cv_json(&scenario, &budget.cv, secret[1]));
    } else {
        print_screen(&scenario, &budget, secret);
    }
    Ok(())
}

/// What the model expects of both quantum channels, BB84 first: the records of `link --json`.
pub(crate) fn expected(scenario: &Scenario) -> [Value; 2] {
    let budget = budget(scenario);
    let secret = [bb84_secret_bit_per_s(scenario, &budget.bb84), cv_secret_bit_per_s(scenario, &budget.cv)];
    [bb84_json(scenario, &budget.bb84, secret[0]), cv_json(scenario, &budget.cv, secret[1])]
}

/// Secret bits a second from a block of average counts, by the default proof.
fn bb84_secret_bit_per_s(scenario: &Scenario, budget: &Bb84Budget) -> f64 {
    let bb84 = &scenario.bb84;
    let gates = bb84.clock_ghz * 1e9 * bb84.block_s;
    let test = bb84.test_probability * bb84.test_probability;
    let key = (1.0 - bb84.test_probability) * (1.0 - bb84.test_probability);
    let events =
        |share: f64| [0, 1, 2].map(|k| gates * bb84.probabilities[k] * budget.click_by_intensity[k] * share);
    let errors = [0, 1, 2].map(|k| events(test)[k] * budget.qber_by_intensity[k]);
    let seen = Observation {
        key: events(key).map(count),
        test: events(test).map(count),
        test_errors: errors.map(count),
    };
    let q = budget.qber;
    let entropy = -q * q.log2() - (1.0 - q) * (1.0 - q).log2();
    let leak = count(EXPECTED_F * entropy * events(key).iter().sum::<f64>());
    let length = security::key_length(
        &seen,
        &Source::new(bb84.mean_photons, bb84.probabilities),
        &Claim::of_block(bb84.epsilon),
        leak,
    );
    length.map_or(0.0, |length| length.ell as f64 / bb84.block_s)
}

fn cv_secret_bit_per_s(scenario: &Scenario, budget: &CvBudget) -> f64 {
    let cv = &scenario.cv;
    let symbols = count(cv.symbol_rate_mbd * 1e6 * cv.block_s);
    let link = [
        cv.modulation_variance_snu,
        budget.transmittance,
        budget.excess_noise_input_snu,
        cv.receiver_efficiency,
        cv.electronic_noise_snu,
    ];
    let receiver = cv_security::Receiver {
        efficiency: cv_security::Interval::exact(cv.receiver_efficiency),
        electronic_noise: cv_security::Interval::exact(cv.electronic_noise_snu),
        electronic_measured: None,
        calibration_samples: cv.calibration_samples,
        trust: cv_security::gaussian::Trust::Trusted,
    };
    let leak = 2.0 * symbols as f64 * (1.0 - EXPECTED_BETA * 0.5 * (1.0 + budget.snr).log2());
    let kept =
        cv_security::Kept { symbols, failed: cv_security::FailedFrames::Left, disclosed_bits: count(leak) };
    let moments = cv_security::Moments::expected(2 * symbols, link);
    let length =
        cv_security::key_length(&moments, &receiver, &kept, &cv_security::Budget::of_block(cv.epsilon));
    length.map_or(0.0, |length| length.ell as f64 / cv.block_s)
}

fn count(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count: rounded, never negative"
    )]
    let count = value.round().max(0.0) as u64;
    count
}

/// The fields that both quantum channels share.
fn common(scenario: &Scenario, protocol: &str, wavelength_nm: f64, scattering: &Scattering) -> Value {
    json!({
        "protocol": protocol,
        "scenario": scenario.name,
        "wavelength_nm": wavelength_nm,
        "direction": scenario.data.direction.name(),
        "fibre": fibre(scenario),
        "length_km": scenario.link.length_km,
        "launch_power_dbm": scenario.data.launch_power_dbm,
        "loss_db": scattering.loss_db,
        "srs_gain_db": scattering.srs_gain_db,
        "raman_w_per_nm": scattering.raman_w_per_nm,
        "raman_photons_per_s_per_nm": scattering.raman_photons_per_s_per_nm,
        "contributions": scattering.contributions.iter().map(|contribution| json!({
            "mechanism": contribution.mechanism.name(),
            "carrier_thz": contribution.carrier_thz,
            "share": contribution.share,
        })).collect::<Vec<_>>(),
    })
}

fn fibre(scenario: &Scenario) -> &str {
    &scenario.link.fibre
}

fn bb84_json(scenario: &Scenario, budget: &Bb84Budget, secret_bit_per_s: f64) -> Value {
    let mut record = common(scenario, "bb84", scenario.bb84.wavelength_nm, &budget.scattering);
    record["scattered_photons_per_gate"] = json!(budget.scattered_per_gate);
    record["click_probability"] = json!(budget.click_rate);
    record["click_probability_by_intensity"] = json!(budget.click_by_intensity);
    record["qber_by_intensity"] = json!(budget.qber_by_intensity);
    record["qber"] = json!(budget.qber);
    record["sifted_bit_per_s"] = json!(budget.sifted_bit_per_s);
    record["secret_bit_per_s"] = json!(secret_bit_per_s);
    record
}

fn cv_json(scenario: &Scenario, budget: &CvBudget, secret_bit_per_s: f64) -> Value {
    let mut record = common(scenario, "cv", scenario.cv.wavelength_nm, &budget.scattering);
    record["photons_per_mode"] = json!(budget.photons_per_mode);
    record["excess_noise_bob_snu"] = json!(budget.excess_noise_bob_snu);
    record["excess_noise_input_snu"] = json!(budget.excess_noise_input_snu);
    record["transmittance"] = json!(budget.transmittance);
    record["snr"] = json!(budget.snr);
    record["sifted_bit_per_s"] = json!(2e6 * scenario.cv.symbol_rate_mbd);
    record["secret_bit_per_s"] = json!(secret_bit_per_s);
    record
}

fn print_screen(scenario: &Scenario, budget: &Budget, [bb84, cv]: [f64; 2]) {
    let link = &scenario.link;
    println!(
        "{}: {} km of {}, {} carriers, {} dBm in all, {}-propagating\n",
        scenario.name,
        link.length_km,
        fibre(scenario),
        scenario.data.slot_centres_thz().len(),
        scenario.data.launch_power_dbm,
        scenario.data.direction.name()
    );
    let b = &budget.bb84;
    println!("BB84 at {} nm", scenario.bb84.wavelength_nm);
    print_scattering(&b.scattering);
    println!("  scattered light    {:.2e} counted photons a gate", b.scattered_per_gate);
    println!(
        "  clicks             {:.3e} a gate, of which afterpulses {:.2e}",
        b.click_rate, b.afterpulse_rate
    );
    println!("  sifted, key basis  {}/s", si(b.sifted_bit_per_s, "bit"));
    println!("  QBER               {:.2} %", 100.0 * b.qber);
    println!(
        "  secret key         {}/s at f = {EXPECTED_F}, blocks of {} s\n",
        si(bb84, "bit"),
        scenario.bb84.block_s
    );
    let c = &budget.cv;
    println!("CV at {} nm", scenario.cv.wavelength_nm);
    print_scattering(&c.scattering);
    println!("  scattered light    {:.2e} photons a mode", c.photons_per_mode);
    println!("  transmittance T    {:.4}", c.transmittance);
    println!(
        "  excess noise ξ     {:.4} SNU at the input, of which scattering {:.4}",
        c.excess_noise_input_snu,
        c.excess_noise_input_snu - scenario.cv.technical_excess_noise_snu
    );
    println!("  SNR                {:.4} ({:.2} dB) a quadrature", c.snr, 10.0 * c.snr.log10());
    println!(
        "  secret key         {}/s at β = {EXPECTED_BETA}, blocks of {} s",
        si(cv, "bit"),
        scenario.cv.block_s
    );
}

fn print_scattering(scattering: &Scattering) {
    println!(
        "  loss               {:.2} dB; the carriers change it by {:+.3} dB",
        scattering.loss_db, -scattering.srs_gain_db
    );
    println!(
        "  Raman scattering   {:.3e} W/nm, {:.3e} photons/(s nm)",
        scattering.raman_w_per_nm, scattering.raman_photons_per_s_per_nm
    );
    let top: Vec<String> = scattering
        .contributions
        .iter()
        .take(SHOWN)
        .map(|contribution| {
            format!("{:.3} THz {:.1} %", contribution.carrier_thz, 100.0 * contribution.share)
        })
        .collect();
    println!("  most of it from    {}", top.join(" · "));
}
