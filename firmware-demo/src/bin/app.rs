//! What the boot loader of the Cortex-M7 runs: the device, as an image that can be sent to it as an update.
//!
//! `GMCF_APP_VERSION` in the environment of the compiler is the version that it says of itself. With `GMCF_APP_FAULT` it
//! has a fault: it restarts at once, and is never confirmed.
#![no_std]
#![no_main]

#[cfg(not(board = "mps2-an500"))]
compile_error!("only the mps2-an500 has a boot loader for it");

use firmware_demo::device::{Failure, open_flash, run};
use firmware_demo::reset::reset;
use firmware_demo::start::entry;
use semihosting::println;

/// The version, in words.
const VERSION: &str = match option_env!("GMCF_APP_VERSION") {
    Some(version) => version,
    None => "unnamed",
};

#[entry]
fn main() -> ! {
    println!("app: this is version {VERSION}");
    // The compiler must not know, or it leaves the rest out.
    if core::hint::black_box(option_env!("GMCF_APP_FAULT").is_some()) {
        println!("app: a fault");
        reset();
    }
    let Err(failure) = start();
    failure.exit()
}

fn start() -> Result<core::convert::Infallible, Failure> {
    let flash = open_flash()?;
    run(flash)
}
