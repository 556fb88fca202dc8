//! Arm A32: the 32-bit instructions of Armv4 to Armv8-A.
//!
//! Seen: `B`, `BL`, `BLX` (immediate), `LDR`/`LDRB` from a literal, `ADR` (`ADD` or `SUB` of a modified
//! immediate and `pc`), and `MOVW`/`MOVT` pairs. Literals of other sizes (`LDRD`, `LDRH`, `VLDR`) stay plain.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, a32::A32};
//!
//! let call = 0xEB00_0005_u32.to_le_bytes(); // bl pc + 8 + 20
//! let window = Window::new(&call, 0);
//! let site = A32.site(&window, 0x100);
//! assert_eq!((site.kind, site.target), (Kind::Call, 0x11C));
//! assert_eq!(A32.relocate(&window, &site, 0x200, 0x20C), Some(0xEB00_0001));
//! ```

use super::{Isa, Kind, Site, WINDOW_AFTER, WINDOW_BEFORE, Window, sign_extend, signed_field};

/// `pc` reads as the instruction's address plus this, in bytes.
const PIPELINE: u32 = 8;
/// Top four bits: always.
const AL: u32 = 0xE;
/// Top four bits: not a condition, but the unconditional instructions.
const UNCONDITIONAL: u32 = 0xF;
/// The bit of a literal load or an `ADR` that says "add the offset": `LDR`.
const LDR_ADD: u32 = 1 << 23;
/// `ADD rd, pc, #imm`, without condition, register and immediate.
const ADR_ADD: u32 = 0x028F_0000;
/// `SUB rd, pc, #imm`, likewise.
const ADR_SUB: u32 = 0x024F_0000;

/// Arm A32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct A32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Other,
    Branch,
    Blx,
    Ldr,
    Adr,
    Movw,
    Movt,
}

fn form(word: u32) -> Form {
    match (word >> 28, word & 0x0FFF_FFFF) {
        (UNCONDITIONAL, w) if w >> 25 == 0b101 => Form::Blx,
        (UNCONDITIONAL, _) => Form::Other,
        (_, w) if w >> 25 == 0b101 => Form::Branch,
        (_, w) if w & 0x0F3F_0000 == 0x051F_0000 => Form::Ldr,
        (_, w) if matches!(w & 0x0FFF_0000, ADR_ADD | ADR_SUB) => Form::Adr,
        (_, w) if w & 0x0FF0_0000 == 0x0300_0000 => Form::Movw,
        (_, w) if w & 0x0FF0_0000 == 0x0340_0000 => Form::Movt,
        _ => Form::Other,
    }
}

impl Isa for A32 {
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
        let offset = new_target.wrapping_sub(new_pc.wrapping_add(PIPELINE));
        match form(word) {
            Form::Other => None,
            Form::Branch => Some(word & 0xFF00_0000 | signed_field(offset, 26, 2)?),
            Form::Blx => {
                let half = offset & 2;
                Some(word & 0xFE00_0000 | half << 23 | signed_field(offset ^ half, 26, 2)?)
            }
            Form::Ldr => {
                let add = match offset as i32 {
                    0 => word & LDR_ADD,
                    1.. => LDR_ADD,
                    _ => 0,
                };
                let distance = (offset as i32).unsigned_abs();
                (distance < 1 << 12).then_some(word & 0xFF7F_F000 | add | distance)
            }
            Form::Adr => {
                let (opcode, immediate) = encode_adr(word, offset)?;
                Some(word & 0xF000_F000 | opcode | immediate)
            }
            Form::Movw => Some(with_half(word, new_target)),
            Form::Movt => Some(with_half(word, new_target >> 16)),
        }
    }
}

