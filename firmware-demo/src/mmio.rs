//! Registers of devices. All unsafe code for them is here.

/// One register of a device, `T` wide.
#[derive(Debug)]
pub struct Register<T>(*mut T);

impl<T: Copy> Register<T> {
    /// The register at an address.
    ///
    /// # Safety
    /// On this board a device has a register of this width there, aligned to it, whose reading and writing touch no
    /// memory that Rust knows of; nothing else in the image uses it.
    pub const unsafe fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    /// Reads it.
    pub fn read(&self) -> T {
        // SAFETY: whoever made the register promised that the device has it.
        unsafe { self.0.read_volatile() }
    }

    /// Writes it.
    pub fn write(&mut self, value: T) {
        // SAFETY: as above.
        unsafe { self.0.write_volatile(value) }
    }
}
