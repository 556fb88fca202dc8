//! `gmcf inspect`.

use super::CliError;
use super::args::InspectArgs;
use super::compress::read;
use super::output::{note, print, print_json, shown};
use crate::codec;
use crate::report::breakdown::{BreakdownRecord, table};

pub(super) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let container = read(&args.container)?;
    let old = args.old.as_deref().map(read).transpose()?;
    let breakdown = codec::inspect(&container, old.as_deref())
        .map_err(CliError::codec(format!("inspect {}", shown(&args.container))))?;
    if args.json {
        return print_json(&BreakdownRecord::from(&breakdown));
    }
    print(&table(&breakdown))?;
    if breakdown.is_delta && old.is_none() {
        note("note: with the old file (--old OLD) the coded bytes are shown by kind");
    }
    Ok(())
}
