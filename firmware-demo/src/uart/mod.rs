//! Serial ports, polled: one driver for each kind of UART, with the traits of `embedded-io` over all.
//!
//! Pins and clocks are as QEMU has them: connected. A board on a desk needs them set up first.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};

#[cfg(board = "mps2-an500")]
mod cmsdk;
#[cfg(board = "microbit")]
mod nrf51;
#[cfg(board = "virt")]
mod ns16550;
#[cfg(board = "lm3s6965evb")]
mod pl011;

#[cfg(board = "mps2-an500")]
use cmsdk::Port;
#[cfg(board = "microbit")]
use nrf51::Port;
#[cfg(board = "virt")]
use ns16550::Port;
#[cfg(board = "lm3s6965evb")]
use pl011::Port;

/// The serial port of the board.
#[derive(Debug)]
pub struct Uart(Port);

impl Uart {
    /// Switches the board's first port on.
    ///
    /// # Safety
    /// It is made once in an image: nothing else uses the device.
    pub unsafe fn open() -> Self {
        // SAFETY: the caller promises it; the address is the board's.
        Self(unsafe { Port::open() })
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    /// Waits for a byte, and takes what else has come.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let mut taken = 0;
        for place in buf {
            *place = loop {
                match self.0.receive() {
                    Some(byte) => break byte,
                    None if taken > 0 => return Ok(taken),
                    None => core::hint::spin_loop(),
                }
            };
            taken += 1;
        }
        Ok(taken)
    }
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.has_received())
    }
}

impl Write for Uart {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        for &byte in buf {
            self.0.send(byte);
        }
        Ok(buf.len())
    }

    /// Waits until the last byte has gone to the line.
    fn flush(&mut self) -> Result<(), Infallible> {
        self.0.flush();
        Ok(())
    }
}
