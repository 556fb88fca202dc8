//! What rebuilding a file cost, and the file's digest, as transcripts have them.

use core::fmt;

use semihosting::println;
use sha2::{Digest, Sha256};

/// A SHA-256, printed in hex. Independent of the digest that the container promises.
pub struct Hex(pub [u8; 32]);

impl Hex {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What rebuilding cost.
pub struct Cost {
    /// Instructions outside of host calls.
    pub instructions: u64,
    /// Times that the count stood still for the host.
    pub host_calls: u32,
    /// Bytes of the decoder's own state.
    pub decoder_bytes: usize,
    /// Bytes lent for input and output.
    pub buffer_bytes: usize,
    /// Bytes of stack at the deepest point.
    pub stack_bytes: usize,
}

impl Cost {
    /// Prints it; `output` is the length of what was rebuilt, in bytes.
    pub fn print(&self, output: u32) {
        let per_byte_x100 = self.instructions * 100 / u64::from(output.max(1));
        println!("decoder ram: {} bytes", self.decoder_bytes);
        println!("buffers: {} bytes", self.buffer_bytes);
        println!("peak stack: {} bytes", self.stack_bytes);
        println!("ram in all: {} bytes", self.decoder_bytes + self.buffer_bytes + self.stack_bytes);
        println!("host calls: {}", self.host_calls);
        println!("instructions: {}", self.instructions);
        println!("instructions per byte: {}.{:02}", per_byte_x100 / 100, per_byte_x100 % 100);
    }
}
