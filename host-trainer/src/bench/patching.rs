//! How fast a patch is applied: our own process and `bspatch`, side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use super::peers;
use super::stats::median;
use crate::files::Scratch;

/// The two patchers on one pair.
#[derive(Clone, Debug, Serialize)]
pub struct Race {
    /// Family of the pair.
    pub family: String,
    /// Old version.
    pub old: String,
    /// New version.
    pub new: String,
    /// Bytes rebuilt.
    pub new_size: u64,
    /// Median seconds of `gmcf apply`, the whole process.
    pub gmcf_seconds: f64,
    /// Median seconds of `bspatch`, the whole process.
    pub bspatch_seconds: f64,
    /// Our throughput over that of `bspatch`: above 1 we are faster.
    pub throughput_ratio: f64,
}

/// Whether the race can be run: both programs of the peer are there.
#[must_use]
pub fn possible() -> bool {
    cfg!(unix) && ["bsdiff", "bspatch"].iter().all(|program| peers::find(program).is_some())
}

/// Seconds of `gmcf apply` and of `bspatch`: medians of `runs` each, taken in turn.
///
/// Both rebuild the file once to be compared. In the timed runs they write to the null device: what the
/// file system does with the output (we make it durable, `bspatch` does not) is not what is measured.
///
/// # Errors
/// A sentence that says what failed.
pub fn race(gmcf: &Path, container: &[u8], old: &Path, new: &Path, runs: u16) -> Result<(f64, f64), String> {
    let scratch = Scratch::new("race").map_err(|error| format!("no scratch folder: {error}"))?;
    let (delta, patch, out) = (scratch.join("delta.gmcf"), scratch.join("patch"), scratch.join("out"));
    fs::write(&delta, container).map_err(|error| error.to_string())?;
    timed(Path::new("bsdiff"), &[old, new, &patch])?;

    let ours = |to: &Path| timed(gmcf, &[Path::new("apply"), &delta, Path::new("--old"), old, Path::new("-o"), to]);
    let theirs = |to: &Path| timed(Path::new("bspatch"), &[old, to, &patch]);
    let wanted = fs::read(new).map_err(|error| error.to_string())?;
    for (name, run) in [("gmcf apply", &ours as &dyn Fn(&Path) -> Result<f64, String>), ("bspatch", &theirs)] {
        run(&out)?;
        if fs::read(&out).map_err(|error| error.to_string())? != wanted {
            return Err(format!("{name} rebuilt another file"));
        }
    }
    let null = PathBuf::from("/dev/null");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        a.push(ours(&null)?);
        b.push(theirs(&null)?);
    }
    median(&a).zip(median(&b)).ok_or_else(|| "no runs".into())
}

fn timed(program: &Path, arguments: &[&Path]) -> Result<f64, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{} does not start: {error}", program.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(format!("{} failed ({status})", program.display())) }
}
