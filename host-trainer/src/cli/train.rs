//! `gmcf train`.

use super::CliError;
use super::args::{TrainArgs, TrainCommand};
use super::output::Bar;
use crate::train;

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
    }
}
