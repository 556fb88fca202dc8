//! What differs between the boards.

#[cfg(board = "lm3s6965evb")]
pub use lm3s6965evb::*;
#[cfg(board = "microbit")]
pub use microbit::*;
#[cfg(board = "mps2-an500")]
pub use mps2_an500::*;
#[cfg(board = "virt")]
pub use virt::*;

#[cfg(board = "mps2-an500")]
mod mps2_an500 {
    /// Name of the board and its processor.
    pub const NAME: &str = "mps2-an500 (Cortex-M7)";
    /// Decoder of the largest profile that the board has the memory for.
    pub type Decoder<O> = codec_core::limits::Medium<O>;
    /// Bytes that its flash erases at once.
    pub const ERASE_BYTES: usize = 4096;
    /// Bytes that its flash writes at once.
    pub const WRITE_BYTES: usize = 8;
}

#[cfg(board = "lm3s6965evb")]
mod lm3s6965evb {
    /// Name of the board and its processor.
    pub const NAME: &str = "lm3s6965evb (Cortex-M3)";
    /// Decoder of the largest profile that the board has the memory for.
    pub type Decoder<O> = codec_core::limits::Small<O>;
    /// Bytes that its flash erases at once.
    pub const ERASE_BYTES: usize = 4096;
    /// Bytes that its flash writes at once.
    pub const WRITE_BYTES: usize = 4;
}

#[cfg(board = "microbit")]
mod microbit {
    /// Name of the board and its processor.
    pub const NAME: &str = "microbit (Cortex-M0)";
    /// Decoder of the largest profile that the board has the memory for.
    pub type Decoder<O> = codec_core::limits::Tiny<O>;
    /// Bytes that its flash erases at once.
    pub const ERASE_BYTES: usize = 1024;
    /// Bytes that its flash writes at once.
    pub const WRITE_BYTES: usize = 4;
}

#[cfg(board = "virt")]
mod virt {
    /// Name of the board and its processor.
    pub const NAME: &str = "virt (RISC-V rv32imac)";
    /// Decoder of the largest profile that the board has the memory for.
    pub type Decoder<O> = codec_core::limits::Small<O>;
    /// Bytes that its flash erases at once.
    pub const ERASE_BYTES: usize = 4096;
    /// Bytes that its flash writes at once.
    pub const WRITE_BYTES: usize = 4;
}
