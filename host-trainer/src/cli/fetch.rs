//! `gmcf fetch`.

use std::time::{Instant, SystemTime};

use super::CliError;
use super::client::{Screen, connect};
use super::client_args::FetchArgs;
use super::compress::{one_stdout, read, summary, write};
use super::key::public;
use super::output::print_json;
use crate::client::{Asked, fetch};
use crate::files::{self, Scratch};
use crate::report::format::thousands;
use crate::report::transfer::{TransferRecord, rfc3339, sha512};

pub(super) fn run(args: &FetchArgs) -> Result<(), CliError> {
    one_stdout(&args.output, args.json)?;
    let doing = format!("fetch `{}`", args.name);
    let key = args.key.as_deref().map(public).transpose()?;
    let old = args.old.as_deref().map(read).transpose()?;
    // Rather before much has been fetched than after.
    files::check_writable(&args.output).map_err(CliError::io("write", &args.output))?;
    let server = connect(&args.server, &args.connect, None)?;
    let scratch = Scratch::new("fetch").map_err(CliError::io("make", &std::env::temp_dir()))?;
    let (screen, start) = (Screen::new(), Instant::now());
    let asked = Asked {
        name: &args.name,
        version: args.version.as_ref(),
        old: old.as_deref(),
        key: key.as_ref(),
        max_size: args.max_size,
    };
    let fetched = fetch(&server, &asked, &scratch.join(""), &screen);
    drop(screen);
    let fetched = fetched.map_err(CliError::client(doing))?;
    let took = start.elapsed();
    write(&args.output, &fetched.bytes)?;

    let (said, received) = (&fetched.signed.statement, server.traffic().received());
    if args.json {
        return print_json(&TransferRecord {
            from_version: fetched.from.as_ref().map(ToString::to_string),
            to_version: said.version.to_string(),
            content_name: said.name.to_string(),
            original_model_size: old.as_ref().map_or(0, |old| old.len() as u64),
            new_model_size: said.len,
            delta_size: fetched.sent,
            is_delta: fetched.is_delta,
            compression_ratio: said.len as f64 / fetched.sent.max(1) as f64,
            transfer_time_ms: took.as_secs_f64() * 1e3,
            is_lossless: true,
            created_at: rfc3339(SystemTime::now()),
            original_hash: old.as_deref().map(sha512),
            new_hash: sha512(&fetched.bytes),
        });
    }
    let from = fetched.from.as_ref().map_or("nothing", |from| from.as_str());
    let text =
        format!("{from} -> {}: {} bytes, {} bytes received\n", said.version, thousands(said.len), thousands(received));
    summary(&args.output, &text)
}
