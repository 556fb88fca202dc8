//! `gmcf bench`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use indicatif::ProgressDrawTarget;

use super::CliError;
use super::args::BenchArgs;
use super::output::{note, print, print_json};
use crate::bench::corpus::{self, CorpusError, Pair};
use crate::bench::peers::Task;
use crate::bench::{self, Config, PairReport, Report, patching};
use crate::codec::Profile;
use crate::report::bench::{Layout, pair_head, pair_line, tail};
use crate::report::breakdown::profile_name;

pub(super) fn run(args: &BenchArgs) -> Result<(), CliError> {
    let pairs =
        corpus::load(&args.corpus, &args.classes, args.family.as_deref()).map_err(|error| refuse(args, error))?;
    if pairs.is_empty() {
        return Err(CliError::Input {
            path: args.corpus.clone(),
            what: "no pair of PAIRS.tsv is of these classes and families".into(),
            hint: "--classes all, or another --family".into(),
        });
    }
    let profiles: Vec<Profile> = args.profiles.iter().map(|profile| (*profile).into()).collect();
    let task = if args.whole { Task::Whole } else { Task::Delta };
    let (installed, missing) = if args.peers { bench::installed(task) } else { (Vec::new(), Vec::new()) };
    for (peer, program) in &missing {
        note(&format!("note: peer {peer} is not run: `{program}` is not on PATH (benches/install-peers.sh)"));
    }
    let config = Config { profiles, peers: installed, jobs: args.jobs.into(), whole: args.whole, base: !args.no_base };

    let live = Live::new(&pairs, &config, args.json)?;
    let reports = bench::measure(&pairs, &config, &|index, report| live.done(index, report));
    live.bar.finish_and_clear();

    let mut report = Report {
        summary: bench::summarise(&reports, &config.profiles),
        pairs: reports,
        missing_peers: missing,
        races: Vec::new(),
        throughput_ratio: None,
    };
    if args.peers && !args.whole {
        race(args, &pairs, &config, &mut report)?;
    }
    if args.json {
        print_json(&report)?;
    } else {
        print(&tail(&report, args.peers))?;
    }
    let failed = report.pairs.iter().filter(|pair| !pair.failures.is_empty()).count();
    if failed > 0 {
        return Err(CliError::Internal {
            what: format!("{failed} of {} pairs failed; the report names each", report.pairs.len()),
        });
    }
    Ok(())
}

fn refuse(args: &BenchArgs, error: CorpusError) -> CliError {
    let hint = "a corpus folder holds PAIRS.tsv with the columns class, split, family, old, new, old_bytes, new_bytes";
    match error {
        CorpusError::Io { path, source } => CliError::Io { action: "read", path, source },
        table @ CorpusError::Table { .. } => {
            CliError::Input { path: args.corpus.clone(), what: table.to_string(), hint: hint.into() }
        }
    }
}

fn race(args: &BenchArgs, pairs: &[Pair], config: &Config, report: &mut Report) -> Result<(), CliError> {
    if !patching::possible() {
        note("note: patching is not timed: `bsdiff` and `bspatch` are not both on PATH (benches/install-peers.sh)");
        return Ok(());
    }
    let Some(profile) = config.profiles.first() else { return Ok(()) };
    let gmcf = std::env::current_exe()
        .map_err(|error| CliError::Internal { what: format!("this program does not find itself: {error}") })?;
    let bar = bar(pairs.len());
    bar.set_message("patching");
    let (races, failures) =
        bench::races(pairs, &report.pairs, *profile, &gmcf, args.runs, &|index| bar.set_position(index as u64));
    bar.finish_and_clear();
    for failure in failures {
        note(&format!("note: patching is not timed for {failure}"));
    }
    report.throughput_ratio = bench::throughput_ratio(&races);
    report.races = races;
    Ok(())
}

fn bar(len: usize) -> indicatif::ProgressBar {
    use std::io::IsTerminal;
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    indicatif::ProgressBar::with_draw_target(Some(len as u64), target)
}

/// Prints the pairs in the corpus's order while they are being finished in any order.
struct Live {
    layout: Layout,
    profiles: Vec<&'static str>,
    quiet: bool,
    bar: indicatif::ProgressBar,
    waiting: Mutex<(usize, BTreeMap<usize, String>)>,
}

impl Live {
    fn new(pairs: &[Pair], config: &Config, quiet: bool) -> Result<Self, CliError> {
        let width = |text: &dyn Fn(&Pair) -> usize, least: usize| pairs.iter().map(text).max().unwrap_or(0).max(least);
        let layout = Layout {
            family: width(&|pair| pair.family.len(), 6),
            update: width(&|pair| pair.old_version.len() + 4 + pair.new_version.len(), 6),
        };
        let profiles: Vec<&'static str> = config.profiles.iter().map(|profile| profile_name(*profile)).collect();
        if !quiet {
            print(&format!("{}\n", pair_head(layout, &profiles)))?;
        }
        Ok(Self { layout, profiles, quiet, bar: bar(pairs.len()), waiting: Mutex::default() })
    }

    fn done(&self, index: usize, report: &PairReport) {
        self.bar.inc(1);
        if self.quiet {
            return;
        }
        let line = pair_line(self.layout, &self.profiles, report);
        // A thread that panicked while printing has printed less; what is kept here stays good.
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (next, lines) = &mut *waiting;
        lines.insert(index, line);
        while let Some(line) = lines.remove(next) {
            *next += 1;
            self.bar.suspend(|| {
                // Standard output is gone: the exit code still tells how the bench ended.
                let _ = print(&format!("{line}\n"));
            });
        }
    }
}
