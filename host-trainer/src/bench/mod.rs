//! The peers harness: our bytes, time and memory on a corpus, beside other delta tools.

pub mod corpus;
pub mod patching;
pub mod peers;
pub mod stats;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::base::Shipped;
use crate::codec::{self, Format, Options, Profile};
use crate::report::breakdown::profile_name;
use corpus::Pair;
use patching::Race;
use peers::{PEERS, Peer, PeerResult, Task};
use stats::{Kind, geometric_mean, median};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Config {
    /// Profiles of ours.
    pub profiles: Vec<Profile>,
    /// Peers to run; empty when what is known of them is enough.
    pub peers: Vec<&'static Peer>,
    /// Pairs measured at the same time.
    pub jobs: usize,
    /// Leave the old files out and measure whole files.
    pub whole: bool,
    /// Use the base models that ship.
    pub base: bool,
}

/// What we reach on one pair with one profile.
#[derive(Clone, Debug, Serialize)]
pub struct Ours {
    /// Profile.
    pub profile: &'static str,
    /// Bytes of the whole container.
    pub bytes: u64,
    /// `bytes` over those of the best peer.
    pub ratio: Option<f64>,
    /// `stored` or `coded`.
    pub mode: String,
    /// Seconds to encode.
    pub encode_seconds: f64,
    /// Seconds to decode in this process, median of three.
    pub decode_seconds: f64,
    /// Bytes of RAM that the decoder needs, all in.
    pub decoder_ram: u64,
    /// The container itself, for the races.
    #[serde(skip)]
    pub container: Vec<u8>,
}

/// All that was measured on one pair.
#[derive(Clone, Debug, Serialize)]
pub struct PairReport {
    /// Class of the pair in the corpus.
    pub class: String,
    /// How much of the file it changes; unknown when no peer's size is.
    pub kind: Option<Kind>,
    /// Family.
    pub family: String,
    /// Old version.
    pub old: String,
    /// New version.
    pub new: String,
    /// Bytes of the old file.
    pub old_size: u64,
    /// Bytes of the new file.
    pub new_size: u64,
    /// Ours, one per profile that succeeded.
    pub ours: Vec<Ours>,
    /// The peers, those run here first.
    pub peers: Vec<PeerResult>,
    /// Name of the peer with the smallest patch.
    pub best_peer: Option<String>,
    /// Bytes of the smallest patch.
    pub best_bytes: Option<u64>,
    /// Bytes of the smallest patch of those in `peers.tsv`.
    pub best_known_bytes: Option<u64>,
    /// What went wrong with ours; any of these is a bug.
    pub failures: Vec<String>,
    /// What went wrong with peers.
    pub peer_failures: Vec<String>,
}

/// One line of the summary: a profile on a kind of update.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Kind of update.
    pub kind: Kind,
    /// Profile.
    pub profile: &'static str,
    /// Pairs.
    pub pairs: usize,
    /// Geometric mean of the ratios to the best peer.
    pub geometric_mean: f64,
    /// The same against the smallest size in `peers.tsv`, where all pairs have one.
    pub geometric_mean_known: Option<f64>,
    /// Largest ratio.
    pub worst: f64,
    /// The pair with the largest ratio.
    pub worst_pair: String,
    /// Our bytes, all pairs together.
    pub bytes: u64,
    /// The best peers' bytes, all pairs together.
    pub best_bytes: u64,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Every pair, in the corpus's order.
    pub pairs: Vec<PairReport>,
    /// Per kind and profile.
    pub summary: Vec<Summary>,
    /// Peers that were asked for and are not installed: (peer, program).
    pub missing_peers: Vec<(String, String)>,
    /// Our patcher beside `bspatch` on the near pairs.
    pub races: Vec<Race>,
    /// Geometric mean of the throughput ratios of `races`.
    pub throughput_ratio: Option<f64>,
}

/// The peers for a task that are installed, and those that are not with the program that is missing.
#[must_use]
pub fn installed(task: Task) -> (Vec<&'static Peer>, Vec<(String, String)>) {
    let mut here = Vec::new();
    let mut missing = Vec::new();
    for peer in PEERS.iter().filter(|peer| peer.task == task) {
        match peer.missing() {
            None => here.push(peer),
            Some(program) => missing.push((peer.name.to_owned(), program.to_owned())),
        }
    }
    (here, missing)
}

