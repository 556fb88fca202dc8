//! Xtensa, little-endian, with narrow (16-bit) instructions.
//!
//! Seen: `CALL0`/`CALL4`/`CALL8`/`CALL12`, `J`, `L32R`, and the conditional branches and loops. Padding that
//! aligns a function or a branch target is told from instructions where it can be, so that reading on finds it.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, xtensa::Xtensa};
//!
//! let call = [0x65, 0x00, 0x00]; // call8 . + 4
//! let window = Window::new(&call, 0);
//! let site = Xtensa.site(&window, 0x4000_0001);
//! assert_eq!((site.len, site.kind, site.target), (3, Kind::Call, 0x4000_0004 + 4));
//! ```

use super::{Isa, Kind, Site, Window, sign_extend, signed_field};

/// Branches and calls count from the instruction's address plus this, in bytes.
const NEXT: u32 = 4;

/// How a function of the windowed call convention begins: `ENTRY a1, n` without `n`, low 16 bits.
const ENTRY_A1: u16 = 0x136;
/// `RET.N`; `RETW.N` has one bit more, 0x10.
const RET_N: u16 = 0xF00D;
/// Low 8 bits of `RET`, the others are 0; `RETW` likewise has one bit more.
const RET: u8 = 0x80;
/// Low 6 bits of `J`.
const J: u8 = 0x06;

/// Xtensa.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xtensa;

#[derive(Clone, Copy)]
enum Form {
    Other,
    Call,
    Literal,
    /// Signed byte offset of `bits` bits, at the top of the 24.
    Relative {
        kind: Kind,
        bits: u32,
    },
    /// Unsigned byte offset of 8 bits, at the top of the 24.
    Loop,
    /// Unsigned byte offset of 6 bits, in two pieces.
    Narrow,
}

fn form(word: u32) -> Form {
    let [op0, t, _, r] = [0, 4, 8, 12].map(|at| word >> at & 15);
    let branch = |bits| Form::Relative { kind: Kind::Branch, bits };
    match (op0, t & 3, t >> 2) {
        (1, ..) => Form::Literal,
        (5, ..) => Form::Call,
        (6, 0, _) => Form::Relative { kind: Kind::Jump, bits: 18 },
        (6, 1, _) => branch(12),
        (6, 2, _) | (6, 3, 2 | 3) | (7, ..) => branch(8),
        (6, 3, 1) if r < 2 => branch(8),
        (6, 3, 1) if (8..11).contains(&r) => Form::Loop,
        (12, _, 2 | 3) => Form::Narrow,
        _ => Form::Other,
    }
}

impl Isa for Xtensa {
    fn align(&self) -> u32 {
        1
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        decode(window, pc).unwrap_or_else(|| Site::plain_in(window, 1))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        if site.kind == Kind::Plain {
            return window.bits(site.len);
        }
        let (word, _) = fetch(window)?;
        let offset = new_target.wrapping_sub(new_pc.wrapping_add(NEXT));
        match form(word) {
            Form::Other => None,
            Form::Call => {
                let offset = new_target.wrapping_sub(call_base(new_pc));
                Some(word & 0x3F | signed_field(offset, 20, 2)? << 6)
            }
            Form::Literal => {
                let offset = new_target.wrapping_sub(literal_base(new_pc));
                let fits = offset & 3 == 0 && offset >> 18 == 0x3FFF;
                fits.then_some(word & 0xFF | (offset >> 2 & 0xFFFF) << 8)
            }
            Form::Relative { bits, .. } => {
                let at = 24 - bits;
                Some(word & ((1 << at) - 1) | signed_field(offset, bits, 0)? << at)
            }
            Form::Loop => (offset <= 0xFF).then_some(word & 0xFFFF | offset << 16),
            Form::Narrow => (offset <= 0x3F).then_some(word & 0x0FCF | offset & 0x30 | (offset & 15) << 12),
        }
    }
}

