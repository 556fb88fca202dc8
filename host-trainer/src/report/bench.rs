//! The bench report for people.

use std::fmt::Write as _;

use super::format::{Table, memory, seconds, thousands};
use crate::bench::{Ours, PairReport, Report};

/// Widths of the line of one pair, known before the first is measured.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Widest family.
    pub family: usize,
    /// Widest `old -> new`.
    pub update: usize,
}

/// Head of the lines that [`pair_line`] makes.
#[must_use]
pub fn pair_head(layout: Layout, profiles: &[&str]) -> String {
    let mut line = format!(
        "{:<4}  {:<family$}  {:<update$}  {:>9}  {:>16}",
        "kind",
        "family",
        "update",
        "bytes",
        "best peer",
        family = layout.family,
        update = layout.update
    );
    for profile in profiles {
        let _ = write!(line, "  {profile:>8}  ratio   encode   decode        RAM");
    }
    line
}

/// One pair: best peer, then per profile bytes, ratio, times and memory. Failures follow on lines of their own.
#[must_use]
pub fn pair_line(layout: Layout, profiles: &[&str], pair: &PairReport) -> String {
    let best = match (&pair.best_peer, pair.best_bytes) {
        (Some(name), Some(bytes)) => format!("{name} {bytes}"),
        _ => "-".into(),
    };
    let mut line = format!(
        "{:<4}  {:<family$}  {:<update$}  {:>9}  {best:>16}",
        pair.kind.map_or("-", |kind| kind.name()),
        pair.family,
        update_name(pair),
        pair.new_size,
        family = layout.family,
        update = layout.update
    );
    for profile in profiles {
        match pair.ours.iter().find(|ours| ours.profile == *profile) {
            Some(ours) => line.push_str(&ours_cells(ours)),
            None => line.push_str("    FAILED                                        "),
        }
    }
    for failure in &pair.failures {
        let _ = write!(line, "\n      FAILED {failure}");
    }
    for failure in &pair.peer_failures {
        let _ = write!(line, "\n      peer {failure}");
    }
    line.trim_end().to_owned()
}

fn ours_cells(ours: &Ours) -> String {
    let ratio = ours.ratio.map_or_else(|| "    -".into(), |ratio| format!("{ratio:>5.3}"));
    let stored = if ours.mode == "stored" { "*" } else { "" };
    format!(
        "  {:>8}  {ratio} {:>8} {:>8} {:>10}",
        format!("{}{stored}", ours.bytes),
        seconds(ours.encode_seconds),
        seconds(ours.decode_seconds),
        memory(ours.decoder_ram)
    )
}

/// `old -> new`.
#[must_use]
pub fn update_name(pair: &PairReport) -> String {
    format!("{} -> {}", pair.old, pair.new)
}

/// All that follows the lines of the pairs.
#[must_use]
pub fn tail(report: &Report, peers_ran: bool) -> String {
    let mut text = String::new();
    if peers_ran {
        text.push_str(&peers_table(report));
    }
    if !report.summary.is_empty() {
        text.push_str("\nratio to the best peer of each pair\n");
        let mut table = Table::new([
            "kind",
            "profile",
            "pairs",
            "geo. mean",
            "to peers.tsv",
            "worst",
            "our bytes",
            "best peers' bytes",
            "worst pair",
        ]);
        for line in &report.summary {
            table.row([
                line.kind.name().to_owned(),
                line.profile.to_owned(),
                line.pairs.to_string(),
                format!("{:.3}", line.geometric_mean),
                line.geometric_mean_known.map_or_else(|| "-".into(), |mean| format!("{mean:.3}")),
                format!("{:.3}", line.worst),
                thousands(line.bytes),
                thousands(line.best_bytes),
                line.worst_pair.clone(),
            ]);
        }
        text.push_str(&table.render());
    }
    if !report.races.is_empty() {
        text.push_str("\napplying a patch, whole process, median\n");
        let mut table = Table::new(["pair", "bytes", "gmcf apply", "bspatch", "our throughput / bspatch's"]);
        for race in &report.races {
            table.row([
                format!("{} {} -> {}", race.family, race.old, race.new),
                thousands(race.new_size),
                seconds(race.gmcf_seconds),
                seconds(race.bspatch_seconds),
                format!("{:.2}", race.throughput_ratio),
            ]);
        }
        if let Some(mean) = report.throughput_ratio {
            table.rule();
            table.row([
                String::from("geometric mean"),
                String::new(),
                String::new(),
                String::new(),
                format!("{mean:.2}"),
            ]);
        }
        text.push_str(&table.render());
    }
    if !report.missing_peers.is_empty() {
        let list: Vec<String> =
            report.missing_peers.iter().map(|(peer, program)| format!("{peer} (no `{program}`)")).collect();
        let _ = writeln!(text, "\nnot installed, so not run: {}; see benches/install-peers.sh", list.join(", "));
    }
    let failed = report.pairs.iter().filter(|pair| !pair.failures.is_empty()).count();
    let _ = writeln!(text, "\n{} pairs, {failed} failed", report.pairs.len());
    text
}

fn peers_table(report: &Report) -> String {
    let mut names: Vec<&str> = Vec::new();
    for peer in report.pairs.iter().flat_map(|pair| &pair.peers) {
        if !names.contains(&peer.peer.as_str()) {
            names.push(&peer.peer);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nbytes of each peer's patch (k: known from peers.tsv, not run here)\n");
    let mut table = Table::new(std::iter::once("pair").chain(names.iter().copied()));
    for pair in &report.pairs {
        let cells = names.iter().map(|name| {
            pair.peers.iter().find(|peer| peer.peer == *name).map_or_else(
                || "-".to_owned(),
                |peer| format!("{}{}", peer.bytes, if peer.source == "known" { "k" } else { "" }),
            )
        });
        table.row(std::iter::once(format!("{} {}", pair.family, update_name(pair))).chain(cells));
    }
    let complete: Vec<&PairReport> = report
        .pairs
        .iter()
        .filter(|pair| names.iter().all(|name| pair.peers.iter().any(|peer| peer.peer == *name)))
        .collect();
    if complete.len() > 1 {
        let total = |name: &&str| -> u64 {
            complete.iter().flat_map(|pair| &pair.peers).filter(|peer| peer.peer == **name).map(|peer| peer.bytes).sum()
        };
        table.rule();
        let label = format!("total of the {} pairs that all could do", complete.len());
        table.row(std::iter::once(label).chain(names.iter().map(|name| total(name).to_string())));
    }
    text.push_str(&table.render());
    text
}