/// The unit at the window's place, if it is one with an address.
fn decode(window: &Window<'_>, pc: u32) -> Option<Site> {
    let word = window.u32(0).filter(|_| pc & 3 == 0)?;
    let base = pc.wrapping_add(PIPELINE);
    let branch_offset = sign_extend(word << 2, 26);
    let (kind, target) = match form(word) {
        Form::Other => return None,
        Form::Branch => {
            let kind = match (word >> 24 & 1, word >> 28) {
                (1, _) => Kind::Call,
                (_, AL) => Kind::Jump,
                _ => Kind::Branch,
            };
            (kind, base.wrapping_add(branch_offset))
        }
        Form::Blx => (Kind::Call, base.wrapping_add(branch_offset | word >> 23 & 2)),
        Form::Ldr => {
            let distance = word & 0xFFF;
            let offset = if word & LDR_ADD != 0 { distance } else { distance.wrapping_neg() };
            (Kind::Literal, base.wrapping_add(offset))
        }
        Form::Adr => (Kind::PcAddress, base.wrapping_add(adr_offset(word))),
        Form::Movw => (Kind::AbsAddress, half(word) | half(find_movt(window, word)?) << 16),
        Form::Movt => (Kind::AbsAddress, half(word) << 16 | half(find_movw(window, word)?)),
    };
    Some(Site { len: 4, kind, target })
}

/// The `MOVT` that completes the `MOVW` at the window's place.
fn find_movt(window: &Window<'_>, movw: u32) -> Option<u32> {
    (1..WINDOW_AFTER as isize / 4)
        .map_while(|i| window.u32(4 * i))
        .find(|&w| same_register(w, movw) && matches!(form(w), Form::Movw | Form::Movt))
        .filter(|&w| form(w) == Form::Movt)
}

/// The `MOVW` that the `MOVT` at the window's place completes.
fn find_movw(window: &Window<'_>, movt: u32) -> Option<u32> {
    (1..=WINDOW_BEFORE as isize / 4)
        .map_while(|i| window.u32(-4 * i))
        .find(|&w| same_register(w, movt) && matches!(form(w), Form::Movw | Form::Movt))
        .filter(|&w| form(w) == Form::Movw)
}

/// Same condition and same destination.
fn same_register(a: u32, b: u32) -> bool {
    (a ^ b) & 0xF000_F000 == 0
}

/// The 16-bit immediate of a `MOVW` or `MOVT`.
fn half(word: u32) -> u32 {
    word >> 4 & 0xF000 | word & 0xFFF
}

fn with_half(word: u32, value: u32) -> u32 {
    word & 0xFFF0_F000 | (value & 0xF000) << 4 | value & 0xFFF
}

/// The distance from `pc` that an `ADR` adds, modulo 2^32.
fn adr_offset(word: u32) -> u32 {
    let value = (word & 0xFF).rotate_right(word >> 7 & 0x1E);
    if word & 0x0FFF_0000 == ADR_ADD { value } else { value.wrapping_neg() }
}

/// Opcode and 12-bit modified immediate of an `ADR` over `offset`. Many values have several encodings; an
/// assembler takes `ADD` for what is not negative and the smallest rotation. If `word` was written otherwise,
/// its own opcode and rotation are tried first.
fn encode_adr(word: u32, offset: u32) -> Option<(u32, u32)> {
    let as_assembler = canonical_adr(offset);
    let (opcode, immediate) = (word & 0x0FFF_0000, word & 0xFFF);
    if canonical_adr(adr_offset(word)) == Some((opcode, immediate)) {
        return as_assembler;
    }
    let value = if opcode == ADR_ADD { offset } else { offset.wrapping_neg() };
    let rotated = value.rotate_left(immediate >> 7 & 0x1E);
    if rotated <= 0xFF { Some((opcode, immediate & 0xF00 | rotated)) } else { as_assembler }
}

