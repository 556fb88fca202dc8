//! `gmcf push`.

use std::time::Duration;

use super::CliError;
use super::args::PushArgs;
use super::compress::read;
use super::output::{Bar, note, print, shown};
use crate::push::{self, Choice, Outcome, Report, Settings};
use crate::release;
use crate::report::format::{hex, seconds, thousands};
use update_core::keys::Rotation;
use update_core::link::Info;
use update_core::record::State;

pub(super) fn run(args: &PushArgs) -> Result<(), CliError> {
    let file = read(&args.update)?;
    let settings = Settings {
        frame: args.frame,
        window: args.window,
        full_duplex: args.device.is_full_duplex(),
        silence: Duration::from_secs(args.timeout.into()),
        busy: Duration::from_secs(args.busy.max(args.timeout).into()),
        ..Settings::default()
    };
    let bar = Bar::new();
    let mut progress = |doing: &'static str, bytes: Option<(u64, u64)>| {
        let (done, total) = bytes.unwrap_or((0, 1));
        bar.step(label(doing), done, total);
    };
    let mut connect = || args.device.connect();
    let place = format!("push {} to {}", shown(&args.update), args.device);
    if Rotation::parse(&file).is_ok() {
        let told = push::rotate(&mut connect, &file, settings, &mut progress);
        drop(bar);
        let info = told.map_err(|source| CliError::Push { place, source })?;
        return print(&format!("verdict  the device has the new key; {} runs\n", image(&info)));
    }
    let wrong = |what: String| CliError::Input {
        path: args.update.clone(),
        what,
        hint: "make an update with `gmcf release`, or a key statement with `gmcf key rotate`".into(),
    };
    let manifest = release::manifest(&file).ok_or_else(|| wrong("no signed update, and no key statement".into()))?;
    let manifest = manifest.map_err(|error| wrong(error.to_string()))?;
    let update = push::split(&file).filter(|update| update.payload.len() as u64 == u64::from(manifest.payload_len));
    let update = update.ok_or_else(|| {
        wrong(format!("the payload should have {} bytes; the file has {} in all", manifest.payload_len, file.len()))
    })?;
    let choice = Choice { settings, reboot: !args.no_reboot, confirm: args.confirm };
    let pushed = push::run(&mut connect, update, &choice, &mut progress);
    drop(bar);
    let report = pushed.map_err(|source| CliError::Push { place, source })?;
    print(&verdict(&report, file.len() as u64))?;
    let trial = report.after.state == State::Trial as u8;
    if report.outcome == Outcome::Running || report.outcome == Outcome::There && trial {
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
        Outcome::There => format!("ran already: {}", image(&report.after)),
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
