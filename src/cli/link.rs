//! `keystill link`: the noise budget of a scenario, on one screen; and what can be asked about it.

mod fit;
mod key;
mod optimise;
mod plan;
mod plot;
mod record;
mod screen;
mod validate;

use std::path::PathBuf;

use keystill::channel::{Budget, DataChannel, LoadedSpan, Ride, Scenario, budget, data_channels};
use serde_json::Value;

use super::Failure;
use super::world::load_scenario;

/// Show what the data carriers do to both quantum channels, and the counts, noise and key to expect.
///
/// Example: keystill link --set data.launch_power_dbm=20 --json
/// Example: keystill link --scenario 50-km --plan --plot spectrum.svg
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
    /// Print published measurements and other programs' results beside the model, as a table; `--set noise.raman=off` and the like act on it.
    #[arg(long, group = "question", conflicts_with_all = ["scenario", "plot"])]
    validate: bool,
    /// Tell the best wavelength of each protocol, the launch power at which its key ends, and what eight more carriers change.
    #[arg(long, group = "question")]
    plan: bool,
    /// Find intensities, probabilities, modulation variance and block length for the most key.
    #[arg(long, group = "question")]
    optimise: bool,
    /// Fit κ(Δ) to a measured spectrum: columns wavelength_nm and rho (1/(km nm)) or dbm_per_nm (backward).
    #[arg(long, group = "question", value_name = "FILE.csv")]
    fit: Option<PathBuf>,
    /// Wavelength of the pump behind a spectrum.
    #[arg(long, default_value_t = 1550.0, requires = "fit", value_name = "NM")]
    pump_nm: f64,
    /// Power of the pump at the fibre's input, for a spectrum in dBm.
    #[arg(long, default_value_t = 0.0, requires = "fit", allow_hyphen_values = true, value_name = "DBM")]
    pump_dbm: f64,
    /// Draw the carriers, the noise and both quantum windows.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.validate {
        return validate::run(args.json, &args.overrides);
    }
    let scenario = load_scenario(&args.scenario, &args.overrides)?;
    if let Some(file) = &args.plot {
        plot::run(file, &scenario)?;
    }
    if args.plan {
        return plan::run(&scenario, args.json);
    }
    if args.optimise {
        return optimise::run(&scenario, args.json);
    }
    if let Some(file) = &args.fit {
        let pump = fit::Pump { wavelength_nm: args.pump_nm, power_dbm: args.pump_dbm };
        return fit::run(file, pump, &scenario, args.json);
    }
    let budget = budget(&scenario);
    let outlook = plan::Outlook::new(&scenario, &budget);
    let data: Vec<_> = scenario.fibres().into_iter().map(|ride| (ride, data_of(&scenario, ride))).collect();
    if !args.json {
        screen::print(&scenario, &budget, secret(&scenario, &budget));
        println!();
        data.iter().for_each(|(ride, channels)| screen::print_data(*ride, channels));
        screen::print_outlook(&outlook);
        return Ok(());
    }
    for (protocol, mut record) in expected(&scenario).into_iter().enumerate() {
        outlook.tell(protocol, &mut record);
        let rides = [scenario.bb84.rides, scenario.cv.rides][protocol];
        for (ride, channels) in &data {
            let name = if *ride == rides { "data_carriers" } else { "other_fibre_data_carriers" };
            record[name] = record::data_carriers(channels);
        }
        println!("{record}");
    }
    Ok(())
}

/// The data carriers of one fibre at their receivers.
fn data_of(scenario: &Scenario, ride: Ride) -> Vec<DataChannel> {
    let fibre = scenario.on(ride);
    data_channels(&LoadedSpan::new(&fibre, &fibre.carriers()))
}

/// What the model expects of both quantum channels, BB84 first: the records of `link --json`.
pub(crate) fn expected(scenario: &Scenario) -> [Value; 2] {
    let budget = budget(scenario);
    let secret = secret(scenario, &budget);
    [record::bb84_json(scenario, &budget.bb84, secret[0]), record::cv_json(scenario, &budget.cv, secret[1])]
}

/// Secret bits a second to expect, BB84 first.
fn secret(scenario: &Scenario, budget: &Budget) -> [f64; 2] {
    [key::bb84_secret_bit_per_s(scenario, &budget.bb84), key::cv_secret_bit_per_s(scenario, &budget.cv)]
}
