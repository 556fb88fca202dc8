//! `gmcf train`.

use super::CliError;
use super::args::{TrainArgs, TrainCommand};
use crate::train;

pub(super) fn run(args: &TrainArgs) -> Result<(), CliError> {
    match &args.what {
        TrainCommand::Mix(mix) => {
            let wanted = train::MixArgs { corpus: mix.corpus.clone(), output: mix.output.clone() };
            train::mix(&wanted).map_err(CliError::io("train on", &mix.corpus))
        }
    }
}
