//! `gmcf squash`.

use super::CliError;
use super::args::SquashArgs;
use super::base::Loaded;
use super::compress::{note_when_whole, read, summary, verify, warn_when_stored, with_options, write};
use super::output::shown;
use crate::codec::{self, MAX_SIZE};
use crate::report::format::thousands;

pub(super) fn run(args: &SquashArgs) -> Result<(), CliError> {
    let first = read(&args.first)?;
    let second = read(&args.second)?;
    let old = args.old.as_deref().map(read).transpose()?;

    let place = format!("squash {}, {}", shown(&args.first), shown(&args.second));
    let base = Loaded::new(&args.coding.base, args.coding.profile.into(), args.coding.adapter.as_deref())?;
    let base = base.resident()?;
    let made = with_options(&args.coding, base, |options| codec::squash(&first, &second, old.as_deref(), options))
        .map_err(CliError::codec(place))?;
    if let Some(old) = old.as_deref() {
        let end = codec::apply_within(&[&first, &second], Some(old), MAX_SIZE, base)
            .map_err(CliError::codec("apply the chain"))?;
        verify(&made.bytes, Some(old), &end, base)?;
    }
    write(&args.output, &made.bytes)?;

    let rebuilt_len = usize::try_from(made.breakdown.new_len).unwrap_or(usize::MAX);
    warn_when_stored(&made, rebuilt_len, "the end of the chain");
    if let Some(old) = &args.old {
        note_when_whole(&made, &shown(old));
    }
    let text = format!(
        "{} + {} bytes -> {} bytes\n",
        thousands(first.len() as u64),
        thousands(second.len() as u64),
        thousands(made.bytes.len() as u64)
    );
    summary(&args.output, &text)
}
