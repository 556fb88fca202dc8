//! `gmcf` without arguments: the bundled update, and what every byte of it went to.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use super::CliError;
use super::args::{CodingArgs, DemoArgs, FormatArg};
use super::base::BaseArg;
use super::compress::{encode, read};
use super::output::print;
use crate::bench;
use crate::bench::corpus::{self, Classes, Pair};
use crate::bench::peers::{self, PeerResult, Task};
use crate::codec;
use crate::report::breakdown::{bars, profile_name};
use crate::report::format::{bar, memory, seconds, thousands};

/// The bundled update that is shown: family, old and new version.
const SHOWN: (&str, &str, &str) = ("fw-greatfet", "2021.2.1", "2024.0.0");

/// Bytes a second of a slow radio link, for the time on the air.
const SLOW_LINK: f64 = 510.0;

pub(super) fn run(args: &DemoArgs) -> Result<(), CliError> {
    let pair = bundled_pair()?;
    let Some(old_path) = &pair.old else {
        return Err(CliError::Internal { what: "the bundled update has no old file".into() });
    };
    let (old, new) = (read(old_path)?, read(&pair.new)?);
    let (old_len, new_len) = (old.len() as u64, new.len() as u64);
    print(&format!(
        "gmcf sends what changed in a file, and nothing else.\n\n\
         The update: {} {} -> {}, bundled in {}\n  \
         on the device now   {:>9} bytes\n  \
         the next version    {:>9} bytes\n",
        pair.family,
        pair.old_version,
        pair.new_version,
        pair.new.parent().map(|folder| folder.display().to_string()).unwrap_or_default(),
        thousands(old_len),
        thousands(new_len),
    ))?;

    let start = Instant::now();
    let coding = CodingArgs { profile: args.profile, format: FormatArg::V2, base: BaseArg::None, adapter: None };
    let made = encode(&new, Some(&old), &coding, None, "the bundled update")?;
    let encoding = start.elapsed().as_secs_f64();
    let size = made.bytes.len() as u64;
    print(&format!(
        "  to be sent          {:>9} bytes ({:.2} % of it), found in {}\n\nWhat they are spent on:\n{}",
        thousands(size),
        100.0 * size as f64 / new_len.max(1) as f64,
        seconds(encoding),
        bars(&made.breakdown),
    ))?;

    let start = Instant::now();
    let rebuilt = codec::apply(&[&made.bytes], Some(&old)).map_err(CliError::codec("apply the bundled update"))?;
    let decoding = start.elapsed().as_secs_f64();
    if rebuilt != new {
        return Err(CliError::Internal { what: "the bundled update rebuilds another file".into() });
    }
    print(&format!(
        "\nApplied in {}, with {} of decoder RAM (profile {}): all {} bytes are the same, digest right.\n",
        seconds(decoding),
        memory(made.breakdown.decoder_ram),
        profile_name(args.profile.into()),
        thousands(new_len),
    ))?;

    print(&format!("\nBeside other tools (seconds on a radio of {SLOW_LINK:.0} bytes a second):\n"))?;
    print(&compare(&pair, size))
}

fn compare(pair: &Pair, ours: u64) -> String {
    let (here, missing) = bench::installed(Task::Delta);
    let mut results: Vec<PeerResult> = Vec::new();
    let mut text = String::new();
    for peer in here {
        match peers::run(peer, pair.old.as_deref(), &pair.new) {
            Ok(result) => results.push(result),
            // Writing to a string cannot fail, here and below.
            Err(why) => drop(writeln!(text, "  {} does not work here: {why}", peer.name)),
        }
    }
    let mut lines: Vec<(&str, u64, &str)> =
        results.iter().map(|result| (result.peer.as_str(), result.bytes, "")).collect();
    for (name, bytes) in &pair.known {
        if results.iter().all(|result| result.peer != *name) {
            lines.push((name, *bytes, "(known; not run here)"));
        }
    }
    lines.push(("gmcf", ours, ""));
    lines.sort_by_key(|(_, bytes, _)| *bytes);
    let most = lines.iter().map(|(_, bytes, _)| *bytes).max().unwrap_or(1) as f64;
    let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, bytes, remark) in &lines {
        let line = format!(
            "  {name:<width$}  {:>7} bytes  {:>6.1} s  {:<24}  {remark}",
            thousands(*bytes),
            *bytes as f64 / SLOW_LINK,
            bar(*bytes as f64, most, 24)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if let Some((name, bytes, _)) = lines.iter().find(|(name, ..)| *name != "gmcf") {
        let _ = writeln!(
            text,
            "\ngmcf sends {:.2} times the bytes of the best of them ({name}).",
            ours as f64 / *bytes as f64
        );
    }
    if !missing.is_empty() {
        let programs: std::collections::BTreeSet<&str> = missing.iter().map(|(_, program)| program.as_str()).collect();
        let list: Vec<&str> = programs.into_iter().collect();
        let _ = writeln!(text, "Not installed: {} (benches/install-peers.sh installs what it can).", list.join(", "));
    }
    text.push_str("\nNext: gmcf --help\n");
    text
}

/// The bundled update, from where the program was built or from the current folder.
fn bundled_pair() -> Result<Pair, CliError> {
    let folders = [
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data")),
        PathBuf::from("tests/data"),
        PathBuf::from("../tests/data"),
    ];
    let hint = "run it in the repository (`cargo run --release`), or see `gmcf --help` for your own files";
    let Some(folder) = folders.iter().find(|folder| folder.join("PAIRS.tsv").is_file()) else {
        return Err(CliError::Input {
            path: "tests/data/PAIRS.tsv".into(),
            what: "the bundled update is neither where gmcf was built nor in the current folder".into(),
            hint: hint.into(),
        });
    };
    let folder = folder.canonicalize().map_err(CliError::io("read", folder))?;
    let pairs = corpus::load(&folder, &Classes::All, Some(SHOWN.0)).map_err(|error| CliError::Input {
        path: folder.clone(),
        what: error.to_string(),
        hint: hint.into(),
    })?;
    let (family, old, new) = SHOWN;
    let shown = |pair: &Pair| pair.family == family && pair.old_version == old && pair.new_version == new;
    pairs.into_iter().find(shown).ok_or_else(|| CliError::Input {
        path: folder,
        what: format!("PAIRS.tsv has no {family} {old} -> {new}"),
        hint: hint.into(),
    })
}
