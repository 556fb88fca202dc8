//! `gmcf train`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;

use super::CliError;
use super::args::{BaseModelArgs, TrainArgs, TrainCommand};
use super::output::{Bar, note, print};
use crate::codec::CodecError;
use crate::files::is_stream;
use crate::report::format::thousands;
use crate::train;
use crate::train::neural::run::Progress;
use crate::train::neural::{self, BaseError, Keep, Outcome, Watched};

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
    let every = Duration::from_secs(60 * u64::from(args.checkpoint_minutes));
    let wanted = neural::BaseArgs {
        folders: args.folders.clone(),
        updates: args.updates.clone(),
        output: args.output.clone(),
        size: args.size.clone(),
        epochs: args.epochs.into(),
        seed: args.seed,
        threads: args.threads.into(),
        curve: args.curve.clone(),
        checkpoint: args.checkpoint.clone().map(|path| Keep { path, every }),
    };
    let (bar, pace) = (Bar::new(), Pace::default());
    let watch = |watched: Watched| match watched {
        Watched::Resumed(progress) => note(&format!(
            "note: going on from the checkpoint, {} of {} bytes are done",
            thousands(progress.seen),
            thousands(progress.all)
        )),
        Watched::Network(progress) => bar.step(&stage(&progress, pace.left(&progress)), progress.seen, progress.all),
        Watched::Mix(done, all) => bar.step("last stage", done as u64, all as u64),
    };
    let outcome = neural::base(&wanted, &watch);
    drop(bar);
    let text = summary(&outcome.map_err(refuse("train a base model"))?);
    // The standard output is the model's.
    if is_stream(&args.output) {
        note(text.trim_end());
        return Ok(());
    }
    print(&text)
}

/// When a run started here, and where.
#[derive(Default)]
struct Pace(OnceLock<(Instant, u64)>);

impl Pace {
    /// Time that the rest takes when it goes on like this; `None` while that cannot be told.
    fn left(&self, progress: &Progress) -> Option<Duration> {
        let (start, from) = self.0.get_or_init(|| (Instant::now(), progress.seen));
        let (passed, done) = (start.elapsed(), progress.seen.saturating_sub(*from));
        let share = progress.all.saturating_sub(progress.seen) as f64 / done as f64;
        (passed > Duration::from_secs(2)).then(|| Duration::try_from_secs_f64(passed.as_secs_f64() * share).ok())?
    }
}

/// What stands beside the bar while the network learns.
fn stage(progress: &Progress, left: Option<Duration>) -> String {
    let mut text = format!("network, {:.3} bits a byte", progress.loss);
    if let Some(held_back) = progress.held_back {
        text += &format!(", {held_back:.3} held back");
    }
    if let Some(left) = left {
        text += &format!(", {:#} left", HumanDuration(left));
    }
    text
}

fn summary(outcome: &Outcome) -> String {
    let (files, bytes) = outcome.held_back;
    format!(
        "learned from {} bytes; model of {} bytes\n\
         {files} files held back, {} bytes: {:.0} bytes by the network alone in floating point, {:.0} in integers \
         ({:+.2} %), {} bytes as GMCF files\n\
         {:.4} ms a byte in integers, on one core\n",
        thousands(outcome.learned),
        thousands(outcome.model),
        thousands(bytes),
        outcome.float,
        outcome.integer,
        (outcome.integer / outcome.float - 1.0) * 100.0,
        thousands(outcome.coded),
        outcome.per_byte.as_secs_f64() * 1e3,
    )
}

/// What came in between while `place`, for `map_err`.
pub(super) fn refuse(place: &'static str) -> impl FnOnce(BaseError) -> CliError {
    move |error| {
        let what = error.to_string();
        match error {
            BaseError::Size { .. } => CliError::Usage { what, hint: "name one of them: --size SIZE".into() },
            BaseError::Io { action, path, source } => CliError::Io { action, path, source },
            BaseError::Input { path, what, hint } => CliError::Input { path, what, hint: hint.into() },
            BaseError::Codec(error) => CliError::codec(place)(CodecError::Refused(error)),
            BaseError::Curve(_) => CliError::Internal { what },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_what_is_known() {
        let progress = Progress { seen: 10, all: 100, loss: 3.25, held_back: None };
        assert_eq!(stage(&progress, None), "network, 3.250 bits a byte");
        let measured = Progress { held_back: Some(3.5), ..progress };
        let text = stage(&measured, Some(Duration::from_secs(360)));
        assert_eq!(text, "network, 3.250 bits a byte, 3.500 held back, 6m left");
        let pace = Pace::default();
        assert_eq!(pace.left(&progress), None);
        assert_eq!(pace.left(&progress), None);
    }

    #[test]
    fn the_rest_takes_as_long_as_the_share_that_is_done() {
        let Some(start) = Instant::now().checked_sub(Duration::from_secs(100)) else { return };
        // A resumed run: what was done before it started here tells nothing of its pace.
        let pace = Pace(OnceLock::from((start, 40)));
        let left = pace.left(&Progress { seen: 60, all: 100, loss: 0.0, held_back: None }).unwrap();
        assert!((195..=210).contains(&left.as_secs()), "{left:?}");
        assert_eq!(pace.left(&Progress { seen: 40, all: 100, loss: 0.0, held_back: None }), None);
    }

    #[test]
    fn an_unknown_size_names_the_sizes() {
        let error = refuse("train")(BaseError::Size { found: "huge".into() });
        let text = error.message();
        assert!(
            text.contains("`huge`")
                && text.contains("nano, nano-evoformer, nano-gru, nano-gru-wide, micro, micro-evoformer, small"),
            "{text}"
        );
        assert_eq!(error.exit_code(), crate::cli::exit::USAGE);
    }
}
