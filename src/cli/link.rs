//! `keystill link`: the noise budget of a scenario, on one screen; and what can be asked about it.

mod key;
mod record;
mod screen;
mod validate;

use keystill::channel::{Budget, LoadedSpan, Scenario, budget, data_channels};
use serde_json::Value;

use super::Failure;
use super::world::load_scenario;

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
    /// Print published measurements and other programs' results beside the model, as a table.
    #[arg(long)]
    validate: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.validate {
        return validate::run(args.json);
    }
    let scenario = load_scenario(&args.scenario, &args.overrides)?;
    let channels = data_channels(&LoadedSpan::new(&scenario, &scenario.carriers()));
    if args.json {
        for mut record in expected(&scenario) {
            record["data_carriers"] = record::data_carriers(&channels);
            println!("{record}");
        }
    } else {
        let budget = budget(&scenario);
        screen::print(&scenario, &budget, secret(&scenario, &budget));
        screen::print_data(&channels);
    }
    Ok(())
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
