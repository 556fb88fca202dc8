//! `gmcf sync`.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::client::{Screen, connect, place};
use super::client_args::SyncArgs;
use super::output::{print, print_json};
use super::{CliError, key, rollback};
use crate::client::{ClientError, Follows, Outcome, Place, Server, Wish, sync};
use crate::report::format::thousands;
use crate::report::transfer::{TransferRecord, rfc3339};
use crate::tree::Symlinks;

pub(super) fn run(args: &SyncArgs) -> Result<(), CliError> {
    if args.rollback {
        return rollback::folder(&args.to, args.json);
    }
    let doing = || place("sync", &args.to);
    let key = args.key.as_deref().map(key::public).transpose()?;
    let opened = Place::open(&args.to).map_err(CliError::client(doing()))?;
    let state = opened.state().map_err(CliError::client(doing()))?;
    let follows = state.and_then(|state| state.follows);
    let known = |given: Option<String>, known: fn(&Follows) -> String| given.or_else(|| follows.as_ref().map(known));
    let server = known(args.server.clone(), |follows| follows.server.clone());
    let name = args.name.clone().or_else(|| follows.as_ref().map(|follows| follows.name().clone()));
    let (Some(url), Some(name)) = (server, name) else {
        return Err(CliError::client(doing())(ClientError::NotFollowing { dir: args.to.clone() }));
    };
    let symlinks = args.symlinks.map(Symlinks::from);
    let wish = Wish {
        server: url.clone(),
        name,
        version: args.version.clone(),
        key,
        downgrade: args.allow_downgrade,
        force: args.force,
        symlinks: symlinks.or_else(|| follows.as_ref().map(|follows| follows.symlinks)).unwrap_or_default(),
        packed: args.pointers,
        max_size: args.max_size,
    };
    let client = opened.client().map_err(CliError::client(doing()))?;
    let server = connect(&url, &args.connect, Some(client))?;
    let (screen, start) = (Screen::new(), Instant::now());
    let outcome = sync(&opened, &server, &wish, &screen);
    drop(screen);
    report(args, &server, &outcome.map_err(CliError::client(doing()))?, start.elapsed())
}

/// What `--json` prints: a transfer record, whose hashes are the roots of the trees, and what else there is to say.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    transfer: TransferRecord,
    changed: u64,
    sequence: u64,
    signed: bool,
    rollback: bool,
    bytes_received: u64,
    bytes_sent: u64,
    put_right: &'a [String],
}

fn report(args: &SyncArgs, server: &Server, outcome: &Outcome, took: Duration) -> Result<(), CliError> {
    let (received, sent) = (server.traffic().received(), server.traffic().sent());
    let (to, from) = (&outcome.to.statement, outcome.from.as_ref().map(|signed| &signed.statement));
    if args.json {
        let transfer = TransferRecord {
            from_version: from.map(|from| from.version.to_string()),
            to_version: to.version.to_string(),
            content_name: to.name.to_string(),
            original_model_size: outcome.old_len,
            new_model_size: to.len,
            delta_size: received,
            is_delta: outcome.is_delta,
            compression_ratio: to.len as f64 / received.max(1) as f64,
            transfer_time_ms: took.as_secs_f64() * 1e3,
            is_lossless: true,
            created_at: rfc3339(SystemTime::now()),
            original_hash: from.map(|from| from.digest.to_string()),
            new_hash: to.digest.to_string(),
        };
        return print_json(&Record {
            transfer,
            changed: outcome.changed,
            sequence: to.sequence,
            signed: outcome.to.signature.is_some(),
            rollback: to.rollback,
            bytes_received: received,
            bytes_sent: sent,
            put_right: &outcome.repaired,
        });
    }
    let received = thousands(received);
    if !outcome.is_new() {
        return print(&format!("{}: up to date, {received} bytes received\n", to.version));
    }
    let from = from.map_or("nothing", |from| from.version.as_str());
    let changed = match outcome.changed {
        0 => "no file changed".into(),
        1 => "1 file changed".into(),
        n => format!("{} files changed", thousands(n)),
    };
    let back = if to.rollback { ", the publisher went back" } else { "" };
    print(&format!("{from} -> {}: {changed}, {received} bytes received{back}\n", to.version))
}
