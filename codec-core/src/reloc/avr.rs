//! AVR. Addresses in flash are byte addresses.
//!
//! Seen: `CALL`, `JMP`, `RCALL`, `RJMP`, the conditional branches, `LDS`/`STS`, and 16-bit immediates in two
//! halves: `LDI` pairs, and the `SUBI`/`SBCI` pairs that add an address by subtracting its negative. What such
//! an immediate means (data, or a function as a word address) is not known here: the target is its raw value.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, avr::Avr};
//!
//! let pair = [0xE684_u16, 0xE091].map(u16::to_le_bytes).concat(); // ldi r24, 0x64; ldi r25, 0x01
//! let window = Window::new(&pair, 2);
//! let site = Avr.site(&window, 2);
//! assert_eq!((site.kind, site.target), (Kind::AbsAddress, 0x0164));
//! assert_eq!(Avr.relocate(&window, &site, 2, 0x0264), Some(0xE092));
//! ```

use super::{Isa, Kind, Site, Window, sign_extend, signed_field};

/// Relative branches count from the instruction's address plus this, in bytes.
const NEXT: u32 = 2;
/// How far from each other the halves of an immediate may stand, in bytes.
const PAIR_REACH: isize = 6;

const LDI: u32 = 0xE;
const SUBI: u32 = 0x5;
const SBCI: u32 = 0x4;

/// AVR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Avr;

#[derive(Clone, Copy)]
enum Form {
    Other,
    /// `CALL`, `JMP`: two words.
    Far(Kind),
    /// `LDS`, `STS`: two words.
    Data,
    /// Signed word offset of `bits` bits at bit `at`.
    Relative {
        kind: Kind,
        bits: u32,
        at: u32,
    },
    /// One half of an immediate, whose other half is an instruction with the opcode `other`.
    Half {
        high: bool,
        negative: bool,
        other: u32,
    },
}

fn form(word: u32) -> Form {
    match (word >> 12 & 15, word & 0xFFFF) {
        (9, w) if w & 0xFE0E == 0x940C => Form::Far(Kind::Jump),
        (9, w) if w & 0xFE0E == 0x940E => Form::Far(Kind::Call),
        (9, w) if w & 0xFC0F == 0x9000 => Form::Data,
        (0xC, _) => Form::Relative { kind: Kind::Jump, bits: 12, at: 0 },
        (0xD, _) => Form::Relative { kind: Kind::Call, bits: 12, at: 0 },
        (0xF, w) if w < 0xF800 => Form::Relative { kind: Kind::Branch, bits: 7, at: 3 },
        (LDI, w) => Form::Half { high: w >> 4 & 1 == 1, negative: false, other: LDI },
        // An odd register holds a high byte.
        (SUBI, w) if w >> 4 & 1 == 0 => Form::Half { high: false, negative: true, other: SBCI },
        (SBCI, w) if w >> 4 & 1 == 1 => Form::Half { high: true, negative: true, other: SUBI },
        _ => Form::Other,
    }
}

impl Isa for Avr {
    fn align(&self) -> u32 {
        2
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        decode(window, pc).unwrap_or_else(|| Site::plain_in(window, 2))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        if site.kind == Kind::Plain {
            return window.bits(site.len);
        }
        let word = u32::from(window.u16(0)?);
        match form(word) {
            Form::Other => None,
            Form::Far(_) => {
                let k = new_target >> 1;
                let fits = new_target & 1 == 0 && k < 1 << 22;
                fits.then_some(word & 0xFE0E | k >> 13 & 0x1F0 | k >> 16 & 1 | k << 16)
            }
            Form::Data => (new_target <= 0xFFFF).then_some(word | new_target << 16),
            Form::Relative { bits, at, .. } => {
                let mask = (1 << bits) - 1;
                let offset = new_target.wrapping_sub(new_pc.wrapping_add(NEXT));
                Some(word & !(mask << at) | signed_field(offset, bits + 1, 1)? << at)
            }
            Form::Half { high, negative, .. } => {
                let value = if negative { new_target.wrapping_neg() } else { new_target };
                let byte = value >> if high { 8 } else { 0 };
                (new_target <= 0xFFFF).then_some(word & 0xF0F0 | (byte & 0xF0) << 4 | byte & 0xF)
            }
        }
    }
}

