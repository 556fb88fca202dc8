//! `gmcf snapshot`.

use serde::Serialize;

use super::CliError;
use super::client::{Screen, connect, place};
use super::client_args::{PublishingArgs, SnapshotArgs};
use super::key::secret;
use super::output::{print, print_json};
use crate::client::{Published, Server, publish_tree};
use crate::history::Name;
use crate::report::format::thousands;
use crate::tree::walk;
use crate::wire::VersionRecord;

pub(super) fn run(args: &SnapshotArgs) -> Result<(), CliError> {
    let doing = place("publish", &args.dir);
    let key = args.publish.key.as_deref().map(secret).transpose()?;
    let server = connect(&args.publish.server, &args.publish.connect, None)?;
    let walked =
        walk(&args.dir, args.symlinks.into()).map_err(|error| CliError::client(doing.as_str())(error.into()))?;
    let (name, version) = (&args.publish.name, args.publish.version.as_ref());
    let screen = Screen::new();
    let published = publish_tree(&server, &walked, name, version, key.as_ref(), &screen);
    drop(screen);
    report(&args.publish, &server, &published.map_err(CliError::client(doing))?)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a Name,
    #[serde(flatten)]
    version: &'a VersionRecord,
    files: usize,
    contents_sent: usize,
    content_bytes_sent: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// Says what was published.
pub(super) fn report(args: &PublishingArgs, server: &Server, published: &Published) -> Result<(), CliError> {
    let Published { record, files, sent, sent_bytes, .. } = published;
    let (files, bytes_sent) = (*files, server.traffic().sent());
    if args.json {
        return print_json(&Record {
            name: &args.name,
            version: record,
            files,
            contents_sent: *sent,
            content_bytes_sent: *sent_bytes,
            bytes_sent,
            bytes_received: server.traffic().received(),
        });
    }
    let before = published.before.as_ref().map_or("nothing", |before| before.statement.version.as_str());
    let signed = if record.signed { "signed" } else { "not signed" };
    print(&format!(
        "{} {before} -> {}: {} file{} of {} bytes, {} bytes sent, {signed}\n",
        args.name,
        record.version,
        thousands(files as u64),
        if files == 1 { "" } else { "s" },
        thousands(record.len),
        thousands(bytes_sent),
    ))
}
