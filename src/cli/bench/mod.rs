//! `keystill bench`: throughput and quality of one stage on this machine. Each stage is one file.

mod amplify;
mod auth;
mod cascade;
mod curve;
mod cv;
#[cfg(feature = "serve")]
mod delivery;
mod ldpc;
mod pipeline;
mod sim;
mod timing;

use clap::Subcommand;

use super::Failure;

/// Measure throughput and quality of one stage on this machine.
///
/// Example: keystill bench amplify --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    stage: Stage,
}

#[derive(Debug, Subcommand)]
enum Stage {
    Amplify(amplify::Args),
    Auth(auth::Args),
    Cascade(cascade::Args),
    Curve(curve::Args),
    Cv(cv::Args),
    #[cfg(feature = "serve")]
    Delivery(delivery::Args),
    Ldpc(ldpc::Args),
    Pipeline(pipeline::Args),
    Sim(sim::Args),
    Timing(timing::Args),
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    match args.stage {
        Stage::Amplify(args) => amplify::run(args),
        Stage::Auth(args) => auth::run(args),
        Stage::Cascade(args) => cascade::run(args),
        Stage::Curve(args) => curve::run(&args),
        Stage::Cv(args) => cv::run(args),
        #[cfg(feature = "serve")]
        Stage::Delivery(args) => delivery::run(&args),
        Stage::Ldpc(args) => ldpc::run(&args),
        Stage::Pipeline(args) => pipeline::run(&args),
        Stage::Sim(args) => sim::run(&args),
        Stage::Timing(args) => timing::run(&args),
    }
}
