//! CMSDK APB UART, as Arm's MPS2 boards have it.

use crate::mmio::Register;

const BASE: usize = 0x4000_4000;

/// State: the one byte of room to send is taken.
const TX_FULL: u32 = 1;
/// State: a byte has come.
const RX_FULL: u32 = 1 << 1;
/// Control: transmitter and receiver.
const ENABLE: u32 = 1 << 1 | 1;
/// The least divider of the clock that the device takes.
const FASTEST: u32 = 16;

/// UART0.
#[derive(Debug)]
pub struct Port {
    data: Register<u32>,
    state: Register<u32>,
}

impl Port {
    /// # Safety
    /// Nothing else in the image uses the device.
    pub unsafe fn open() -> Self {
        // SAFETY: the MPS2 has UART0 there, with registers of 32 bits.
        let register = |offset| unsafe { Register::<u32>::at(BASE + offset) };
        register(0x10).write(FASTEST);
        register(0x08).write(ENABLE);
        Self { data: register(0x00), state: register(0x04) }
    }

    pub fn has_received(&self) -> bool {
        self.state.read() & RX_FULL != 0
    }

    pub fn receive(&mut self) -> Option<u8> {
        self.has_received().then(|| self.data.read() as u8)
    }

    pub fn send(&mut self, byte: u8) {
        self.flush();
        self.data.write(byte.into());
    }

    pub fn flush(&mut self) {
        while self.state.read() & TX_FULL != 0 {}
    }
}
