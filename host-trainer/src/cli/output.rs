//! Standard output, progress bars, and numbers as people read them.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::CliError;

/// Prints `text` to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    to_stdout(text.as_bytes())
}

/// Prints help or the version, coloured on a terminal only.
pub(crate) fn print_help(help: &clap::Error) -> Result<(), CliError> {
    no_broken_pipe(help.print())
}

/// Prints `value` as indented JSON and a line end to standard output.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| CliError::Internal { what: format!("the report is no JSON: {error}") })?;
    bytes.push(b'\n');
    to_stdout(&bytes)
}

/// Prints to standard error, where remarks go that are not the result.
pub(crate) fn note(text: &str) {
    // Standard error is closed: there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn to_stdout(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    no_broken_pipe(out.write_all(bytes).and_then(|()| out.flush()))
}

fn no_broken_pipe(printed: io::Result<()>) -> Result<(), CliError> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Io { action: "write", path: PathBuf::from("standard output"), source: error })
        }
        _ => Ok(()),
    }
}

/// A progress bar on a terminal, nothing in a pipe.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar that shows up with its first step.
    pub(crate) fn new() -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{msg:12} [{bar:40}] {percent:>3} %  {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// Shows that `done` steps of `total` of `stage` are done.
    pub(crate) fn step(&self, stage: &str, done: u64, total: u64) {
        if self.bar.message() != stage {
            self.bar.set_message(stage.to_owned());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `path` as an error or a report names it.
pub(crate) fn shown(path: &Path) -> String {
    if crate::files::is_stream(path) { "standard input".into() } else { format!("`{}`", path.display()) }
}