/// The unit at the window's place, if it is whole.
fn decode(window: &Window<'_>, pc: u32) -> Option<Site> {
    let (word, len) = fetch(window)?;
    let next = pc.wrapping_add(NEXT);
    let (kind, target) = match form(word) {
        Form::Other => return Some(Site::plain(padding(window, pc, len).unwrap_or(len))),
        Form::Call => (Kind::Call, call_base(pc).wrapping_add(sign_extend(word >> 6, 18) << 2)),
        Form::Literal => (Kind::Literal, literal_base(pc).wrapping_add((0xFFFF_0000 | word >> 8) << 2)),
        Form::Relative { kind, bits } => (kind, next.wrapping_add(sign_extend(word >> (24 - bits), bits))),
        Form::Loop => (Kind::Branch, next.wrapping_add(word >> 16)),
        Form::Narrow => (Kind::Branch, next.wrapping_add(word & 0x30 | word >> 12)),
    };
    Some(Site { len, kind, target })
}

/// The instruction at the window's place and its length in bytes.
fn fetch(window: &Window<'_>) -> Option<(u32, u8)> {
    let len = match window.u8(0)? & 15 {
        0..=7 => 3,
        8..=13 => 2,
        _ => return None,
    };
    Some((window.bits(len)?, len))
}

/// How many of the `len` bytes at the window's place are only there to align what follows. They read as the
/// beginning of an instruction, and whoever takes them for one misses the next.
fn padding(window: &Window<'_>, pc: u32, len: u8) -> Option<u8> {
    // Nothing runs on past a return or a jump.
    let never_passed = match (window.u8(-3), window.u16(-2)) {
        (_, Some(half)) if half & !0x10 == RET_N => true,
        (Some(byte), _) if byte & 0x3F == J => true,
        (Some(byte), Some(0)) => byte & !0x10 == RET,
        _ => false,
    };
    let zeros = (0..len).take_while(|&i| window.u8(isize::from(i)) == Some(0)).count() as u8;
    if never_passed && zeros > 0 {
        return Some(zeros);
    }
    let to_boundary = (pc.wrapping_neg() & 3) as u8;
    let before_function = (1..len).contains(&to_boundary)
        && window.u16(isize::from(to_boundary)).is_some_and(|half| half & 0x0FFF == ENTRY_A1);
    before_function.then_some(to_boundary)
}

/// Where a call counts from: the word after the one that the instruction begins in.
fn call_base(pc: u32) -> u32 {
    (pc & !3).wrapping_add(NEXT)
}

