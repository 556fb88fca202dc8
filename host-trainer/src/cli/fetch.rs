//! `gmcf fetch`.

use std::time::Instant;

use super::CliError;
use super::client::{Screen, connect};
use super::client_args::FetchArgs;
use super::compress::{one_stdout, read, summary, write};
use super::key::public;
use super::output::print_json;
use crate::client::{Asked, fetch};
use crate::files::{self, Scratch};
use crate::report::format::thousands;
use crate::report::transfer::{Names, TransferRecord};

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
        let names = Names {
            content: Some(said.name.to_string()),
            from: fetched.from.as_ref().map(ToString::to_string),
            to: Some(said.version.to_string()),
        };
        let old = args.old.as_deref().zip(old.as_deref());
        let sent = (fetched.sent, fetched.is_delta);
        let record = TransferRecord::new(&names, old, (&args.output, &fetched.bytes), sent, took);
        // The old file's own name says nothing of a version that the server does not know.
        return print_json(&TransferRecord { from_version: names.from, ..record });
    }
    let from = fetched.from.as_ref().map_or("nothing", |from| from.as_str());
    let text =
        format!("{from} -> {}: {} bytes, {} bytes received\n", said.version, thousands(said.len), thousands(received));
    summary(&args.output, &text)
}
