//! AArch64 (A64).
//!
//! Seen: `B`, `BL`, `B.cond`, `CBZ`/`CBNZ`, `TBZ`/`TBNZ`, loads from a literal, `ADR`, and `ADRP` with the
//! `ADD`, load or store that adds the low 12 bits. Addresses are the low 32 bits of the real ones.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, aarch64::AArch64};
//!
//! let pair = [0x90000080_u32, 0x910D0000].map(u32::to_le_bytes).concat(); // adrp x0, . + 16 pages; add x0, x0, #0x340
//! let window = Window::new(&pair, 0);
//! let site = AArch64.site(&window, 0x1000);
//! assert_eq!((site.kind, site.target), (Kind::PcAddress, 0x1_1340));
//! assert_eq!(AArch64.relocate(&window, &site, 0x2000, 0x1_2FF0), Some(0x90000080));
//! ```

use super::{Isa, Kind, Site, WINDOW_AFTER, WINDOW_BEFORE, Window, sign_extend, signed_field};

/// Registers from this number on survive a call.
const FIRST_CALLEE_SAVED: u32 = 19;
/// Bits of an address inside its page.
const PAGE: u32 = 0xFFF;

/// AArch64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AArch64;

#[derive(Clone, Copy)]
enum Form {
    Other,
    /// Signed word offset of `bits` bits at bit `at`.
    Relative {
        kind: Kind,
        bits: u32,
        at: u32,
    },
    Adr,
    Adrp,
    /// Adds the low 12 bits of an address, in units of `2^scale` bytes.
    Low {
        scale: u32,
    },
}

fn form(word: u32) -> Form {
    if word & 0x7C00_0000 == 0x1400_0000 {
        let kind = if word >> 31 == 0 { Kind::Jump } else { Kind::Call };
        Form::Relative { kind, bits: 26, at: 0 }
    } else if word & 0xFF00_0000 == 0x5400_0000 || word & 0x7E00_0000 == 0x3400_0000 {
        Form::Relative { kind: Kind::Branch, bits: 19, at: 5 }
    } else if word & 0x7E00_0000 == 0x3600_0000 {
        Form::Relative { kind: Kind::Branch, bits: 14, at: 5 }
    } else if word & 0x3B00_0000 == 0x1800_0000 {
        Form::Relative { kind: Kind::Literal, bits: 19, at: 5 }
    } else if word & 0x9F00_0000 == 0x1000_0000 {
        Form::Adr
    } else if word & 0x9F00_0000 == 0x9000_0000 {
        Form::Adrp
    } else if word & 0xFFC0_0000 == 0x9100_0000 {
        Form::Low { scale: 0 }
    } else if word & 0x3B00_0000 == 0x3900_0000 {
        // Vector registers of 16 bytes borrow the top bit of the opcode for their size.
        let wide = word >> 26 & 1 == 1 && word >> 23 & 1 == 1;
        let scale = word >> 30 | u32::from(wide) << 2;
        // Beyond the page it is a field of a structure, not the low part of an address.
        if scale > 4 || low_part(word, scale) > PAGE { Form::Other } else { Form::Low { scale } }
    } else {
        Form::Other
    }
}

impl Isa for AArch64 {
    fn align(&self) -> u32 {
        4
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        decode(window, pc).unwrap_or_else(|| Site::plain_in(window, 4))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        if site.kind == Kind::Plain {
            return window.bits(site.len);
        }
        let word = window.u32(0)?;
        let offset = new_target.wrapping_sub(new_pc);
        match form(word) {
            Form::Other => None,
            Form::Relative { bits, at, .. } => {
                let mask = (1 << bits) - 1;
                Some(word & !(mask << at) | signed_field(offset, bits + 2, 2)? << at)
            }
            Form::Adr => Some(with_adr_immediate(word, signed_field(offset, 21, 0)?)),
            Form::Adrp => {
                let pages = (new_target >> 12).wrapping_sub(new_pc >> 12);
                // 32-bit addresses leave bit 20 open: as the shorter way round, unless it was not so before.
                let longer_way = adr_immediate(word) ^ sign_extend(adr_immediate(word), 20);
                Some(with_adr_immediate(word, sign_extend(pages, 20) ^ longer_way))
            }
            Form::Low { scale } => {
                let low = new_target & PAGE;
                (low & ((1 << scale) - 1) == 0).then_some(word & !(0xFFF << 10) | low >> scale << 10)
            }
        }
    }
}

