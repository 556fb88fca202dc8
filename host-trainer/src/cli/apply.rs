//! `gmcf apply`.

use std::time::Instant;

use super::CliError;
use super::args::ApplyArgs;
use super::base::Loaded;
use super::compress::{one_stdout, read, summary, write};
use super::output::{print_json, shown};
use crate::codec;
use crate::report::format::{seconds, thousands};
use crate::report::transfer::TransferRecord;

pub(super) fn run(args: &ApplyArgs) -> Result<(), CliError> {
    one_stdout(&args.output, args.record.json)?;
    let containers = args.containers.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let old = args.old.as_deref().map(read).transpose()?;
    let names: Vec<String> = args.containers.iter().map(|path| shown(path)).collect();

    let start = Instant::now();
    let place = format!("apply {}", names.join(", "));
    let links = containers.iter().map(|file| codec::links(file)).collect::<Result<Vec<_>, _>>();
    let chain = links.map_err(CliError::codec(place.as_str()))?.concat();
    let base = Loaded::own(args.base.as_deref(), args.adapter.as_deref())?;
    let new = codec::apply_within(&chain, old.as_deref(), args.max_size, base.resident()?)
        .map_err(CliError::codec(place.as_str()))?;
    let took = start.elapsed();
    write(&args.output, &new)?;

    let sent: u64 = containers.iter().map(|container| container.len() as u64).sum();
    if args.record.json {
        let sides = args.old.as_deref().zip(old.as_deref());
        let is_delta = codec::is_delta(chain[0]).map_err(CliError::codec(place))?;
        let record = TransferRecord::new(&args.record.names(), sides, (&args.output, &new), (sent, is_delta), took);
        return print_json(&record);
    }
    let text = format!(
        "{} bytes -> {} bytes, {}, digest right\n",
        thousands(sent),
        thousands(new.len() as u64),
        seconds(took.as_secs_f64())
    );
    summary(&args.output, &text)
}
