//! `gmcf precompute`.

use serde::Serialize;

use super::CliError;
use super::output::{Bar, print, print_json};
use super::precompute_args::PrecomputeArgs;
use super::serve::runtime;
use crate::deltas::{Ahead, precompute};
use crate::report::format::thousands;
use crate::store::Store;

/// What was done, as `--json` prints it.
#[derive(Serialize)]
struct Report {
    /// Which part.
    part: String,
    /// Deltas of this part.
    planned: u64,
    /// Of these, there before.
    there: u64,
    /// Of these, made now.
    made: u64,
    /// Bytes of those that were made.
    bytes: u64,
}

pub(super) fn run(args: &PrecomputeArgs) -> Result<(), CliError> {
    let store = Store::open(&args.store).map_err(CliError::store)?;
    let ahead = Ahead {
        names: args.names.clone(),
        last: args.last,
        forms: args.profiles.iter().map(|&profile| (profile.into(), args.base)).collect(),
        packs: args.packs,
        adapters: args.adapters,
        shard: args.part,
        max_content: args.max_content,
    };
    let bar = Bar::new();
    let told = |done: crate::deltas::Done| bar.step("deltas", done.there + done.made, done.planned);
    let done = runtime()?.block_on(precompute(&store, &ahead, |_, done| told(done)));
    let done = done.map_err(CliError::delta(&args.store))?;
    drop(bar);
    let part = args.part.to_string();
    if args.json {
        let report = Report { part, planned: done.planned, there: done.there, made: done.made, bytes: done.bytes };
        return print_json(&report);
    }
    print(&format!(
        "part {part}: {} deltas made ({} bytes), {} were there\n",
        done.made,
        thousands(done.bytes),
        done.there
    ))
}
