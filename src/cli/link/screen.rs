//! The budget on one screen.

use keystill::channel::{Budget, DataChannel, Direction, Mechanism, Ride, Scattering, Scenario};

use super::key::{expected_beta, expected_efficiency};
use super::plan::{KeyEnd, Outlook};
use crate::cli::summary::si;

/// Contributors shown on a screen.
const SHOWN: usize = 4;

pub(super) fn print(scenario: &Scenario, budget: &Budget, [bb84, cv]: [f64; 2]) {
    println!("{}: {}", scenario.name, fibre(scenario));
    if scenario.fibres().contains(&Ride::Second) {
        println!("second fibre: {}", fibre(&scenario.on(Ride::Second)));
    }
    println!();
    let b = &budget.bb84;
    println!("BB84 at {} nm, {}", scenario.bb84.wavelength_nm, way(scenario, scenario.bb84.rides));
    print_scattering(&b.scattering);
    println!("  scattered light    {:.2e} counted photons a gate", b.scattered_per_gate);
    println!(
        "  clicks             {:.3e} a gate, of which afterpulses {:.2e}",
        b.click_rate, b.afterpulse_rate
    );
    println!("  sifted, key basis  {}/s", si(b.sifted_bit_per_s, "bit"));
    println!("  QBER               {:.2} %", 100.0 * b.qber);
    let efficiency = format!("f = {:.3}", expected_efficiency(scenario, b));
    println!("  secret key         {}\n", key(bb84, &efficiency, scenario.bb84.block_s));
    let c = &budget.cv;
    println!("CV at {} nm, {}", scenario.cv.wavelength_nm, way(scenario, scenario.cv.rides));
    print_scattering(&c.scattering);
    println!("  scattered light    {:.2e} photons a mode", c.photons_per_mode);
    println!("  transmittance T    {:.4}", c.transmittance);
    println!(
        "  excess noise ξ     {:.4} SNU at the input, of which scattering {:.4}",
        c.excess_noise_input_snu,
        c.excess_noise_bob_snu / c.transmittance
    );
    println!("  SNR                {:.4} ({:.2} dB) a quadrature", c.snr, 10.0 * c.snr.log10());
    let efficiency = format!("β = {:.3}", expected_beta(scenario, c.snr));
    println!("  secret key         {}", key(cv, &efficiency, scenario.cv.block_s));
}

/// A rate of key, and what it reckons with.
fn key(bit_per_s: f64, efficiency: &str, block_s: f64) -> String {
    if bit_per_s > 0.0 {
        format!("{}/s at {efficiency}, blocks of {block_s} s", si(bit_per_s, "bit"))
    } else {
        format!("none, in blocks of {block_s} s")
    }
}

/// A fibre and its data.
fn fibre(on: &Scenario) -> String {
    let lit = on.carriers().iter().filter(|carrier| carrier.power_w > 0.0).count();
    let data = launched_dbm(on).map_or("dark".to_owned(), |dbm| format!("{lit} carriers, {dbm} dBm in all"));
    format!("{} km of {}, {data}", on.link.length_km, on.link.fibre)
}

/// The power of all carriers, those of their own power too, to a hundredth of a dB; none if the fibre is dark.
pub(super) fn launched_dbm(on: &Scenario) -> Option<f64> {
    let watts: f64 = on.carriers().iter().map(|carrier| carrier.power_w).sum();
    (watts > 0.0).then(|| (1e3 * (watts * 1e3).log10()).round() / 100.0)
}

/// How a channel's fibre lies to its data.
fn way(scenario: &Scenario, rides: Ride) -> String {
    let way = match scenario.on(rides).data.direction {
        Direction::Co => "with the data",
        Direction::Counter => "against the data",
    };
    match rides {
        Ride::First => way.to_owned(),
        Ride::Second => format!("on the second fibre, {way}"),
    }
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
    let shares: Vec<String> = Mechanism::ALL
        .iter()
        .map(|mechanism| (mechanism.name(), scattering.share(*mechanism)))
        .filter(|(_, share)| *share > 0.0)
        .map(|(name, share)| format!("{name} {}", percent(share)))
        .collect();
    if shares.is_empty() {
        println!("  noise              none");
        return;
    }
    println!(
        "  noise              {:.3e} photons/(s nm): {}",
        scattering.noise_photons_per_s_per_nm,
        shares.join(" · ")
    );
    let top: Vec<String> = scattering
        .contributions
        .iter()
        .take(SHOWN)
        .map(|from| {
            format!("{:.3} THz ({}) {}", from.carrier_thz, from.mechanism.name(), percent(from.share))
        })
        .collect();
    println!("  most of it from    {}", top.join(" · "));
}

/// A share with as many digits as it needs.
fn percent(share: f64) -> String {
    match 100.0 * share {
        some if some >= 0.1 => format!("{some:.1} %"),
        trace => format!("{trace:.1e} %"),
    }
}

/// The data carriers of a fibre, in one line.
pub(super) fn print_data(fibre: Ride, channels: &[DataChannel]) {
    let Some(least) = channels.iter().min_by(|a, b| a.margin_db.total_cmp(&b.margin_db)) else { return };
    let total: f64 = channels.iter().map(|channel| channel.carrier.gbit_per_s).sum();
    let spread = |pick: fn(f64, f64) -> f64| {
        channels.iter().map(|channel| channel.tilt_db).reduce(pick).unwrap_or_default()
    };
    println!(
        "{}: {:.1} Tb/s, tilt {:+.3} to {:+.3} dB; GSNR margin at least {:.1} dB ({:.1} dB at {:.3} THz): {}",
        match fibre {
            Ride::First => "Data",
            Ride::Second => "Data of the second fibre",
        },
        total * 1e-3,
        spread(f64::min),
        spread(f64::max),
        least.margin_db,
        least.gsnr_db,
        least.carrier.thz,
        if least.margin_db >= 0.0 { "error-free" } else { "not error-free" }
    );
}

/// Where key ends and what more carriers cost, in two lines.
pub(super) fn print_outlook(outlook: &Outlook) {
    let [bb84, cv] = outlook.ends.map(KeyEnd::words);
    println!("Key ends at a launch power of: BB84 {bb84}, CV {cv}");
    if outlook.with_more == [None; 2] {
        println!("No band has room for eight more carriers");
        return;
    }
    let [bb84, cv] = outlook.with_more.map(|change| match change {
        Some([key, noise]) => format!("{}/s (noise {noise:+.3} dB)", si(key, "bit")),
        None => "no room".to_owned(),
    });
    println!("Key with eight more carriers: BB84 {bb84}, CV {cv}");
}
