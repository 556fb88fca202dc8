//! NS16550A, as QEMU's RISC-V boards have it.

use crate::mmio::Register;

const BASE: usize = 0x1000_0000;

/// Line status: a byte has come.
const RX_READY: u8 = 1;
/// Line status: room for a byte to send.
const TX_ROOM: u8 = 1 << 5;
/// Line status: all has been sent.
const TX_EMPTY: u8 = 1 << 6;
/// Line control: eight bits.
const EIGHT_BITS: u8 = 3;
/// Queue control: on.
const QUEUED: u8 = 1;

/// The only port.
#[derive(Debug)]
pub struct Port {
    data: Register<u8>,
    status: Register<u8>,
}

impl Port {
    /// # Safety
    /// Nothing else in the image uses the device.
    pub unsafe fn open() -> Self {
        // SAFETY: the board has the device there, with registers of 8 bits.
        let register = |offset| unsafe { Register::<u8>::at(BASE + offset) };
        register(3).write(EIGHT_BITS);
        register(2).write(QUEUED);
        Self { data: register(0), status: register(5) }
    }

    pub fn has_received(&self) -> bool {
        self.status.read() & RX_READY != 0
    }

    pub fn receive(&mut self) -> Option<u8> {
        self.has_received().then(|| self.data.read())
    }

    pub fn send(&mut self, byte: u8) {
        while self.status.read() & TX_ROOM == 0 {}
        self.data.write(byte);
    }

    pub fn flush(&mut self) {
        while self.status.read() & TX_EMPTY == 0 {}
    }
}