fn canonical_adr(offset: u32) -> Option<(u32, u32)> {
    let opcode = if offset as i32 >= 0 { ADR_ADD } else { ADR_SUB };
    let value = (offset as i32).unsigned_abs();
    (0..16)
        .map(|rotation| (rotation << 8, value.rotate_left(2 * rotation)))
        .find(|r| r.1 <= 0xFF)
        .map(|r| (opcode, r.0 | r.1))
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
            like(0x0E00_0000, 0x0A00_0000),
            like(0xFE00_0000, 0xFA00_0000),
            like(0x0F3F_0000, 0x051F_0000),
            like(0x0FFF_0000, ADR_ADD),
            like(0x0FFF_0000, ADR_SUB),
            like(0xFFF0_E000, 0xE300_2000),
            like(0xFFF0_E000, 0xE340_2000),
        ];
        let half = |word| match form(word) {
            Form::Movw => Some(Half { high: false, register: word & 0xF000_F000 }),
            Form::Movt => Some(Half { high: true, register: word & 0xF000_F000 }),
            _ => None,
        };
        Subject { isa: A32, templates: &templates, half }.check();
    }

    /// GNU as 2.40, linked to 0x8000; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        let code = [
            0xEB03FFFE, 0xEAFFFFFD, 0x1A00000E, 0x0B03FFFB, 0xFB00000E, 0xE59F0030, 0xE51F1020, 0xE5DF2028, 0xE28F3024,
            0xE24F402C, 0xE28F5FFE, 0xE3086000, 0xE1A00001, 0xE3406010, 0xE3057678, 0x13417234, 0xE2810008, 0xE3500003,
        ]
        .map(u32::to_le_bytes);
        let expected = [
            (0x00, Kind::Call, 0x10_8000),
            (0x04, Kind::Jump, 0x8000),
            (0x08, Kind::Branch, 0x8048),
            (0x0C, Kind::Call, 0x10_8000),
            (0x10, Kind::Call, 0x8052),
            (0x14, Kind::Literal, 0x804C),
            (0x18, Kind::Literal, 0x8000),
            (0x1C, Kind::Literal, 0x804C),
            (0x20, Kind::PcAddress, 0x804C),
            (0x24, Kind::PcAddress, 0x8000),
            (0x28, Kind::PcAddress, 0x8428),
            (0x2C, Kind::AbsAddress, 0x10_8000),
            (0x34, Kind::AbsAddress, 0x10_8000),
        ];
        golden(&A32, 0x8000, code.as_flattened(), &expected);
    }

    #[test]
    fn writes_an_adr_as_an_assembler_would() {
        // add r5, pc, #0x3f8
        let window_bytes = 0xE28F_5FFE_u32.to_le_bytes();
        let window = Window::new(&window_bytes, 0);
        let site = A32.site(&window, 0x8028);
        let moved = |offset: u32| A32.relocate(&window, &site, 0, PIPELINE.wrapping_add(offset));
        assert_eq!(moved(0x3FC), Some(0xE28F_5FFF));
        assert_eq!(moved(0x24), Some(0xE28F_5024));
        assert_eq!(moved(0x24_u32.wrapping_neg()), Some(0xE24F_5024));
        assert_eq!(moved(0x400), Some(0xE28F_5B01));
        assert_eq!(moved(0x404), None);
    }

    #[test]
    fn pairs_the_halves_of_one_value() {
        let code = [
            0xE302_6222_u32, // movw r6
            0xE304_7444,     // movw r7
            0xE341_6111,     // movt r6
            0xE343_7333,     // movt r7
            0xE300_6001,     // movw r6, #1
            0xE306_6666,     // movw r6
            0xE345_6555,     // movt r6
        ]
        .map(u32::to_le_bytes);
        let expected = [
            (0x00, Kind::AbsAddress, 0x1111_2222),
            (0x04, Kind::AbsAddress, 0x3333_4444),
            (0x08, Kind::AbsAddress, 0x1111_2222),
            (0x0C, Kind::AbsAddress, 0x3333_4444),
            (0x14, Kind::AbsAddress, 0x5555_6666),
            (0x18, Kind::AbsAddress, 0x5555_6666),
        ];
        golden(&A32, 0, code.as_flattened(), &expected);
    }
}
