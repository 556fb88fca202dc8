//! x86-64.
//!
//! The unit is the 32-bit displacement of an instruction: what it means is said by the bytes before it. Seen: `CALL`,
//! `JMP` and the conditional branches, operands relative to the instruction pointer, and what the entries of
//! `.eh_frame` say of where they and their functions are. All other bytes are units up to the next displacement or
//! word boundary. Where instructions begin is not known, so some of what is taken for a displacement is none.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, x86::X86};
//!
//! let call = [0xE8, 0x40, 0x00, 0x00, 0x00]; // call . + 0x45
//! let window = Window::new(&call, 1);
//! let site = X86.site(&window, 0x1001);
//! assert_eq!((site.len, site.kind, site.target), (4, Kind::Call, 0x1005 + 0x40));
//! assert_eq!(X86.relocate(&window, &site, 0x2001, 0x2085), Some(0x80));
//! ```

use super::{Isa, Kind, Site, Window, sign_extend};

/// Bytes of a displacement, and of a word.
const WORD: u32 = 4;
/// Bits of what is taken for a displacement, as a signed number: up to 64 MiB. Others are immediates, or text.
const NEAR: u32 = 27;
/// Entries of `.eh_frame` are shorter than this, bytes.
const LONGEST_ENTRY: u32 = 1 << 12;
/// The functions that they describe are shorter than this, bytes.
const LONGEST_FUNCTION: u32 = 1 << 20;
/// They lie less than this behind what they have in common, bytes.
const FARTHEST_COMMON: u32 = 1 << 24;

/// x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct X86;

/// What four bytes hold.
#[derive(Clone, Copy)]
enum Field {
    /// Bytes from `from` behind the field to the target.
    Forwards { kind: Kind, from: u32 },
    /// Bytes from the target to the field: an entry of `.eh_frame` says so what it has in common with others.
    Backwards,
}

impl Field {
    /// The kind and the target of the field at `pc` that holds `word`; `None` when it is no sensible one.
    fn read(self, word: u32, pc: u32) -> Option<(Kind, u32)> {
        match self {
            Self::Forwards { kind, from } => is_near(word).then_some((kind, pc.wrapping_add(from).wrapping_add(word))),
            Self::Backwards => is_common(word).then_some((Kind::PcAddress, pc.wrapping_sub(word))),
        }
    }

    /// The word that [`Field::read`] reads as `target`.
    fn write(self, pc: u32, target: u32) -> Option<u32> {
        let word = match self {
            Self::Forwards { from, .. } => target.wrapping_sub(pc.wrapping_add(from)),
            Self::Backwards => pc.wrapping_sub(target),
        };
        self.read(word, pc).map(|_| word)
    }
}

impl Isa for X86 {
    fn align(&self) -> u32 {
        1
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        if let Some((kind, target)) = field(window, pc).and_then(|field| field.read(window.u32(0)?, pc)) {
            return Site { len: WORD as u8, kind, target };
        }
        let to_boundary = (WORD - pc % WORD) as u8;
        let is_operand = |&i: &u8| {
            let at = isize::from(i);
            operand(window, at).is_some() && window.u32(at).is_some_and(is_near)
        };
        Site::plain_in(window, (1..to_boundary).find(is_operand).unwrap_or(to_boundary))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        if site.kind == Kind::Plain {
            return window.bits(site.len);
        }
        field(window, new_pc)?.write(new_pc, new_target)
    }
}

/// Whether the word may be a displacement.
fn is_near(word: u32) -> bool {
    sign_extend(word, NEAR) == word
}

/// Whether the word may say how far an entry of `.eh_frame` lies behind what it has in common with others.
fn is_common(word: u32) -> bool {
    word.is_multiple_of(WORD) && (1..FARTHEST_COMMON).contains(&word)
}

/// What the bytes around the window's place say of the word there, at `pc`.
fn field(window: &Window<'_>, pc: u32) -> Option<Field> {
    operand(window, 0).or_else(|| if pc.is_multiple_of(WORD) { entry(window) } else { None })
}

/// What the bytes before `at` say of the word there: the displacement of an instruction.
fn operand(window: &Window<'_>, at: isize) -> Option<Field> {
    let before = |back: isize| window.u8(at - back);
    let (kind, immediate) = match (before(2), before(1)?) {
        (_, 0xE8) => (Kind::Call, 0),
        (_, 0xE9) => (Kind::Jump, 0),
        (Some(0x0F), 0x80..=0x8F) => (Kind::Branch, 0),
        // Mod 0, R/M 5.
        (Some(opcode), modes) if modes & 0xC7 == 5 => {
            (Kind::PcAddress, immediate([before(5), before(4), before(3)], opcode, modes >> 3 & 7)?)
        }
        _ => return None,
    };
    Some(Field::Forwards { kind, from: WORD + immediate })
}

