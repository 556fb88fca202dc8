//! `gmcf train`.

use super::CliError;
use super::args::{BaseModelArgs, TrainArgs, TrainCommand};
use super::output::{Bar, print};
use crate::report::format::thousands;
use crate::train;
use crate::train::neural::{self, Watched};

pub(super) fn run(args: &TrainArgs) -> Result<(), CliError> {
    match &args.what {
        TrainCommand::Mix(mix) => {
            let wanted = train::MixArgs { corpus: mix.corpus.clone(), output: mix.output.clone(), epochs: mix.epochs };
            let bar = Bar::new();
            let watch = |step: train::Step| {
                bar.step(step.stage, step.done as u64, step.all as u64);
            };
            train::mix(&wanted, &watch).map_err(CliError::io("train on", &mix.corpus))
        }
        TrainCommand::Base(args) => base(args),
    }
}

fn base(args: &BaseModelArgs) -> Result<(), CliError> {
    let wanted = neural::BaseArgs {
        folders: args.folders.clone(),
        output: args.output.clone(),
        size: args.size.clone(),
        epochs: args.epochs.into(),
        seed: args.seed,
        threads: args.threads.into(),
    };
    let bar = Bar::new();
    let watch = |watched: Watched| match watched {
        Watched::Network(progress) => {
            bar.step(&format!("network, {:.3} bits a byte", progress.loss), progress.seen, progress.all);
        }
        Watched::Mix(done, all) => bar.step("last stage", done as u64, all as u64),
    };
    let outcome = neural::base(&wanted, &watch).map_err(CliError::io("train on", &args.folders[0]))?;
    drop(bar);
    let (files, bytes) = outcome.held_back;
    print(&format!(
        "learned from {} bytes; model of {} bytes\n{files} files held back, {} bytes: {:.0} bytes by the network alone, \
         {} bytes as GMCF files\n",
        thousands(outcome.learned),
        thousands(outcome.model),
        thousands(bytes),
        outcome.float,
        thousands(outcome.coded),
    ))
}