/// Where an `L32R` counts from: the first word boundary not before the instruction.
fn literal_base(pc: u32) -> u32 {
    pc.wrapping_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Subject, golden, like};
    use super::*;

    #[test]
    fn keeps_the_laws() {
        let templates = [
            like(3, 0x0000_0008, 0x0000_0000),
            like(2, 0x0000_000E, 0x0000_0008),
            like(2, 0x0000_008F, 0x0000_008C),
            like(3, 0x0000_000F, 0x0000_0001),
            like(3, 0x0000_000F, 0x0000_0005),
            like(3, 0x0000_000F, 0x0000_0006),
            like(3, 0x0000_000F, 0x0000_0007),
            like(3, 0x0000_C0FF, 0x0000_8076),
        ];
        Subject { isa: Xtensa, templates: &templates, half: |_| None }.check();
    }

    /// GNU as 2.40 for the lx106, linked to 0x40100008; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        let code = [
            0x45, 0xFF, 0x0F, 0x06, 0x11, 0x00, 0x21, 0xFC, 0xFF, 0x16, 0xE2, 0x03, 0x56, 0x03, 0xFF, 0x96, 0x84, 0x03,
            0xD6, 0xA5, 0xFE, 0x26, 0x56, 0x32, 0x66, 0x07, 0xE4, 0xA6, 0x98, 0x2C, 0xE6, 0x99, 0xDE, 0xB6, 0xBA, 0x26,
            0xF6, 0xBB, 0xD8, 0x37, 0x12, 0x20, 0x57, 0x94, 0xD2, 0xF7, 0x76, 0x1A, 0x87, 0xD7, 0xCC, 0x9C, 0x49, 0x2D,
            0x03, 0xDC, 0x0A, 0x28, 0x13, 0x4A, 0x23, 0x21, 0xEF, 0xFF, 0x22, 0x23, 0x01, 0x22, 0xC3, 0x01, 0x05, 0xFB,
            0x0F, 0x0D, 0xF0, 0x0D, 0xF0,
        ];
        let (start, fwd) = (0x4010_0008, 0x4010_0053);
        let expected = [
            (0x00, Kind::Call, 0x4011_0000),
            (0x03, Kind::Jump, fwd),
            (0x06, Kind::Literal, 0x4010_0000),
            (0x09, Kind::Branch, fwd),
            (0x0C, Kind::Branch, start),
            (0x0F, Kind::Branch, fwd),
            (0x12, Kind::Branch, start),
            (0x15, Kind::Branch, fwd),
            (0x18, Kind::Branch, start),
            (0x1B, Kind::Branch, fwd),
            (0x1E, Kind::Branch, start),
            (0x21, Kind::Branch, fwd),
            (0x24, Kind::Branch, start),
            (0x27, Kind::Branch, fwd),
            (0x2A, Kind::Branch, start),
            (0x2D, Kind::Branch, fwd),
            (0x30, Kind::Branch, start),
            (0x33, Kind::Branch, fwd),
            (0x37, Kind::Branch, fwd),
            (0x3D, Kind::Literal, 0x4010_0004),
            (0x46, Kind::Call, 0x4011_0000),
        ];
        golden(&Xtensa, start, &code, &expected);
    }

    /// What the lx106 lacks, by the encodings of the Xtensa ISA reference manual.
    #[test]
    fn reads_windowed_calls_loops_and_boolean_branches() {
        let code = [
            0x95, 0x00, 0x00, // call4
            0xA5, 0xFF, 0xFF, // call8
            0x75, 0x00, 0x80, // call12
            0x76, 0x83, 0xFF, // loop a3
            0x76, 0x93, 0x01, // loopnez a3
            0x76, 0xA3, 0x00, // loopgtz a3
            0x76, 0x02, 0xFF, // bf b2
            0x76, 0x12, 0x7F, // bt b2
            0x36, 0x41, 0x00, // entry a1, 32
            0x1D, 0xF0, // retw.n
        ];
        let expected = [
            (0x00, Kind::Call, 0x1000 + 4 + 8),
            (0x03, Kind::Call, 0x1000 + 4 - 8),
            (0x06, Kind::Call, 0x1004 + 4 - 0x8_0000 + 4),
            (0x09, Kind::Branch, 0x1009 + 4 + 0xFF),
            (0x0C, Kind::Branch, 0x100C + 4 + 1),
            (0x0F, Kind::Branch, 0x100F + 4),
            (0x12, Kind::Branch, 0x1012 + 4 - 1),
            (0x15, Kind::Branch, 0x1015 + 4 + 0x7F),
        ]
        .map(|(at, kind, target): (usize, Kind, i32)| (at, kind, target as u32));
        golden(&Xtensa, 0x1000, &code, &expected);
    }

    #[test]
    fn finds_what_follows_padding() {
        let lens = |code: &[u8], pc: u32| {
            let mut at = 0;
            let mut lens = Vec::new();
            while at < code.len() {
                let site = Xtensa.site(&Window::new(code, at), pc.wrapping_add(at as u32));
                lens.push(site.len);
                at += usize::from(site.len);
            }
            lens
        };
        // retw.n, one byte, entry a1, 32
        assert_eq!(lens(&[0x1D, 0xF0, 0x00, 0x36, 0x41, 0x00], 0x1001), [2, 1, 3]);
        // j, two bytes, l32r
        assert_eq!(lens(&[0x06, 0xF2, 0xFF, 0x00, 0x00, 0x81, 0xAE, 0xF8], 0x1003), [3, 2, 3]);
        // retw, one byte, l32i
        assert_eq!(lens(&[0x90, 0x00, 0x00, 0x00, 0x22, 0x23, 0x01], 0x1000), [3, 1, 3]);
        // The end of a literal, entry a1, 48
        assert_eq!(lens(&[0xF4, 0x3F, 0x36, 0x61, 0x00], 0x1002), [2, 3]);
        // Elsewhere zeros are an instruction: mov.n a2, a3; ill
        assert_eq!(lens(&[0x2D, 0x03, 0x00, 0x00, 0x00], 0x1001), [2, 3]);
    }
}