/// Bytes of the immediate operand of the instruction with `opcode` and an operand in memory; `None` when there is no
/// such instruction. `prefixes` are the bytes before the opcode, `extension` what the operand's byte adds to it.
fn immediate(prefixes: [Option<u8>; 3], opcode: u8, extension: u8) -> Option<u32> {
    let [third, second, first] = prefixes.map(|byte| byte.unwrap_or(0));
    match (third, second, first) {
        (_, _, 0x0F) => return of_two_bytes(opcode),
        (_, 0x0F, 0x38) => return Some(0),
        (_, 0x0F, 0x3A) => return Some(1),
        // VEX of three bytes.
        (0xC4, map, _) if map & 0x60 == 0x60 => match map & 0x1F {
            1 => return of_two_bytes(opcode),
            2 => return Some(0),
            3 => return Some(1),
            _ => {}
        },
        _ => {}
    }
    let half_size = first == 0x66 || (second == 0x66 && first & 0xF0 == 0x40);
    let full = if half_size { 2 } else { 4 };
    match opcode {
        0x01..=0x3F if opcode & 4 == 0 => Some(0),
        0x63 | 0x84..=0x8B | 0x8D | 0xD8..=0xDF | 0xFE | 0xFF => Some(0),
        0x6B | 0x80 | 0x83 | 0xC0 | 0xC1 | 0xC6 => Some(1),
        0x69 | 0x81 | 0xC7 => Some(full),
        0xF6 => Some(u32::from(extension < 2)),
        0xF7 => Some(if extension < 2 { full } else { 0 }),
        // VEX of two bytes.
        _ if second == 0xC5 => of_two_bytes(opcode),
        _ => None,
    }
}

/// The same of the instructions whose opcode stands behind 0x0F.
fn of_two_bytes(opcode: u8) -> Option<u32> {
    match opcode {
        0x70 | 0xA4 | 0xAC | 0xBA | 0xC2 | 0xC4..=0xC6 => Some(1),
        0x10..=0x18 | 0x28..=0x2F | 0x40..=0x7F | 0x90..=0x9F | 0xA3..=0xC7 | 0xD0..=0xFE => Some(0),
        _ => None,
    }
}

