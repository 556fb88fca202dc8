//! PrimeCell UART (PL011), as the LM3S6965 has it.

use crate::mmio::Register;

const BASE: usize = 0x4000_c000;

/// Flag register: nothing received.
const RX_EMPTY: u32 = 1 << 4;
/// Flag register: no room for a byte to send.
const TX_FULL: u32 = 1 << 5;
/// Flag register: a byte is on its way.
const BUSY: u32 = 1 << 3;
/// Line control: eight bits, queues on.
const EIGHT_BITS_QUEUED: u32 = 3 << 5 | 1 << 4;
/// Control: receiver, transmitter, and the whole.
const ENABLE: u32 = 1 << 9 | 1 << 8 | 1;

/// UART0.
#[derive(Debug)]
pub struct Port {
    data: Register<u32>,
    flags: Register<u32>,
}

impl Port {
    /// # Safety
    /// Nothing else in the image uses the device.
    pub unsafe fn open() -> Self {
        // SAFETY: the LM3S6965 has UART0 there, with registers of 32 bits.
        let register = |offset| unsafe { Register::<u32>::at(BASE + offset) };
        register(0x2c).write(EIGHT_BITS_QUEUED);
        register(0x30).write(ENABLE);
        Self { data: register(0x00), flags: register(0x18) }
    }

    pub fn has_received(&self) -> bool {
        self.flags.read() & RX_EMPTY == 0
    }

    pub fn receive(&mut self) -> Option<u8> {
        self.has_received().then(|| self.data.read() as u8)
    }

    pub fn send(&mut self, byte: u8) {
        while self.flags.read() & TX_FULL != 0 {}
        self.data.write(byte.into());
    }

    pub fn flush(&mut self) {
        while self.flags.read() & BUSY != 0 {}
    }
}
