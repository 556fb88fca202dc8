//! `gmcf push`.

use std::time::Duration;

use super::CliError;
use super::args::PushArgs;
use super::compress::read;
use super::output::{Bar, note, print, shown};
use crate::push::{self, Choice, Outcome, Report, Settings};
use crate::report::format::{hex, seconds, thousands};
use update_core::link::Info;
use update_core::manifest::MANIFEST_LEN;

/// Longest payload, bytes: offsets on the device are of 32 bits.
const MAX_PAYLOAD: usize = u32::MAX as usize;

pub(super) fn run(args: &PushArgs) -> Result<(), CliError> {
    let file = read(&args.update)?;
    let wrong = |what: String| CliError::Input {
        path: args.update.clone(),
        what,
        hint: "name an update file: a manifest and, behind it, a GMCF file".into(),
    };
    let update = push::split(&file)
        .ok_or_else(|| wrong(format!("{} bytes are less than a manifest, {MANIFEST_LEN}", file.len())))?;
    if update.payload.len() > MAX_PAYLOAD {
        return Err(wrong(format!("the payload has {} bytes, at most {MAX_PAYLOAD} can be", update.payload.len())));
    }
    let settings = Settings {
        frame: args.frame,
        window: args.window,
        full_duplex: args.device.is_full_duplex(),
        silence: Duration::from_secs(args.timeout.into()),
        busy: Duration::from_secs(args.busy.max(args.timeout).into()),
        ..Settings::default()
    };
    let choice = Choice { settings, reboot: !args.no_reboot, confirm: args.confirm };
    let bar = Bar::new();
    let mut progress = |doing: &'static str, bytes: Option<(u64, u64)>| {
        let (done, total) = bytes.unwrap_or((0, 1));
        bar.step(label(doing), done, total);
    };
    let pushed = push::run(&mut || args.device.connect(), update, &choice, &mut progress);
    drop(bar);
    let place = format!("push {} to {}", shown(&args.update), args.device);
    let report = pushed.map_err(|source| CliError::Push { place, source })?;
    print(&verdict(&report, file.len() as u64))?;
    if report.outcome == Outcome::Running {
        note("note: the new image is on trial until it is confirmed, by itself or with --confirm");
    }
    Ok(())
}

/// What is being done, in the width of the bar's label.
fn label(doing: &'static str) -> &'static str {
    match doing {
        "store the update" => "sending",
        "take the update" => "offering",
        "install" => "installing",
        "restart" => "restarting",
        "confirm" => "confirming",
        _ => "asking",
    }
}

fn verdict(report: &Report, sent: u64) -> String {
    let traffic = &report.traffic;
    let resumed = match report.resumed_from {
        0 => String::new(),
        from => format!(", {} bytes of it were there already", thousands(from.into())),
    };
    let told = match report.outcome {
        Outcome::Installed => format!("installed; version {} runs until the next restart", report.after.version),
        Outcome::Running => format!("runs now, on trial: {}", image(&report.after)),
        Outcome::Confirmed => format!("runs now, confirmed: {}", image(&report.after)),
    };
    format!(
        "before   {}\n\
         update   {} bytes{resumed}\n\
         on air   {} bytes out in {} frames ({} of them again), {} bytes back, {}\n\
         verdict  {told}\n",
        image(&report.before),
        thousands(sent),
        thousands(traffic.bytes_out),
        thousands(traffic.frames_out),
        thousands(traffic.frames_again),
        thousands(traffic.bytes_in),
        seconds(report.took.as_secs_f64()),
    )
}

fn image(info: &Info) -> String {
    format!("version {} of product {}, image {}", info.version, info.product, hex(&info.image))
}
