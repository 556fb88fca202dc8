//! `gmcf rollback`.

use std::path::Path;

use serde::Serialize;

use super::CliError;
use super::client::{connect, place};
use super::client_args::RollbackArgs;
use super::key::secret;
use super::output::{print, print_json};
use crate::client::{Place, publish_rollback, rollback};
use crate::history::Version;

pub(super) fn run(args: &RollbackArgs) -> Result<(), CliError> {
    if let Some(dir) = &args.to {
        return folder(dir, args.json);
    }
    let (Some(url), Some(name), Some(version)) = (&args.server, &args.name, &args.version) else {
        return Err(CliError::Internal { what: "the command line was not checked".into() });
    };
    let key = args.key.as_deref().map(secret).transpose()?;
    let server = connect(url, &args.connect, None)?;
    let record = publish_rollback(&server, name, version, key.as_ref());
    let record = record.map_err(CliError::client(format!("go back to `{version}`")))?;
    if args.json {
        return print_json(&record);
    }
    print(&format!("{name}: {version} counts again, by statement {}\n", record.sequence))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Record {
    from_version: Option<Version>,
    to_version: Option<Version>,
}

/// Goes back in a folder.
pub(super) fn folder(dir: &Path, json: bool) -> Result<(), CliError> {
    let doing = || place("go back in", dir);
    let opened = Place::open(dir).map_err(CliError::client(doing()))?;
    let (to_version, from_version) = rollback(&opened).map_err(CliError::client(doing()))?;
    if json {
        return print_json(&Record { from_version, to_version });
    }
    let name = |version: Option<Version>| version.map_or_else(|| "what was there first".into(), String::from);
    print(&format!("{} -> {}\n", name(from_version), name(to_version)))
}