/// Measures all pairs; `done` hears of each as it is finished, with its number, in no particular order.
pub fn measure(pairs: &[Pair], config: &Config, done: &(dyn Fn(usize, &PairReport) + Sync)) -> Vec<PairReport> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut reports = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(pair) = pairs.get(index) else { return reports };
            let report = measure_pair(pair, config);
            done(index, &report);
            reports.push((index, report));
        }
    };
    let mut reports: Vec<(usize, PairReport)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..config.jobs.clamp(1, pairs.len().max(1))).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    reports.sort_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn measure_pair(pair: &Pair, config: &Config) -> PairReport {
    let old_path = pair.old.as_deref().filter(|_| !config.whole);
    let mut report = PairReport {
        class: pair.class.clone(),
        kind: None,
        family: pair.family.clone(),
        old: if old_path.is_some() { pair.old_version.clone() } else { "-".into() },
        new: pair.new_version.clone(),
        old_size: 0,
        new_size: 0,
        ours: Vec::new(),
        peers: Vec::new(),
        best_peer: None,
        best_bytes: None,
        best_known_bytes: None,
        failures: Vec::new(),
        peer_failures: Vec::new(),
    };
    let read = |path: &Path| fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()));
    let (old, new) = match (old_path.map(read).transpose(), read(&pair.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => {
            report.failures.push(why);
            return report;
        }
    };
    report.old_size = old.as_ref().map_or(0, |old| old.len() as u64);
    report.new_size = new.len() as u64;

    let task = if old.is_some() { Task::Delta } else { Task::Whole };
    for peer in config.peers.iter().filter(|peer| peer.task == task) {
        match peers::run(peer, old_path, &pair.new) {
            Ok(result) => report.peers.push(result),
            Err(why) => report.peer_failures.push(format!("{}: {why}", peer.name)),
        }
    }
    if task == Task::Delta {
        report.best_known_bytes = pair.known.values().min().copied();
        for (peer, bytes) in &pair.known {
            if report.peers.iter().all(|measured| measured.peer != *peer) {
                report.peers.push(PeerResult {
                    peer: peer.clone(),
                    bytes: *bytes,
                    source: "known",
                    encode_seconds: None,
                    decode_seconds: None,
                });
            }
        }
    }
    if let Some(best) = report.peers.iter().min_by_key(|peer| peer.bytes) {
        report.best_peer = Some(best.peer.clone());
        report.best_bytes = Some(best.bytes);
        report.kind = (task == Task::Delta).then(|| Kind::of(best.bytes, report.new_size));
    }
    for profile in &config.profiles {
        // A panic of the codec on one pair is a failure of that pair, and no reason to lose the others.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| ours(&new, old.as_deref(), *profile, config.base, report.best_bytes)));
        match outcome.unwrap_or_else(|_| Err("panic".into())) {
            Ok(result) => report.ours.push(result),
            Err(why) => report.failures.push(format!("{}: {why}", profile_name(*profile))),
        }
    }
    report
}

fn ours(new: &[u8], old: Option<&[u8]>, profile: Profile, base: bool, best: Option<u64>) -> Result<Ours, String> {
    let shipped = if base { Shipped::of(profile) } else { None };
    let base = shipped.map(Shipped::open).transpose().map_err(|error| format!("base model: {error}"))?;
    let options = Options { profile, format: Format::V2, base, progress: None };
    let start = Instant::now();
    let made = codec::compress(new, old, &options).map_err(|error| format!("compress: {error}"))?;
    let encode_seconds = start.elapsed().as_secs_f64();
    let mut times = [0.0; 3];
    for time in &mut times {
        let start = Instant::now();
        let rebuilt = codec::apply(&[&made.bytes], old).map_err(|error| format!("apply: {error}"))?;
        *time = start.elapsed().as_secs_f64();
        if rebuilt != new {
            return Err("apply rebuilt another file".into());
        }
    }
    let bytes = made.bytes.len() as u64;
    Ok(Ours {
        profile: profile_name(profile),
        bytes,
        ratio: best.filter(|best| *best > 0).map(|best| bytes as f64 / best as f64),
        mode: made.breakdown.mode.to_string(),
        encode_seconds,
        decode_seconds: median(&times).unwrap_or_default(),
        decoder_ram: made.breakdown.decoder_ram,
        container: made.bytes,
    })
}