/// The unit at the window's place, if it is one with an address.
fn decode(window: &Window<'_>, pc: u32) -> Option<Site> {
    let word = window.u32(0).filter(|_| pc & 3 == 0)?;
    let (kind, target) = match form(word) {
        Form::Other => return None,
        Form::Relative { kind, bits, at } => (kind, pc.wrapping_add(sign_extend(word >> at, bits) << 2)),
        Form::Adr => (Kind::PcAddress, pc.wrapping_add(adr_immediate(word))),
        Form::Adrp => (Kind::PcAddress, page(word, pc) | find_low(window, destination(word)).unwrap_or(0)),
        Form::Low { scale } => {
            let (distance, adrp) = find_adrp(window, base(word))?;
            (Kind::PcAddress, page(adrp, pc.wrapping_sub(distance)) | low_part(word, scale))
        }
    };
    Some(Site { len: 4, kind, target })
}

/// The low part that the `ADRP` at the window's place is completed with.
fn find_low(window: &Window<'_>, register: u32) -> Option<u32> {
    for i in 1..WINDOW_AFTER as isize / 4 {
        let word = window.u32(4 * i)?;
        match form(word) {
            Form::Low { scale } if base(word) == register => return Some(low_part(word, scale)),
            _ if overwrites(word, register) => return None,
            _ => {}
        }
    }
    None
}

/// The `ADRP` whose page is still in `register` at the window's place, and how many bytes before it stands.
fn find_adrp(window: &Window<'_>, register: u32) -> Option<(u32, u32)> {
    for i in 1..=WINDOW_BEFORE as u32 / 4 {
        let word = window.u32(-4 * i as isize)?;
        if matches!(form(word), Form::Adrp) && destination(word) == register {
            return Some((4 * i, word));
        }
        if overwrites(word, register) {
            return None;
        }
    }
    None
}

/// Whether `word` leaves something else in `register`. Instructions that rarely do are not looked at.
fn overwrites(word: u32, register: u32) -> bool {
    let is = |r: u32| r == register;
    match word >> 25 & 0xF {
        // Data processing, immediate and register.
        0b1000 | 0b1001 | 0b0101 | 0b1101 => is(destination(word)),
        // BL, BLR.
        0b1010 | 0b1011 if word >> 26 == 0b10_0101 || word & 0xFFFF_FC1F == 0xD63F_0000 => {
            register < FIRST_CALLEE_SAVED
        }
        // Load pair, then load register, both of general registers.
        0b0100 if word >> 27 & 7 == 0b101 && word >> 22 & 1 == 1 => is(destination(word)) || is(word >> 10 & 31),
        0b1100 if word >> 27 & 7 == 0b111 && word >> 22 & 3 != 0 => is(destination(word)),
        _ => false,
    }
}

/// `Rd` or `Rt`.
fn destination(word: u32) -> u32 {
    word & 31
}

/// `Rn`.
fn base(word: u32) -> u32 {
    word >> 5 & 31
}

/// The low part of an address that an instruction of form [`Form::Low`] adds, in bytes.
fn low_part(word: u32, scale: u32) -> u32 {
    (word >> 10 & 0xFFF) << scale
}

/// The signed 21-bit immediate of `ADR` and `ADRP`.
fn adr_immediate(word: u32) -> u32 {
    sign_extend((word >> 5) << 2 | word >> 29 & 3, 21)
}

fn with_adr_immediate(word: u32, immediate: u32) -> u32 {
    word & 0x9F00_001F | (immediate & 3) << 29 | (immediate >> 2 & 0x7_FFFF) << 5
}

