//! Where the old image lies, where the new one goes, how much there is of each: it depends on the board's memory.

use firmware_demo::count::Counter;

use crate::Failure;

/// Bytes lent to the decoder for each piece of input, and again for each piece of output.
pub const CHUNK_BYTES: usize = if cfg!(board = "mps2-an500") { 4096 } else { 256 };

#[cfg(board = "mps2-an500")]
pub use roomy::*;
#[cfg(not(board = "mps2-an500"))]
pub use tight::*;

/// Old image and new slot lie in RAM, which stands for memory-mapped flash.
#[cfg(board = "mps2-an500")]
mod roomy {
    use firmware_demo::host::Mode;
    use static_cell::ConstStaticCell;

    use super::{Counter, Failure};
    use crate::counted::HostFile;
    use crate::slot::RamSlot;

    /// Bytes of each of the two slots.
    const SLOT_BYTES: usize = 1536 * 1024;

    static OLD: ConstStaticCell<[u8; SLOT_BYTES]> = ConstStaticCell::new([0; SLOT_BYTES]);
    static NEW: ConstStaticCell<[u8; SLOT_BYTES]> = ConstStaticCell::new([0; SLOT_BYTES]);

    pub type OldFile = &'static [u8];
    pub type Slot = RamSlot;

    pub fn open_old(name: &str, counter: &'static Counter) -> Result<OldFile, Failure> {
        let mut file = HostFile::open(name, Mode::Read, counter)?;
        let memory = OLD.take();
        let len = file.len() as usize;
        let Some(image) = memory.get_mut(..len) else {
            return Err(Failure::TooLarge("the old image", file.len(), SLOT_BYTES as u32));
        };
        file.read(image)?;
        Ok(image)
    }

    pub fn open_slot(name: &str, counter: &'static Counter) -> Result<Slot, Failure> {
        Ok(RamSlot::new(NEW.take(), HostFile::open(name, Mode::Write, counter)?))
    }
}

/// Neither image fits into RAM: both are host files, read and written in place.
#[cfg(not(board = "mps2-an500"))]
mod tight {
    use firmware_demo::host::Mode;

    use super::{Counter, Failure};
    use crate::counted::HostFile;
    use crate::slot::HostSlot;

    pub type OldFile = HostFile;
    pub type Slot = HostSlot;

    pub fn open_old(name: &str, counter: &'static Counter) -> Result<OldFile, Failure> {
        HostFile::open(name, Mode::Read, counter)
    }

    pub fn open_slot(name: &str, counter: &'static Counter) -> Result<Slot, Failure> {
        Ok(HostSlot::new(HostFile::open(name, Mode::Write, counter)?, counter))
    }
}