/// The unit at the window's place, if it is one with an address, or long.
fn decode(window: &Window<'_>, pc: u32) -> Option<Site> {
    let word = u32::from(window.u16(0).filter(|_| pc & 1 == 0)?);
    let (len, kind, target) = match form(word) {
        Form::Other => return None,
        Form::Far(kind) => {
            let k = (word & 0x1F0) << 13 | (word & 1) << 16 | u32::from(window.u16(2)?);
            (4, kind, k << 1)
        }
        Form::Data => (4, Kind::AbsAddress, u32::from(window.u16(2)?)),
        Form::Relative { kind, bits, at } => {
            let offset = sign_extend(word >> at, bits) << 1;
            (2, kind, pc.wrapping_add(NEXT).wrapping_add(offset))
        }
        Form::Half { high, negative, other } => {
            let (mine, theirs) = (byte(word), byte(find_other_half(window, word, high, other)?));
            let value = if high { mine << 8 | theirs } else { theirs << 8 | mine };
            (2, Kind::AbsAddress, if negative { value.wrapping_neg() & 0xFFFF } else { value })
        }
    };
    Some(Site { len, kind, target })
}

/// The instruction that holds the other half of the immediate at the window's place. The low half usually
/// comes first.
fn find_other_half(window: &Window<'_>, word: u32, high: bool, other: u32) -> Option<u32> {
    let forwards = if high { -2 } else { 2 };
    [forwards, -forwards].into_iter().find_map(|step| {
        (1..=PAIR_REACH / 2)
            .map_while(|i| window.u16(step * i))
            .map(u32::from)
            // The same half once more: from there on it belongs to another immediate.
            .take_while(|&w| (w ^ word) & 0xF0F0 != 0)
            .find(|&w| w >> 12 == other && (w ^ word) & 0x00F0 == 0x0010)
    })
}

/// The 8-bit immediate of `LDI`, `SUBI` and `SBCI`.
fn byte(word: u32) -> u32 {
    word >> 4 & 0xF0 | word & 0xF
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Half, Subject, golden, like};
    use super::*;

    #[test]
    fn keeps_the_laws() {
        let templates = [
            like(4, 0xFE0C, 0x940C),
            like(4, 0xFC0F, 0x9000),
            like(2, 0xE000, 0xC000),
            like(2, 0xF800, 0xF000),
            like(2, 0xF0C0, 0xE080),
            like(2, 0xF0C0, 0xE080),
            like(2, 0xF0D0, 0x5080),
            like(2, 0xF0D0, 0x4090),
            like(2, 0x0000, 0x0000),
        ];
        let half = |word| match form(word) {
            Form::Half { high, .. } => Some(Half { high, register: word >> 5 & 7 }),
            _ => None,
        };
        Subject { isa: Avr, templates: &templates, half }.check();
    }

    /// GNU as 2.40 for the ATmega2560, linked to 0x104; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        let code = [
            0x940F, 0x0801, 0x940C, 0x0082, 0xD013, 0xCFFA, 0xF089, 0xF7C1, 0xF07E, 0xE684, 0xE092, 0xE6E8, 0x2F23,
            0xE0F2, 0x59AC, 0x4FBD, 0x9140, 0x0266, 0x9350, 0x0267, 0xE800, 0xE010, 0xE025, 0x3026,
        ]
        .map(u16::to_le_bytes);
        let expected = [
            (0x00, Kind::Call, 0x2_1002),
            (0x04, Kind::Jump, 0x104),
            (0x08, Kind::Call, 0x134),
            (0x0A, Kind::Jump, 0x104),
            (0x0C, Kind::Branch, 0x134),
            (0x0E, Kind::Branch, 0x104),
            (0x10, Kind::Branch, 0x134),
            (0x12, Kind::AbsAddress, 0x264),
            (0x14, Kind::AbsAddress, 0x264),
            (0x16, Kind::AbsAddress, 0x268),
            (0x1A, Kind::AbsAddress, 0x268),
            (0x1C, Kind::AbsAddress, 0x264),
            (0x1E, Kind::AbsAddress, 0x264),
            (0x20, Kind::AbsAddress, 0x266),
            (0x24, Kind::AbsAddress, 0x267),
            // The word address of a trampoline at 0x100.
            (0x28, Kind::AbsAddress, 0x080),
            (0x2A, Kind::AbsAddress, 0x080),
        ];
        golden(&Avr, 0x104, code.as_flattened(), &expected);
    }

    /// ldi r24, 1; ldi r24, 2; ldi r25, 3
    #[test]
    fn pairs_the_halves_of_one_value() {
        let code = [0xE081_u16, 0xE082, 0xE093].map(u16::to_le_bytes);
        let expected = [(2, Kind::AbsAddress, 0x302), (4, Kind::AbsAddress, 0x302)];
        golden(&Avr, 0, code.as_flattened(), &expected);
    }
}