/// The page that an `ADRP` at `pc` forms.
fn page(adrp: u32, pc: u32) -> u32 {
    (pc & !PAGE).wrapping_add(adr_immediate(adrp) << 12)
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Half, Subject, Template, golden};
    use super::*;

    const fn like(mask: u32, bits: u32) -> Template {
        Template { len: 4, mask, bits }
    }

    #[test]
    fn keeps_the_laws() {
        let templates = [
            like(0x7C00_0000, 0x1400_0000),
            like(0xFF00_0010, 0x5400_0000),
            like(0x7E00_0000, 0x3400_0000),
            like(0x7E00_0000, 0x3600_0000),
            like(0x3B00_0000, 0x1800_0000),
            like(0x9F00_0000, 0x1000_0000),
            like(0x9F00_001C, 0x9000_0010),
            like(0x9F00_001C, 0x9000_0010),
            like(0xFFC0_039C, 0x9100_0210),
            like(0x3B20_0380, 0x3900_0200),
        ];
        let half = |word| match form(word) {
            Form::Adrp => Some(Half { high: true, register: destination(word) }),
            Form::Low { .. } => Some(Half { high: false, register: base(word) }),
            _ => None,
        };
        Subject { isa: AArch64, templates: &templates, half }.check();
    }

    /// GNU as 2.40, linked to 0x40080000; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        let code = [
            0x94020000, 0x17FFFFFF, 0x540003C1, 0xB4FFFFA1, 0x35000382, 0xB6080363, 0x371FFF44, 0x58000365, 0x1C000346,
            0x98000327, 0x10000308, 0x30FFFEA9, 0x90000DAA, 0x913FC14A, 0x90000DAB, 0xAA0D03EC, 0xF947FD6E, 0xB0000DAF,
            0x3D8001E1, 0x39400DF0, 0x90000DB3, 0x9401FFEB, 0xB94FF260, 0xB94FF661, 0x90000DA1, 0xAA0203E1, 0xB9400C20,
            0x90FFF403, 0xB9400C40, 0xB9401040, 0xB9401440, 0xB9402060,
        ]
        .map(u32::to_le_bytes);
        let expected = [
            (0x00, Kind::Call, 0x4010_0000),
            (0x04, Kind::Jump, 0x4008_0000),
            (0x08, Kind::Branch, 0x4008_0080),
            (0x0C, Kind::Branch, 0x4008_0000),
            (0x10, Kind::Branch, 0x4008_0080),
            (0x14, Kind::Branch, 0x4008_0080),
            (0x18, Kind::Branch, 0x4008_0000),
            (0x1C, Kind::Literal, 0x4008_0088),
            (0x20, Kind::Literal, 0x4008_0088),
            (0x24, Kind::Literal, 0x4008_0088),
            (0x28, Kind::PcAddress, 0x4008_0088),
            (0x2C, Kind::PcAddress, 0x4008_0001),
            (0x30, Kind::PcAddress, 0x4023_4FF0),
            (0x34, Kind::PcAddress, 0x4023_4FF0),
            (0x38, Kind::PcAddress, 0x4023_4FF8),
            (0x40, Kind::PcAddress, 0x4023_4FF8),
            (0x44, Kind::PcAddress, 0x4023_5000),
            (0x48, Kind::PcAddress, 0x4023_5000),
            (0x4C, Kind::PcAddress, 0x4023_5003),
            // Across a call, in a register that survives it.
            (0x50, Kind::PcAddress, 0x4023_4FF0),
            (0x54, Kind::Call, 0x4010_0000),
            (0x58, Kind::PcAddress, 0x4023_4FF0),
            (0x5C, Kind::PcAddress, 0x4023_4FF4),
            // Overwritten before its first use: the page alone.
            (0x60, Kind::PcAddress, 0x4023_4000),
            // Too far from its low part, which does see it.
            (0x6C, Kind::PcAddress, 0x3FF0_0000),
            (0x7C, Kind::PcAddress, 0x3FF0_0020),
        ];
        golden(&AArch64, 0x4008_0000, code.as_flattened(), &expected);
    }

    /// ldr d0, [x0, #0x7F8]; ldr d1, [x0, #0x1000]
    #[test]
    fn takes_no_field_of_a_structure_for_a_low_part() {
        let code = [0x9000_0000_u32, 0xFD43_FC00, 0xFD48_0001].map(u32::to_le_bytes);
        let expected = [(0, Kind::PcAddress, 0x57F8), (4, Kind::PcAddress, 0x57F8)];
        golden(&AArch64, 0x5004, code.as_flattened(), &expected);
    }
}
