//! Says that it is ready with a byte, sends back what the serial port receives, and ends after a line feed.
//! `uart-test.sh` runs it.
#![no_std]
#![no_main]

use embedded_io::{Read, Write};
use firmware_demo::start::entry;
use firmware_demo::uart::Uart;
use semihosting::process::ExitCode;

#[entry]
fn main() -> ! {
    // SAFETY: the only place in this image that opens the port.
    let mut uart = unsafe { Uart::open() };
    // What came before the port was open may be lost: opening empties the queues of some.
    let Ok(()) = uart.write_all(b"!");
    let mut buffer = [0; 32];
    loop {
        let Ok(n) = uart.read(&mut buffer);
        let Ok(()) = uart.write_all(&buffer[..n]);
        if buffer[..n].contains(&b'\n') {
            let Ok(()) = uart.flush();
            ExitCode::SUCCESS.exit_process()
        }
    }
}
