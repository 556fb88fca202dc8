//! `gmcf gpu-check`.

use std::fmt::Write as _;
use std::time::Instant;

use serde::Serialize;

use super::CliError;
use super::gpu_args::GpuCheckArgs;
use super::output::{Bar, print, print_json};
use crate::backend::check::timing::{Bound, Ceilings, Timing, time};
use crate::backend::check::{Error, Random, Unit, cases};
use crate::backend::cuda::Cuda;
use crate::backend::{BackendError, Bits, Device};
use crate::fit::memory::fit_packed;
use crate::report::format::thousands;

/// The report as JSON. Field names are part of the interface.
#[derive(Serialize)]
struct Record {
    device: String,
    /// None where nothing was timed.
    ceilings: Option<CeilingsRecord>,
    operations: Vec<Operation>,
    /// Empty where nothing was timed.
    fits: Vec<Fits>,
}

/// Position memories of many files, from bytes in the host's memory to codes and bytes in the host's memory.
#[derive(Serialize)]
struct Fits {
    files: usize,
    file_bytes: usize,
    dimensions: u32,
    code_bits: usize,
    /// Whether every byte was read back from the codes.
    exact: bool,
    files_per_second: f64,
}

#[derive(Serialize)]
struct CeilingsRecord {
    copied_bytes_per_second: f64,
    fma_operations_per_second: f64,
    bf16_operations_per_second: f64,
    int8_operations_per_second: f64,
}

#[derive(Serialize)]
struct Operation {
    name: &'static str,
    kernels: &'static [&'static str],
    error: f64,
    allowed_error: f64,
    within: bool,
    timing: Option<TimingRecord>,
}

#[derive(Serialize)]
struct TimingRecord {
    seconds: f64,
    least_bytes: f64,
    operations: f64,
    bound: &'static str,
    share_of_ceiling: f64,
}

pub(super) fn run(args: &GpuCheckArgs) -> Result<(), CliError> {
    let gpu = Cuda::open().map_err(CliError::backend(""))?;
    let bar = Bar::new();
    let failed = |what: &str| CliError::backend(format!("run {what} on {}", gpu.name()));
    let ceilings = if args.check_only {
        None
    } else {
        bar.step("ceilings", 0, 1);
        Some(gpu.ceilings().map_err(failed("the ceilings"))?)
    };
    let cases = cases::<Cuda>();
    let mut operations = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        bar.step(case.name, i as u64, cases.len() as u64);
        let Error { found, allowed } = (case.check)(&gpu, &mut Random::new(args.seed)).map_err(failed(case.name))?;
        let timing = match &ceilings {
            Some(ceilings) => time(&gpu, case).map_err(failed(case.name))?.map(|timing| record(&timing, ceilings)),
            None => None,
        };
        let within = Error { found, allowed }.within();
        let (name, kernels) = (case.name, case.kernels);
        operations.push(Operation { name, kernels, error: found, allowed_error: allowed, within, timing });
    }
    let mut fitted = Vec::new();
    for bits in [Bits::One, Bits::Eight].into_iter().filter(|_| !args.check_only) {
        fitted.push(fits(&gpu, bits, args.seed).map_err(failed("the fit of position memories"))?);
    }
    drop(bar);
    let wrong: Vec<_> = operations.iter().filter(|operation| !operation.within).map(|o| o.name).collect();
    let report =
        Record { device: gpu.name(), ceilings: ceilings.as_ref().map(ceilings_record), operations, fits: fitted };
    if args.json {
        print_json(&report)?;
    } else {
        print(&table(&report))?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(CliError::Internal { what: format!("not what the reference gives on {}: {}", report.device, wrong.join(", ")) })
}

/// Fits position memories to random files.
fn fits(gpu: &Cuda, bits: Bits, seed: u64) -> Result<Fits, BackendError> {
    const FILES: usize = 1 << 14;
    const LEN: usize = 512;
    const DIM: u32 = 64;
    let contents = Random::new(seed).bytes(FILES * LEN);
    let mut seconds = [0.0; 5];
    let mut exact = true;
    for seconds in &mut seconds {
        let start = Instant::now();
        let packed = fit_packed(gpu, &contents, LEN, DIM, bits)?;
        *seconds = start.elapsed().as_secs_f64();
        exact &= packed.read == contents;
    }
    seconds.sort_by(f64::total_cmp);
    let files_per_second = FILES as f64 / seconds[seconds.len() / 2];
    Ok(Fits { files: FILES, file_bytes: LEN, dimensions: DIM, code_bits: bits.count(), exact, files_per_second })
}

fn ceilings_record(ceilings: &Ceilings) -> CeilingsRecord {
    CeilingsRecord {
        copied_bytes_per_second: ceilings.bytes,
        fma_operations_per_second: ceilings.fma,
        bf16_operations_per_second: ceilings.bf16,
        int8_operations_per_second: ceilings.int8,
    }
}

fn record(timing: &Timing, ceilings: &Ceilings) -> TimingRecord {
    let (bound, share) = timing.share(ceilings);
    let bound = match bound {
        Bound::Bandwidth => "bandwidth",
        Bound::Arithmetic(Unit::Fma) => "fma",
        Bound::Arithmetic(Unit::Bf16) => "bf16",
        Bound::Arithmetic(Unit::Int8) => "int8",
    };
    let (least_bytes, operations) = (timing.work.bytes, timing.work.operations);
    TimingRecord { seconds: timing.seconds, least_bytes, operations, bound, share_of_ceiling: share }
}

fn table(report: &Record) -> String {
    let mut text = format!("{}\n", report.device);
    // Writing to a string cannot fail.
    if let Some(c) = &report.ceilings {
        let _ = writeln!(
            text,
            "at most, as measured: {:.0} GB/s copied, {:.1} TFLOP/s f32, {:.0} TFLOP/s bf16, {:.0} TOP/s int8",
            c.copied_bytes_per_second / 1e9,
            c.fma_operations_per_second / 1e12,
            c.bf16_operations_per_second / 1e12,
            c.int8_operations_per_second / 1e12,
        );
    }
    let _ = writeln!(
        text,
        "\n{:<36}{:>10}{:>10}{:>11}{:>9}{:>9}{:>11}{:>7}",
        "operation", "error", "allowed", "time", "GB/s", "TOP/s", "bound by", "of it"
    );
    for operation in &report.operations {
        let _ = write!(text, "{:<36}{:>10.1e}{:>10.0e}", operation.name, operation.error, operation.allowed_error);
        if let Some(t) = &operation.timing {
            let _ = write!(
                text,
                "{:>8.3} ms{:>9.0}{:>9.2}{:>11}{:>5.0} %",
                t.seconds * 1e3,
                t.least_bytes / t.seconds / 1e9,
                t.operations / t.seconds / 1e12,
                t.bound,
                100.0 * t.share_of_ceiling,
            );
        }
        text.push_str(if operation.within { "\n" } else { "  WRONG\n" });
    }
    text.push('\n');
    for fits in &report.fits {
        let _ = writeln!(
            text,
            "position memories of {} files of {} bytes, {} dimensions of {} bits: {} files a second{}",
            fits.files,
            fits.file_bytes,
            fits.dimensions,
            fits.code_bits,
            thousands(fits.files_per_second as u64),
            if fits.exact { ", every byte read back" } else { ", and NOT read back" },
        );
    }
    text
}