/// Geometric means per kind and profile.
#[must_use]
pub fn summarise(pairs: &[PairReport], profiles: &[Profile]) -> Vec<Summary> {
    let mut summary = Vec::new();
    for kind in [Kind::Tiny, Kind::Near, Kind::Far] {
        for profile in profiles.iter().map(|profile| profile_name(*profile)) {
            let of_kind = pairs.iter().filter(|pair| pair.kind == Some(kind));
            let rated: Vec<(&PairReport, &Ours, f64)> = of_kind
                .filter_map(|pair| {
                    let ours = pair.ours.iter().find(|ours| ours.profile == profile)?;
                    Some((pair, ours, ours.ratio?))
                })
                .collect();
            let ratios: Vec<f64> = rated.iter().map(|(_, _, ratio)| *ratio).collect();
            let known: Option<Vec<f64>> = rated
                .iter()
                .map(|(pair, ours, _)| Some(ours.bytes as f64 / pair.best_known_bytes.filter(|best| *best > 0)? as f64))
                .collect();
            let worst = rated.iter().max_by(|a, b| a.2.total_cmp(&b.2));
            if let (Some(geometric_mean), Some((pair, _, worst))) = (geometric_mean(&ratios), worst) {
                summary.push(Summary {
                    kind,
                    profile,
                    pairs: rated.len(),
                    geometric_mean,
                    geometric_mean_known: known.as_deref().and_then(stats::geometric_mean),
                    worst: *worst,
                    worst_pair: format!("{} {} -> {}", pair.family, pair.old, pair.new),
                    bytes: rated.iter().map(|(_, ours, _)| ours.bytes).sum(),
                    best_bytes: rated.iter().filter_map(|(pair, _, _)| pair.best_bytes).sum(),
                });
            }
        }
    }
    summary
}

/// Races our patcher against `bspatch` on the near pairs, one after the other so that nothing else runs.
///
/// Returns the races and what failed.
pub fn races(
    pairs: &[Pair],
    reports: &[PairReport],
    profile: Profile,
    gmcf: &Path,
    runs: u16,
    done: &dyn Fn(usize),
) -> (Vec<Race>, Vec<String>) {
    let (mut races, mut failures) = (Vec::new(), Vec::new());
    for (index, (pair, report)) in pairs.iter().zip(reports).enumerate() {
        done(index);
        let (Some(Kind::Near), Some(old_path)) = (report.kind, &pair.old) else { continue };
        let name = profile_name(profile);
        let Some(ours) = report.ours.iter().find(|ours| ours.profile == name) else { continue };
        match patching::race(gmcf, &ours.container, old_path, &pair.new, runs) {
            Ok((gmcf_seconds, bspatch_seconds)) => races.push(Race {
                family: pair.family.clone(),
                old: pair.old_version.clone(),
                new: pair.new_version.clone(),
                new_size: report.new_size,
                gmcf_seconds,
                bspatch_seconds,
                throughput_ratio: bspatch_seconds / gmcf_seconds,
            }),
            Err(why) => failures.push(format!("{} {} -> {}: {why}", pair.family, pair.old_version, pair.new_version)),
        }
    }
    (races, failures)
}

/// Geometric mean of the throughput ratios.
#[must_use]
pub fn throughput_ratio(races: &[Race]) -> Option<f64> {
    geometric_mean(&races.iter().map(|race| race.throughput_ratio).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(kind: Kind, best: u64, bytes: u64) -> PairReport {
        PairReport {
            class: "A".into(),
            kind: Some(kind),
            family: "fw".into(),
            old: "1".into(),
            new: "2".into(),
            old_size: 1000,
            new_size: 1000,
            ours: vec![Ours {
                profile: "small",
                bytes,
                ratio: Some(bytes as f64 / best as f64),
                mode: "coded".into(),
                encode_seconds: 1.0,
                decode_seconds: 1.0,
                decoder_ram: 1,
                container: Vec::new(),
            }],
            peers: Vec::new(),
            best_peer: Some("bsdiff".into()),
            best_bytes: Some(best),
            best_known_bytes: Some(best),
            failures: Vec::new(),
            peer_failures: Vec::new(),
        }
    }

    #[test]
    fn summaries_are_per_kind() {
        let pairs = [pair(Kind::Near, 100, 50), pair(Kind::Near, 100, 200), pair(Kind::Far, 100, 80)];
        let summary = summarise(&pairs, &[Profile::Small, Profile::Host]);
        assert_eq!(summary.len(), 2);
        assert!((summary[0].geometric_mean - 1.0).abs() < 1e-12);
        assert!((summary[0].worst - 2.0).abs() < 1e-12);
        assert_eq!((summary[0].bytes, summary[0].best_bytes, summary[0].pairs), (250, 200, 2));
        assert_eq!(summary[1].kind, Kind::Far);
    }
}
