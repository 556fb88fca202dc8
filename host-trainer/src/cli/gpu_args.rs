//! What can be said to `gmcf gpu-check`.

use clap::Args;

/// Check every kernel on the GPU that is here, and time it.
///
/// Each operation that training and fitting use runs at sizes that show its edges, and is compared with a reference in
/// double precision. Then it runs at a size that fills the device, and the time is put beside what the device can do at most:
/// a large copy, and products in registers, measured first. `bound by` is what takes longer, the bytes that have to be moved
/// or the operations; `of it` is the share of that ceiling.
///
/// Where there is no GPU or no driver, this says so and exits with 3.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf gpu-check
  Under a checker of memory accesses, without the timing:
    compute-sanitizer --tool memcheck gmcf gpu-check --check-only")]
pub(crate) struct GpuCheckArgs {
    /// Compare only, do not time
    #[arg(long)]
    pub(crate) check_only: bool,
    /// Seed of the numbers that are compared
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
