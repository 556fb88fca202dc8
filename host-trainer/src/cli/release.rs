//! `gmcf release`.

use super::compress::{read, summary, write};
use super::device_args::ReleaseArgs;
use super::key::secret;
use super::output::{Bar, shown};
use super::{CliError, flash};
use crate::release::{Release, Settings, release};
use crate::report::format::thousands;

pub(super) fn run(args: &ReleaseArgs) -> Result<(), CliError> {
    let device = flash::device(&args.device)?;
    let key = secret(&args.key)?;
    let new = read(&args.new)?;
    if new.len() as u64 > u64::from(device.slot) {
        return Err(CliError::Input {
            path: args.new.clone(),
            what: format!("the image has {} bytes, a slot has {}", new.len(), device.slot),
            hint: "make the image smaller, or the slots larger".into(),
        });
    }
    let old = args.old.as_deref().map(read).transpose()?;
    let profile = device.profile().map_err(|what| CliError::Internal { what })?;
    let bar = Bar::new();
    let step = |stage: &str, done: u64, total: u64| bar.step(stage, done, total);
    let settings = Settings {
        product: device.product,
        version: args.version,
        profile,
        key: (&key, args.key_slot),
        in_place: device.room(),
        progress: Some(&step),
    };
    let made = release(&new, old.as_deref(), &settings)
        .map_err(CliError::codec(format!("make an update of {}", shown(&args.new))))?;
    drop(bar);
    write(&args.output, &made.bytes)?;
    summary(&args.output, &report(&made, new.len()))
}

fn report(made: &Release, new_len: usize) -> String {
    let manifest = made.bytes.len() - made.manifest.payload_len as usize;
    let mut text = format!(
        "{} bytes -> {} bytes ({} of them signature and manifest), version {} for product {}\n",
        thousands(new_len as u64),
        thousands(made.bytes.len() as u64),
        manifest,
        made.manifest.version,
        made.manifest.product,
    );
    for (number, step) in made.steps.iter().enumerate() {
        text += &format!(
            "in place, step {} of {}: container {}, plan {}; on the device: script {}, scratch {}, {} of {} blocks replaced\n",
            number + 1,
            made.steps.len(),
            thousands(step.container as u64),
            step.plan,
            thousands(step.script.into()),
            thousands(step.scratch.into()),
            step.blocks.1,
            step.blocks.0,
        );
    }
    text
}