/// What the bytes around a word boundary say of the word there, when it belongs to an entry of `.eh_frame`: its length
/// without this word, how far back what it has in common with others is, where its function begins, and its length.
fn entry(window: &Window<'_>) -> Option<Field> {
    let is_entry = |at: isize| {
        let word = |i: isize| window.u32(at + 4 * i);
        let is_length = |len: u32| len.is_multiple_of(WORD) && (16..LONGEST_ENTRY).contains(&len);
        word(0).is_some_and(is_length) && word(3).is_some_and(|len| (1..LONGEST_FUNCTION).contains(&len))
    };
    if is_entry(-8) && window.u32(-4).is_some_and(is_common) {
        return Some(Field::Forwards { kind: Kind::PcAddress, from: 0 });
    }
    (is_entry(-4) && window.u32(4).is_some_and(is_near)).then_some(Field::Backwards)
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Subject, golden, like};
    use super::*;

    #[test]
    fn keeps_the_laws() {
        let templates = [
            like(1, 0xFF, 0xE8),
            like(1, 0xFF, 0xE9),
            like(2, 0xF0FF, 0x800F),
            like(3, 0xC7FFF8, 0x058B48),
            like(3, 0xC7FFFF, 0x05830F),
            like(2, 0xC7FC, 0x0580),
            like(2, 0xC7FE, 0x05C6),
            like(3, 0xC7FFFF, 0x05C766),
            like(2, 0xE0FF, 0x60C4),
            like(4, 0xFFF0_0000, 0x0000_0000),
            like(4, 0xFFF0_0000, 0xFFF0_0000),
            like(4, 0xFFFF_F003, 0x0000_0000),
        ];
        Subject { isa: X86, templates: &templates, half: |_| None }.check();
    }

    /// GNU as 2.40, linked to 0x401000; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        #[rustfmt::skip]
        let code = [
            0xE8, 0xFB, 0xFF, 0xFF, 0xFF, 0xE9, 0xDA, 0x00, 0x00, 0x00, 0x0F, 0x84, 0xD4, 0x00, 0x00, 0x00,
            0x75, 0xF3, 0x8B, 0x05, 0xF8, 0x2F, 0x00, 0x00, 0x4C, 0x8D, 0x05, 0xF1, 0x2F, 0x00, 0x00, 0x0F,
            0xB6, 0x3D, 0xEB, 0x2F, 0x00, 0x00, 0xF3, 0x0F, 0x11, 0x0D, 0xE2, 0x2F, 0x00, 0x00, 0xFF, 0x15,
            0xDC, 0x2F, 0x00, 0x00, 0xC7, 0x05, 0xD2, 0x2F, 0x00, 0x00, 0x34, 0x12, 0x00, 0x00, 0x66, 0xC7,
            0x05, 0xC9, 0x2F, 0x00, 0x00, 0x34, 0x12, 0x48, 0xC7, 0x05, 0xBE, 0x2F, 0x00, 0x00, 0xFF, 0xFF,
            0xFF, 0xFF, 0x80, 0x3D, 0xB7, 0x2F, 0x00, 0x00, 0x03, 0x81, 0x05, 0xAD, 0x2F, 0x00, 0x00, 0x2C,
            0x01, 0x00, 0x00, 0x4C, 0x69, 0x0D, 0xA2, 0x2F, 0x00, 0x00, 0xE8, 0x03, 0x00, 0x00, 0xF6, 0x05,
            0x9B, 0x2F, 0x00, 0x00, 0x01, 0xF7, 0x05, 0x91, 0x2F, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xF7,
            0x1D, 0x8B, 0x2F, 0x00, 0x00, 0x66, 0x44, 0x0F, 0x70, 0x0D, 0x81, 0x2F, 0x00, 0x00, 0x1B, 0x66,
            0x0F, 0x3A, 0x0F, 0x15, 0x77, 0x2F, 0x00, 0x00, 0x08, 0x66, 0x0F, 0x38, 0x00, 0x15, 0x6E, 0x2F,
            0x00, 0x00, 0xC5, 0xFD, 0x6F, 0x1D, 0x66, 0x2F, 0x00, 0x00, 0xC5, 0xF9, 0x70, 0x1D, 0x5D, 0x2F,
            0x00, 0x00, 0x03, 0xC4, 0x62, 0x7D, 0x18, 0x05, 0x54, 0x2F, 0x00, 0x00, 0xC4, 0xE3, 0x75, 0x0F,
            0x15, 0x4A, 0x2F, 0x00, 0x00, 0x08, 0xF0, 0x48, 0x0F, 0xB1, 0x0D, 0x41, 0x2F, 0x00, 0x00, 0xDB,
            0x2D, 0x3B, 0x2F, 0x00, 0x00, 0x48, 0x8B, 0x83, 0x78, 0x56, 0x34, 0x12, 0xB8, 0x34, 0x12, 0x00,
            0x00, 0xEB, 0x00, 0xC3, 0xC3,
        ];
        let expected = [
            (0x01, Kind::Call, 0x40_1000),
            (0x06, Kind::Jump, 0x40_10E4),
            (0x0C, Kind::Branch, 0x40_10E4),
            (0x14, Kind::PcAddress, 0x40_4010),
            (0x1B, Kind::PcAddress, 0x40_4010),
            (0x22, Kind::PcAddress, 0x40_4011),
            (0x2A, Kind::PcAddress, 0x40_4010),
            (0x30, Kind::PcAddress, 0x40_4010),
            (0x36, Kind::PcAddress, 0x40_4010),
            (0x41, Kind::PcAddress, 0x40_4010),
            (0x4A, Kind::PcAddress, 0x40_4010),
            (0x54, Kind::PcAddress, 0x40_4010),
            (0x5B, Kind::PcAddress, 0x40_4010),
            (0x66, Kind::PcAddress, 0x40_4010),
            (0x70, Kind::PcAddress, 0x40_4010),
            (0x77, Kind::PcAddress, 0x40_4010),
            (0x81, Kind::PcAddress, 0x40_4010),
            (0x8A, Kind::PcAddress, 0x40_4010),
            (0x94, Kind::PcAddress, 0x40_4010),
            (0x9E, Kind::PcAddress, 0x40_4010),
            (0xA6, Kind::PcAddress, 0x40_4010),
            (0xAE, Kind::PcAddress, 0x40_4010),
            (0xB8, Kind::PcAddress, 0x40_4010),
            (0xC1, Kind::PcAddress, 0x40_4010),
            (0xCB, Kind::PcAddress, 0x40_4010),
            (0xD1, Kind::PcAddress, 0x40_4010),
        ];
        golden(&X86, 0x40_1000, &code, &expected);
    }

    /// One that has something in common with others 0x1C bytes before, and begins at 0x1000; then another.
    #[test]
    fn reads_entries_of_eh_frame() {
        let entry = |common: u32, begin: u32, at: u32| [0x14, common, begin.wrapping_sub(at), 0x2B, 0, 0];
        let code = [entry(0x1C, 0x1000, 0x2008), entry(0x34, 0x1030, 0x2020)].map(|e| e.map(u32::to_le_bytes));
        let expected = [
            (0x04, Kind::PcAddress, 0x2004 - 0x1C),
            (0x08, Kind::PcAddress, 0x1000),
            (0x1C, Kind::PcAddress, 0x2004 - 0x1C),
            (0x20, Kind::PcAddress, 0x1030),
        ];
        golden(&X86, 0x2000, code.as_flattened().as_flattened(), &expected);
    }
}
