//! What differs between the boards.

use codec_core::neural::NoBase;
use update_core::flash::Layout;

include!(concat!(env!("OUT_DIR"), "/board.rs"));

#[cfg(board = "mps2-an500")]
mod names {
    use codec_core::neural::NoBase;

    pub const NAME: &str = "mps2-an500 (Cortex-M7)";
    pub type Decoder<O, B = NoBase> = codec_core::limits::Medium<O, B>;
    pub const PROFILE: codec_core::limits::Profile = codec_core::limits::Profile::Medium;
    pub type Link = update_core::link::Link<256, 8>;
    pub const BUFFER: usize = 2048;
}

#[cfg(any(board = "lm3s6965evb", board = "virt"))]
mod names {
    use codec_core::neural::NoBase;

    #[cfg(board = "lm3s6965evb")]
    pub const NAME: &str = "lm3s6965evb (Cortex-M3)";
    #[cfg(board = "virt")]
    pub const NAME: &str = "virt (RISC-V rv32imac)";
    #[cfg(not(feature = "one-slot"))]
    pub type Decoder<O, B = NoBase> = codec_core::limits::Small<O, B>;
    #[cfg(not(feature = "one-slot"))]
    pub const PROFILE: codec_core::limits::Profile = codec_core::limits::Profile::Small;
    // In place the script is made beside the decoder: with `small` that is more than the 64 KiB.
    #[cfg(feature = "one-slot")]
    pub type Decoder<O, B = NoBase> = codec_core::limits::Tiny<O, B>;
    #[cfg(feature = "one-slot")]
    pub const PROFILE: codec_core::limits::Profile = codec_core::limits::Profile::Tiny;
    pub type Link = update_core::link::Link<128, 1>;
    pub const BUFFER: usize = 320;
}

#[cfg(board = "microbit")]
mod names {
    use codec_core::neural::NoBase;

    pub const NAME: &str = "microbit (Cortex-M0)";
    pub type Decoder<O, B = NoBase> = codec_core::limits::Tiny<O, B>;
    pub const PROFILE: codec_core::limits::Profile = codec_core::limits::Profile::Tiny;
    pub type Link = update_core::link::Link<64, 0>;
    pub const BUFFER: usize = 304;
}

/// Name of the board and its processor.
#[cfg(not(board = "mps2-an500"))]
pub fn name() -> &'static str {
    names::NAME
}

/// Name of the board and its processor: the same images run on another one.
#[cfg(board = "mps2-an500")]
pub fn name() -> &'static str {
    // SAFETY: the register can be read at any time, and reading changes nothing.
    let id = unsafe { (*cortex_m::peripheral::CPUID::PTR).base.read() };
    if id >> 4 & 0xfff == 0xc24 { "mps2-an386 (Cortex-M4)" } else { names::NAME }
}

/// Decoder of the largest profile that the board has the memory for.
pub type Decoder<O, B = NoBase> = names::Decoder<O, B>;

/// That profile.
pub const PROFILE: codec_core::limits::Profile = names::PROFILE;

/// The device's end of the link: bytes of a frame, and chunks that are kept.
pub type Link = names::Link;

/// Bytes that are lent to the updater.
pub const BUFFER: usize = names::BUFFER;

/// Where everything lies on the flash.
#[cfg(not(feature = "one-slot"))]
pub const LAYOUT: Layout = Layout::two(STATE_BYTES, DOWNLOAD_BYTES, SLOT_BYTES);

/// Where everything lies on the flash. The scratch area is as long as the download.
#[cfg(feature = "one-slot")]
pub const LAYOUT: Layout = Layout::one(STATE_BYTES, DOWNLOAD_BYTES, DOWNLOAD_BYTES, SLOT_BYTES);

/// Bytes of all of it.
pub const FLASH_BYTES: u32 =
    STATE_BYTES + DOWNLOAD_BYTES + SLOT_BYTES + if cfg!(feature = "one-slot") { DOWNLOAD_BYTES } else { SLOT_BYTES };
