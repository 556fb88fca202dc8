//! `gmcf inspect`.

use serde::Serialize;

use super::CliError;
use super::args::InspectArgs;
use super::compress::read;
use super::output::{note, print, print_json, shown};
use crate::codec;
use crate::push;
use crate::report::breakdown::{BreakdownRecord, table};
use crate::report::link::{self, LinkRecord};

/// The report as JSON.
#[derive(Serialize)]
struct Record {
    #[serde(flatten)]
    breakdown: BreakdownRecord,
    /// With `--link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Vec<LinkRecord>>,
}

pub(super) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let file = read(&args.container)?;
    let container = payload(&file);
    let old = args.old.as_deref().map(read).transpose()?;
    let breakdown = codec::inspect(container, old.as_deref())
        .map_err(CliError::codec(format!("inspect {}", shown(&args.container))))?;
    let link = args.link.then(|| link::costs(container.len() as u64));
    if args.json {
        return print_json(&Record { breakdown: BreakdownRecord::from(&breakdown), link });
    }
    print(&table(&breakdown))?;
    if let Some(link) = link {
        print(&link::table(&link))?;
    }
    if breakdown.is_delta && old.is_none() {
        note("note: with the old file (--old OLD) the coded bytes are shown by kind");
    }
    Ok(())
}

/// What travels behind the manifest: all of a GMCF file, and what follows the manifest of an update. A file that is
/// neither is looked at whole, so that its error is about its first bytes.
fn payload(file: &[u8]) -> &[u8] {
    match push::split(file) {
        Some(update) if codec::is_delta(file).is_err() && codec::is_delta(update.payload).is_ok() => update.payload,
        _ => file,
    }
}
