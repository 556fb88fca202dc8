//! Every operation on every backend, beside its reference in f64.
//!
//! The GPU's half is `gmcf gpu-check`, as on a real GPU: the real launches of `cust`, here against a driver that is a simulator
//! (`simulated-driver`), in a process of its own that finds it in its library path.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use host_trainer::backend::check::{Random, Unit, cases};
use host_trainer::backend::cpu::Cpu;
use host_trainer::backend::cuda::Cuda;
use host_trainer::backend::{Backend, BackendError, Device, Norms, Softmax};

/// Operations that a backend does not run, and why.
const SKIPPED: &[(&str, &str)] = &[];

#[track_caller]
fn run_all<B: Backend>(backend: &B) {
    let mut failed = Vec::new();
    for case in cases::<B>() {
        if let Some((_, why)) = SKIPPED.iter().find(|(name, _)| *name == case.name) {
            println!("SKIPPED on {}: {}: {why}", backend.name(), case.name);
            continue;
        }
        match (case.check)(backend, &mut Random::new(1)) {
            Ok(error) => {
                println!("{:<40} {:.2e} of {:.0e}", case.name, error.found, error.allowed);
                if !error.within() {
                    failed.push(case.name.to_owned());
                }
            }
            Err(error) => failed.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(failed.is_empty(), "on {}: {failed:#?}", backend.name());
}

#[test]
fn operations_on_the_cpu() {
    run_all(&Cpu::new(1));
}

#[test]
fn operations_on_the_cpu_in_threads() {
    run_all(&Cpu::new(3));
}

/// In a child that has the simulated driver in its library path.
#[test]
fn operations_on_the_simulated_gpu() {
    if std::env::var_os("GMCF_SIMULATED_DRIVER").is_some() {
        let checked = host_trainer::cli::run(["gmcf", "gpu-check", "--check-only"]);
        return checked.unwrap_or_else(|error| panic!("{}", error.message()));
    }
    let text = simulated("operations_on_the_simulated_gpu");
    println!("{text}");
    assert!(text.contains("simulated device") && !text.contains("WRONG"), "{text}");
    for case in cases::<Cpu>() {
        assert!(text.contains(case.name), "{} did not run: {text}", case.name);
    }
}

/// Every kernel is started by some operation.
#[test]
fn all_kernels_are_checked() {
    let cases = cases::<Cpu>();
    for name in ptx::list::NAMES {
        // These measure the device; what they compute means nothing.
        let checked = name.starts_with("ceiling_") || cases.iter().any(|case| case.kernels.contains(name));
        assert!(checked, "no operation starts {name}");
    }
    for case in &cases {
        assert!(case.kernels.iter().all(|name| ptx::list::NAMES.contains(name)), "{}", case.name);
    }
}

/// Ceilings are measured on whatever device there is, however slow.
#[test]
fn ceilings_of_the_simulated_gpu() {
    if std::env::var_os("GMCF_SIMULATED_DRIVER").is_some() {
        let ceilings = Cuda::open().expect("the simulated driver has a device").ceilings().unwrap();
        let operations = [Unit::Fma, Unit::Bf16, Unit::Int8].map(|unit| ceilings.operations(unit));
        assert!(
            operations.into_iter().chain([ceilings.bytes]).all(|rate| rate.is_normal() && rate > 0.0),
            "{ceilings:?}"
        );
        return;
    }
    simulated("ceilings_of_the_simulated_gpu");
}

/// What the device has no room for, and what kernels cannot count, is an error.
#[test]
fn memory_that_is_not_there_is_refused() {
    if std::env::var_os("GMCF_SIMULATED_DRIVER").is_some() {
        let gpu = Cuda::open().expect("the simulated driver has a device");
        let refused = gpu.zeros::<f32>(1 << 29).err();
        assert!(matches!(refused, Some(BackendError::Memory { requested, .. }) if requested == 1 << 31), "{refused:?}");
        let refused = gpu.zeros::<u8>(1 << 32).err();
        assert!(matches!(refused, Some(BackendError::Shape { found, .. }) if found == 1 << 32), "{refused:?}");
        assert_eq!(gpu.download(&gpu.upload(&[1u8, 2]).unwrap()).unwrap(), [1, 2]);
        return;
    }
    simulated("memory_that_is_not_there_is_refused");
}

/// Rows of no columns are refused like any other shape that no operation has.
#[test]
fn rows_without_columns_are_refused() {
    let (cpu, x, mut y) = (Cpu::new(1), vec![1.0; 4], vec![0.0; 4]);
    for refused in [cpu.softmax_rows(0, &x, &mut y), cpu.rms_norm(0, 1e-6, &x, &mut vec![0.0; 4], &mut y)] {
        assert!(matches!(refused, Err(BackendError::Shape { what: "number of columns", .. })), "{refused:?}");
    }
}

/// Where there is no driver, the same program says so in one line and goes on.
#[test]
fn without_a_driver_there_is_an_error_and_no_crash() {
    if std::env::var_os("GMCF_SIMULATED_DRIVER").is_some() {
        let Err(error) = Cuda::open() else { panic!("a device without a driver") };
        assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
        assert!(error.to_string().starts_with("no CUDA device: the driver is not installed"), "{error}");
        return;
    }
    let output = with_driver("without_a_driver_there_is_an_error_and_no_crash", &PathBuf::from("/nonexistent"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs test `name` of this program in a child with the simulated driver, and sees that it passes; what it prints.
fn simulated(name: &str) -> String {
    let output = with_driver(name, &driver());
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text.into_owned()
}

/// Runs test `name` of this program in a child whose driver lies in `folder`.
fn with_driver(name: &str, folder: &PathBuf) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("LD_LIBRARY_PATH", folder)
        .env("GMCF_SIMULATED_DRIVER", "1")
        .output()
        .unwrap()
}

/// Builds the simulated driver, once; the folder in which it lies under its real name.
fn driver() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = root.join("target/simulated-driver");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--release", "-p", "simulated-driver", "--target-dir"])
            .arg(&target)
            .current_dir(&root)
            .status()
            .unwrap();
        assert!(status.success(), "the simulated driver is built");
        let folder = target.join("release");
        std::fs::copy(folder.join("libcuda.so"), folder.join("libcuda.so.1")).unwrap();
        folder
    };
    FOLDER.get_or_init(build).clone()
}
