//! UART of the nRF51: started by tasks, heard of by events.

use crate::mmio::Register;

const BASE: usize = 0x4000_2000;

/// Value that switches the device on.
const ENABLED: u32 = 4;

/// UART0.
#[derive(Debug)]
pub struct Port {
    received: Register<u32>,
    sent: Register<u32>,
    rx: Register<u32>,
    tx: Register<u32>,
    /// A byte is on its way.
    sending: bool,
}

impl Port {
    /// # Safety
    /// Nothing else in the image uses the device.
    pub unsafe fn open() -> Self {
        // SAFETY: the nRF51 has UART0 there, with registers of 32 bits.
        let register = |offset| unsafe { Register::<u32>::at(BASE + offset) };
        register(0x500).write(ENABLED);
        register(0x000).write(1); // start to receive
        register(0x008).write(1); // start to send
        Self {
            received: register(0x108),
            sent: register(0x11c),
            rx: register(0x518),
            tx: register(0x51c),
            sending: false,
        }
    }

    pub fn has_received(&self) -> bool {
        self.received.read() != 0
    }

    pub fn receive(&mut self) -> Option<u8> {
        if !self.has_received() {
            return None;
        }
        // Before the byte is taken: the event comes again at once when another one waits.
        self.received.write(0);
        Some(self.rx.read() as u8)
    }

    pub fn send(&mut self, byte: u8) {
        self.flush();
        self.sent.write(0);
        self.tx.write(byte.into());
        self.sending = true;
    }

    pub fn flush(&mut self) {
        while self.sending && self.sent.read() == 0 {}
        self.sending = false;
    }
}
