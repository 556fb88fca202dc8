//! GPU kernels of gmcf.
//!
//! A kernel is a Rust function that is generic over [`gpu::Gpu`]: what one thread of a GPU can see and do. The same
//! source is compiled to PTX (`build-ptx.sh`, committed as `kernels.ptx`) and runs on the CPU under [`sim`], which reports
//! races, reads of what nobody wrote, accesses out of range and barriers that not all threads reach. [`list`] names every
//! kernel once, with its arguments and the shape of its launch: the entries of the PTX, the launches of the host and those
//! of the simulator come from it.
//!
//! Every kernel gives the same bits each time it runs: sums are taken in a fixed order, and there are no atomics.
#![cfg_attr(target_arch = "nvptx64", no_std)]
#![cfg_attr(target_arch = "nvptx64", feature(abi_ptx, stdarch_nvptx, asm_experimental_arch, link_llvm_intrinsics))]

#[cfg(target_arch = "nvptx64")]
mod device;
pub mod gpu;
pub mod kernels;
pub mod list;
#[cfg(feature = "sim")]
pub mod sim;

/// The kernels as PTX 7.0 for `sm_80` and newer.
#[cfg(not(target_arch = "nvptx64"))]
pub const PTX: &str = include_str!("../kernels.ptx");
