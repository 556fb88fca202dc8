//! A device that takes updates over its serial port: boots from its flash, serves the link, restarts when asked to.
//!
//! The flash is a file of the host, named on the semihosting command line: `device FLASH`. What the slots hold is not
//! run here: it may be an image for another machine. `boot` and `app` are a device that runs what it is sent.
#![no_std]
#![no_main]

use core::convert::Infallible;

use firmware_demo::device::{Failure, open_flash, pick, run};
use firmware_demo::start::entry;

#[entry]
fn main() -> ! {
    let Err(failure) = start();
    failure.exit()
}

#[inline(always)]
fn start() -> Result<Infallible, Failure> {
    let flash = open_flash()?;
    pick(flash)?;
    run(flash)
}
