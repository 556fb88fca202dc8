//! Where the rebuilt file goes.

use firmware_demo::report::Hex;

use crate::Failure;
use crate::counted::HostFile;

/// What was written to a slot.
pub struct Rebuilt {
    /// Length in bytes.
    pub len: u32,
    /// Digest of what lies in the slot.
    pub digest: Hex,
}

#[cfg(board = "mps2-an500")]
pub use ram::RamSlot;
#[cfg(not(board = "mps2-an500"))]
pub use streamed::HostSlot;

#[cfg(board = "mps2-an500")]
mod ram {
    use super::*;

    /// A slot in RAM, copied to a host file at the end.
    pub struct RamSlot {
        memory: &'static mut [u8],
        len: usize,
        file: HostFile,
    }

    impl RamSlot {
        pub fn new(memory: &'static mut [u8], file: HostFile) -> Self {
            Self { memory, len: 0, file }
        }

        pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
            let end = self.len + bytes.len();
            let limit = self.memory.len() as u32;
            let room =
                self.memory.get_mut(self.len..end).ok_or(Failure::TooLarge("the new image", end as u32, limit))?;
            room.copy_from_slice(bytes);
            self.len = end;
            Ok(())
        }

        pub fn finish(mut self) -> Result<Rebuilt, Failure> {
            let image = &self.memory[..self.len];
            self.file.write(image)?;
            Ok(Rebuilt { len: self.len as u32, digest: Hex::of(image) })
        }
    }
}

#[cfg(not(board = "mps2-an500"))]
mod streamed {
    use firmware_demo::count::Counter;
    use sha2::{Digest, Sha256};

    use super::*;

    /// A slot on the host, written piece by piece.
    pub struct HostSlot {
        file: HostFile,
        len: u32,
        hasher: Sha256,
        counter: &'static Counter,
    }

    impl HostSlot {
        pub fn new(file: HostFile, counter: &'static Counter) -> Self {
            Self { file, len: 0, hasher: Sha256::new(), counter }
        }

        pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
            self.counter.pause(|| self.hasher.update(bytes));
            self.len += bytes.len() as u32;
            self.file.write(bytes)
        }

        pub fn finish(self) -> Result<Rebuilt, Failure> {
            Ok(Rebuilt { len: self.len, digest: Hex(self.hasher.finalize().into()) })
        }
    }
}
