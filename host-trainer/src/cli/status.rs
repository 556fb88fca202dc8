//! `gmcf status`.

use std::path::Path;

use serde::Serialize;

use super::CliError;
use super::client::{connect, place};
use super::client_args::StatusArgs;
use super::output::{print, print_json};
use crate::client::{ClientError, Differences, look};
use crate::history::Name;
use crate::report::format::{Table, thousands};
use crate::wire::{NamesRecord, StatusRecord, VersionRecord, VersionsRecord};

pub(super) fn run(args: &StatusArgs) -> Result<(), CliError> {
    if let Some(dir) = &args.dir {
        return folder(dir, args.json);
    }
    let url = args.server.as_deref().unwrap_or_default();
    let server = connect(url, &args.connect, None)?;
    let failed = |error| CliError::client(format!("ask {url}"))(error);
    match &args.name {
        Some(name) => versions(&server.versions(name).map_err(failed)?, args.json),
        None => names(&server.status().map_err(failed)?, &server.names().map_err(failed)?, args.json),
    }
}

fn names(status: &StatusRecord, names: &NamesRecord, json: bool) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Record<'a> {
        #[serde(flatten)]
        status: &'a StatusRecord,
        list: &'a NamesRecord,
    }
    if json {
        return print_json(&Record { status, list: names });
    }
    let mut table = Table::new(["name", "version", "versions", "bytes", "signed", "published"]);
    for record in &names.names {
        let latest = &record.latest;
        table.row([
            record.name.to_string(),
            latest.version.to_string(),
            thousands(record.versions),
            thousands(latest.len),
            yes(latest.signed).into(),
            plain(&latest.published_at),
        ]);
    }
    let saved = if status.whole_bytes > 0 {
        format!("; sent {} bytes in place of {}", thousands(status.sent_bytes), thousands(status.whole_bytes))
    } else {
        String::new()
    };
    print(&format!(
        "{}\n{} deltas of {} bytes kept, {} clients{saved}\n",
        table.render(),
        thousands(status.deltas),
        thousands(status.delta_bytes),
        thousands(status.clients),
    ))
}

fn versions(record: &VersionsRecord, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(record);
    }
    let mut table = Table::new(["version", "statement", "bytes", "signed", "published"]);
    for version in &record.versions {
        let counts = if version.version == record.latest.version { " *" } else { "" };
        table.row([
            format!("{}{counts}", version.version),
            thousands(version.sequence),
            thousands(version.len),
            yes(version.signed).into(),
            plain(&version.published_at),
        ]);
    }
    print(&format!("{}\n* counts\n", table.render()))
}

/// What a server says in a free form, without what a terminal would take for commands.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn yes(what: bool) -> &'static str {
    if what { "yes" } else { "no" }
}

/// What `--json` prints of a folder.
#[derive(Serialize)]
struct Record {
    server: String,
    name: Name,
    version: VersionRecord,
    pointers: bool,
    key: bool,
    clean: bool,
    differences: Differences,
    previous: Option<VersionRecord>,
}

fn folder(dir: &Path, json: bool) -> Result<(), CliError> {
    let failed = |error: ClientError| CliError::client(place("look at", dir))(error);
    let looked = look(dir).map_err(failed)?;
    let (follows, differences) = (looked.follows, looked.differences);
    let record = Record {
        server: follows.server.clone(),
        name: follows.name().clone(),
        version: (&follows.signed).into(),
        pointers: follows.packed,
        key: follows.key.is_some(),
        clean: differences.is_empty(),
        differences,
        previous: looked.previous.map(|previous| (&previous.signed).into()),
    };
    if json {
        return print_json(&record);
    }
    let Record { version, differences, .. } = &record;
    let mut text = format!(
        "{} {} (statement {}, {}) from {}\n{} files of {} bytes{}\n",
        record.name,
        version.version,
        version.sequence,
        if record.key { "signature checked" } else { "no key is trusted" },
        record.server,
        thousands(follows.tree.files() as u64),
        thousands(version.len),
        if record.pointers { ", in one pack" } else { "" },
    );
    let lists = [
        ("changed here", &differences.modified),
        ("missing", &differences.missing),
        ("of no version", &differences.extra),
    ];
    for (what, paths) in lists {
        for path in paths {
            text += &format!("  {what}: {}\n", path.escape_debug());
        }
    }
    if record.clean {
        text += "as published\n";
    }
    text += &match &record.previous {
        Some(previous) => format!("before it: {}\n", previous.version),
        None => "no version before it is kept\n".into(),
    };
    print(&text)
}
