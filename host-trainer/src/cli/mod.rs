//! The command line: one module per subcommand, one error type, one place for the exit codes.

mod apply;
mod args;
mod backend;
mod base;
mod bench;
#[cfg(feature = "fleet")]
mod cat;
#[cfg(feature = "fleet")]
mod client;
#[cfg(feature = "fleet")]
mod client_args;
#[cfg(feature = "fleet")]
mod client_error;
mod compress;
mod demo;
mod device_args;
mod error;
mod experiment;
mod experiment_args;
#[cfg(feature = "fleet")]
mod fetch;
mod fit;
mod fit_args;
mod flash;
#[cfg(cuda)]
mod gpu_args;
#[cfg(cuda)]
mod gpu_check;
mod inspect;
mod key;
mod output;
#[cfg(feature = "fleet")]
mod precompute;
#[cfg(feature = "fleet")]
mod precompute_args;
#[cfg(feature = "fleet")]
mod publish;
mod push;
mod release;
#[cfg(feature = "fleet")]
mod rollback;
#[cfg(feature = "fleet")]
mod serve;
#[cfg(feature = "fleet")]
mod serve_args;
#[cfg(feature = "fleet")]
mod snapshot;
mod squash;
#[cfg(feature = "fleet")]
mod status;
#[cfg(feature = "fleet")]
mod sync;
#[cfg(feature = "fleet")]
mod token;
mod train;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

pub use error::{CliError, exit};

use args::{Cli, Command};

/// Parses `args` (the program's name first) and does what they ask for.
///
/// # Errors
/// [`CliError`], which knows its exit code and how to print itself.
pub fn run<I, T>(args: I) -> Result<(), CliError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return output::print_help(&error);
        }
        Err(error) => return Err(CliError::Arguments(error)),
    };
    match cli.command {
        None => demo::run(&args::DemoArgs::default()),
        Some(Command::Compress(args)) => compress::run(&args),
        Some(Command::Apply(args)) => apply::run(&args),
        Some(Command::Squash(args)) => squash::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Release(args)) => release::run(&args),
        Some(Command::Key(args)) => key::run(&args),
        Some(Command::Flash(args)) => flash::run(&args),
        Some(Command::Push(args)) => push::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Precompute(args)) => precompute::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Serve(args)) => serve::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Token(args)) => token::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Snapshot(args)) => snapshot::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Publish(args)) => publish::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Sync(args)) => sync::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Fetch(args)) => fetch::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Rollback(args)) => rollback::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Status(args)) => status::run(&args),
        #[cfg(feature = "fleet")]
        Some(Command::Cat(args)) => cat::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Experiment(args)) => experiment::run(&args),
        Some(Command::Fit(args)) => fit::run(&args),
        #[cfg(cuda)]
        Some(Command::GpuCheck(args)) => gpu_check::run(&args),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
    }
}
