//! RISC-V, with compressed instructions.
//!
//! Seen: `JAL`, the conditional branches, `C.J`, `C.JAL` (32 bit only), `C.BEQZ`/`C.BNEZ`, and both halves of
//! `AUIPC` or `LUI` with the `JALR`, `ADDI`, load or store that adds the low 12 bits. An `AUIPC` alone counts
//! as an address, a `LUI` alone does not. Addresses are the low 32 bits of the real ones.
//!
//! ```
//! use codec_core::reloc::{Isa, Kind, Window, riscv::RiscV};
//!
//! let rv32 = RiscV { rv64: false };
//! let pair = [0x0000_1097_u32, 0xFF80_80E7].map(u32::to_le_bytes).concat(); // auipc ra, 1; jalr -8(ra)
//! let window = Window::new(&pair, 0);
//! let site = rv32.site(&window, 0x400);
//! assert_eq!((site.kind, site.target), (Kind::Call, 0x13F8));
//! assert_eq!(rv32.relocate(&window, &site, 0x400, 0x13F8 + 0x800), Some(0x0000_1097));
//! assert_eq!(rv32.relocate(&window, &site, 0x400, 0x13F8 + 0x808), Some(0x0000_2097));
//! ```

use super::{Isa, Kind, Site, WINDOW_AFTER, WINDOW_BEFORE, Window, sign_extend};

/// RISC-V.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiscV {
    /// 64-bit registers. Only `C.JAL` depends on it.
    pub rv64: bool,
}

/// The pieces of a scattered signed immediate: (bit of the instruction, bit of the immediate, width).
type Pieces = &'static [(u32, u32, u32)];

#[derive(Clone, Copy)]
struct Immediate {
    pieces: Pieces,
    /// Width as a signed number in bits.
    bits: u32,
}

const I_TYPE: Immediate = Immediate { pieces: &[(20, 0, 12)], bits: 12 };
const S_TYPE: Immediate = Immediate { pieces: &[(7, 0, 5), (25, 5, 7)], bits: 12 };
const B_TYPE: Immediate = Immediate { pieces: &[(8, 1, 4), (25, 5, 6), (7, 11, 1), (31, 12, 1)], bits: 13 };
const J_TYPE: Immediate = Immediate { pieces: &[(21, 1, 10), (20, 11, 1), (12, 12, 8), (31, 20, 1)], bits: 21 };
const C_BRANCH: Immediate = Immediate { pieces: &[(3, 1, 2), (10, 3, 2), (2, 5, 1), (5, 6, 2), (12, 8, 1)], bits: 9 };
const C_JUMP: Immediate = Immediate {
    pieces: &[(3, 1, 3), (11, 4, 1), (2, 5, 1), (7, 6, 1), (6, 7, 1), (9, 8, 2), (8, 10, 1), (12, 11, 1)],
    bits: 12,
};

impl Immediate {
    fn get(self, word: u32) -> u32 {
        let join = |value, &(at, to, width): &(u32, u32, u32)| value | (word >> at & ((1 << width) - 1)) << to;
        sign_extend(self.pieces.iter().fold(0, join), self.bits)
    }

    /// `word` with this immediate set to the low bits of `value`.
    fn with(self, word: u32, value: u32) -> u32 {
        self.pieces.iter().fold(word, |word, &(at, to, width)| {
            let mask = (1 << width) - 1;
            word & !(mask << at) | (value >> to & mask) << at
        })
    }

    /// As [`Self::with`]. `None` if that would change the value.
    fn with_exactly(self, word: u32, value: u32) -> Option<u32> {
        let word = self.with(word, value);
        (self.get(word) == value).then_some(word)
    }
}

#[derive(Clone, Copy)]
enum Form {
    Other,
    Relative(Kind, Immediate),
    /// `AUIPC` if `pc_relative`, else `LUI`.
    High {
        pc_relative: bool,
    },
    /// Adds a low part; the kind is that of an address formed with an `AUIPC`.
    Low(Kind, Immediate),
}

const ZERO: u32 = 0;
const RA: u32 = 1;
/// Stack and global pointer are set once: what is added to them is hardly ever the low part of an address.
const SP: u32 = 2;
const GP: u32 = 3;
/// The alternate link register.
const T0: u32 = 5;

const LOAD: u32 = 0x03;
const LOAD_FP: u32 = 0x07;
const OP_IMM: u32 = 0x13;
const AUIPC: u32 = 0x17;
const STORE: u32 = 0x23;
const STORE_FP: u32 = 0x27;
const LUI: u32 = 0x37;
const BRANCH: u32 = 0x63;
const JALR: u32 = 0x67;
const JAL: u32 = 0x6F;

impl Isa for RiscV {
    fn align(&self) -> u32 {
        2
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        self.decode(window, pc).unwrap_or_else(|| Site::plain_in(window, 2))
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        if site.kind == Kind::Plain {
            return window.bits(site.len);
        }
        let (word, _) = fetch(window, 0)?;
        match self.form(word) {
            Form::Other => None,
            Form::Relative(_, immediate) => immediate.with_exactly(word, new_target.wrapping_sub(new_pc)),
            Form::High { pc_relative } => {
                let value = if pc_relative { new_target.wrapping_sub(new_pc) } else { new_target };
                // The low part is signed, so the high part is the nearest page, not the one below.
                Some(value.wrapping_add(0x800) & 0xFFFF_F000 | word & 0xFFF)
            }
            Form::Low(_, immediate) => {
                let (distance, high) = self.find_high(window, rs1(word))?;
                let pc_relative = opcode(high) == AUIPC;
                let from = if pc_relative { new_pc.wrapping_sub(distance) } else { 0 };
                Some(immediate.with(word, new_target.wrapping_sub(from)))
            }
        }
    }
}

impl RiscV {
    fn form(self, word: u32) -> Form {
        match (opcode(word), funct3(word)) {
            (JAL, _) => link_kind(word).map_or(Form::Other, |kind| Form::Relative(kind, J_TYPE)),
            (BRANCH, 0 | 1 | 4..) => Form::Relative(Kind::Branch, B_TYPE),
            (AUIPC, _) => Form::High { pc_relative: true },
            (LUI, _) => Form::High { pc_relative: false },
            (JALR, 0) => Form::Low(link_kind(word).unwrap_or(Kind::PcAddress), I_TYPE),
            (OP_IMM, 0) | (LOAD | LOAD_FP, _) => Form::Low(Kind::PcAddress, I_TYPE),
            (STORE | STORE_FP, _) => Form::Low(Kind::PcAddress, S_TYPE),
            _ => match word & 0xE003 {
                0xA001 => Form::Relative(Kind::Jump, C_JUMP),
                0x2001 if !self.rv64 => Form::Relative(Kind::Call, C_JUMP),
                0xC001 | 0xE001 => Form::Relative(Kind::Branch, C_BRANCH),
                _ => Form::Other,
            },
        }
    }

    /// The unit at the window's place, if it has an address or is whole.
    fn decode(self, window: &Window<'_>, pc: u32) -> Option<Site> {
        let (word, len) = fetch(window, 0).filter(|_| pc & 1 == 0)?;
        let address = match self.form(word) {
            Form::Other => None,
            Form::Relative(kind, immediate) => Some((kind, pc.wrapping_add(immediate.get(word)))),
            Form::High { pc_relative: true } => {
                let (kind, low) = self.find_low(window, rd(word)).unwrap_or((Kind::PcAddress, 0));
                Some((kind, pc.wrapping_add(word & 0xFFFF_F000).wrapping_add(low)))
            }
            Form::High { pc_relative: false } => self
                .find_low(window, rd(word))
                .map(|(_, low)| (Kind::AbsAddress, (word & 0xFFFF_F000).wrapping_add(low))),
            Form::Low(kind, immediate) => self.find_high(window, rs1(word)).map(|(distance, high)| {
                let pc_relative = opcode(high) == AUIPC;
                let from = if pc_relative { pc.wrapping_sub(distance) } else { 0 };
                let target = from.wrapping_add(high & 0xFFFF_F000).wrapping_add(immediate.get(word));
                (if pc_relative { kind } else { Kind::AbsAddress }, target)
            }),
        };
        Some(address.map_or(Site::plain(len), |(kind, target)| Site { len, kind, target }))
    }

    /// The low part (and its kind) that completes the `AUIPC` or `LUI` to `register` at the window's place.
    fn find_low(self, window: &Window<'_>, register: u32) -> Option<(Kind, u32)> {
        let mut at = 4;
        loop {
            let (word, len) = fetch(window, at).filter(|_| register != ZERO)?;
            at += isize::from(len);
            match self.form(word) {
                _ if at > WINDOW_AFTER as isize => return None,
                Form::Low(kind, immediate) if rs1(word) == register => return Some((kind, immediate.get(word))),
                _ if self.overwrites(word, register) => return None,
                _ => {}
            }
        }
    }

    /// The `AUIPC` or `LUI` whose value is still in `register` at the window's place, and how many bytes before
    /// it stands. Lengths are only known forwards, so each place is tried that leads here.
    fn find_high(self, window: &Window<'_>, register: u32) -> Option<(u32, u32)> {
        if matches!(register, ZERO | SP | GP) {
            return None;
        }
        (4..=WINDOW_BEFORE as u32)
            .step_by(2)
            .filter_map(|distance| Some((distance, window.u32(-(distance as isize))?)))
            .filter(|&(_, word)| matches!(opcode(word), AUIPC | LUI) && rd(word) == register)
            .find(|&(distance, _)| {
                let mut at = 4 - distance as isize;
                while at < 0 {
                    match fetch(window, at) {
                        Some((word, len)) if !self.overwrites(word, register) => at += isize::from(len),
                        _ => return false,
                    }
                }
                at == 0
            })
    }

    /// Whether `word` leaves something else in `register`.
    fn overwrites(self, word: u32, register: u32) -> bool {
        let is = |r: u32| r == register;
        let by_call = matches!(register, RA | T0..=7 | 10..=17 | 28..);
        // Registers x8 to x15 in three bits.
        let (near_low, near_high) = (8 + (word >> 2 & 7), 8 + (word >> 7 & 7));
        match word & 3 {
            3 => match opcode(word) {
                STORE | STORE_FP | LOAD_FP | BRANCH => false,
                JAL | JALR => is(rd(word)) || rd(word) == RA && by_call,
                _ => is(rd(word)),
            },
            0 => match word >> 13 & 7 {
                0 | 2 => is(near_low),
                3 => self.rv64 && is(near_low),
                _ => false,
            },
            1 => match word >> 13 & 7 {
                1 if !self.rv64 => by_call,
                0..=3 => is(rd(word)),
                4 => is(near_high),
                _ => false,
            },
            _ => match word >> 12 & 15 {
                9 if word >> 2 & 31 == 0 => by_call,   // C.JALR
                8 if word >> 2 & 31 == 0 => false,     // C.JR
                0 | 1 | 4 | 5 | 8 | 9 => is(rd(word)), // C.SLLI, C.LWSP, C.MV, C.ADD
                6 | 7 => self.rv64 && is(rd(word)),    // C.LDSP
                _ => false,
            },
        }
    }
}

/// The instruction at `offset` and its length in bytes. The upper half is 0 if it is compressed.
fn fetch(window: &Window<'_>, offset: isize) -> Option<(u32, u8)> {
    let low = u32::from(window.u16(offset)?);
    if low & 3 == 3 { Some((window.u32(offset)?, 4)) } else { Some((low, 2)) }
}

/// What a `JAL` or `JALR` does. Compilers link in `ra`, rarely `t0`, or not at all.
fn link_kind(word: u32) -> Option<Kind> {
    match rd(word) {
        ZERO => Some(Kind::Jump),
        RA | T0 => Some(Kind::Call),
        _ => None,
    }
}

fn opcode(word: u32) -> u32 {
    word & 0x7F
}

fn funct3(word: u32) -> u32 {
    word >> 12 & 7
}

fn rd(word: u32) -> u32 {
    word >> 7 & 31
}

fn rs1(word: u32) -> u32 {
    word >> 15 & 31
}

#[cfg(test)]
mod tests {
    use super::super::laws::{Half, Subject, golden, like};
    use super::*;

    #[test]
    fn keeps_the_laws() {
        let templates = [
            like(4, 0x0000_0FFF, 0x0000_00EF),
            like(4, 0x0000_0FFF, 0x0000_006F),
            like(4, 0x0000_007F, 0x0000_0063),
            like(2, 0x0000_0003, 0x0000_0001),
            like(2, 0x0000_0000, 0x0000_0000),
            like(2, 0x0000_E003, 0x0000_A001),
            like(2, 0x0000_E003, 0x0000_2001),
            like(2, 0x0000_C003, 0x0000_C001),
            like(4, 0x0000_0E7F, 0x0000_0417),
            like(4, 0x0000_0E7F, 0x0000_0437),
            like(4, 0x000E_7FFF, 0x0004_00E7),
            like(4, 0x000E_707F, 0x0004_0013),
            like(4, 0x000E_007B, 0x0004_0003),
            like(4, 0x000E_007B, 0x0004_0023),
        ];
        fn half(word: u32) -> Option<Half> {
            match RiscV::default().form(if word & 3 == 3 { word } else { word & 0xFFFF }) {
                Form::High { .. } => Some(Half { high: true, register: rd(word) }),
                Form::Low(..) => Some(Half { high: false, register: rs1(word) }),
                _ => None,
            }
        }
        for rv64 in [false, true] {
            Subject { isa: RiscV { rv64 }, templates: &templates, half }.check();
        }
    }

    /// GNU as 2.40, -march=rv32imafc, linked to 0x42000000; what is not listed has no address.
    #[test]
    fn reads_what_an_assembler_wrote() {
        let code = [
            0x00EF, 0x0004, 0xF2EF, 0xFFDF, 0x006F, 0x0660, 0xA08D, 0xBFCD, 0x0F63, 0x04B5, 0x76E3, 0xFED6, 0xC939,
            0xF3FD, 0x2889, 0x1097, 0xFE38, 0x80E7, 0xFDE0, 0x1317, 0xFE38, 0x0067, 0xFD63, 0x7517, 0xFDC8, 0x0513,
            0xFD25, 0x7597, 0xFDC8, 0x8636, 0xA703, 0x7C65, 0x7597, 0xFDC8, 0xA023, 0x7EE5, 0x87B7, 0x3FC8, 0x8813,
            0x8007, 0x7437, 0x3FC8, 0x4505, 0x2507, 0x0004, 0x1123, 0x00A4, 0x57B7, 0x1234, 0x87AE, 0x43DC, 0x1337,
            0x4038, 0x00E7, 0xFFC3,
        ]
        .map(u16::to_le_bytes);
        let expected = [
            (0x00, Kind::Call, 0x4204_0000),
            (0x04, Kind::Call, 0x4200_0000),
            (0x08, Kind::Jump, 0x4200_006E),
            (0x0C, Kind::Jump, 0x4200_006E),
            (0x0E, Kind::Jump, 0x4200_0000),
            (0x10, Kind::Branch, 0x4200_006E),
            (0x14, Kind::Branch, 0x4200_0000),
            (0x18, Kind::Branch, 0x4200_006E),
            (0x1A, Kind::Branch, 0x4200_0000),
            (0x1C, Kind::Call, 0x4200_006E),
            (0x1E, Kind::Call, 0x4038_0FFC),
            (0x22, Kind::Call, 0x4038_0FFC),
            (0x26, Kind::Jump, 0x4038_0FFC),
            (0x2A, Kind::Jump, 0x4038_0FFC),
            (0x2E, Kind::PcAddress, 0x3FC8_7000),
            (0x32, Kind::PcAddress, 0x3FC8_7000),
            (0x36, Kind::PcAddress, 0x3FC8_77FC),
            (0x3C, Kind::PcAddress, 0x3FC8_77FC),
            (0x40, Kind::PcAddress, 0x3FC8_7820),
            (0x44, Kind::PcAddress, 0x3FC8_7820),
            (0x48, Kind::AbsAddress, 0x3FC8_7800),
            (0x4C, Kind::AbsAddress, 0x3FC8_7800),
            (0x50, Kind::AbsAddress, 0x3FC8_7000),
            (0x56, Kind::AbsAddress, 0x3FC8_7000),
            (0x5A, Kind::AbsAddress, 0x3FC8_7002),
            (0x66, Kind::AbsAddress, 0x4038_0FFC),
            (0x6A, Kind::AbsAddress, 0x4038_0FFC),
        ];
        golden(&RiscV { rv64: false }, 0x4200_0000, code.as_flattened(), &expected);
    }

    /// The same, -march=rv64imafc: where 32 bit has `C.JAL`, 64 bit has `C.ADDIW`.
    #[test]
    fn reads_what_an_assembler_wrote_for_64_bit() {
        let code = [
            0x00EF, 0x0004, 0xF2EF, 0xFFDF, 0x006F, 0x06A0, 0xA09D, 0xBFCD, 0x0163, 0x06B5, 0x76E3, 0xFED6, 0xCD29,
            0xF3FD, 0x2505, 0xE503, 0x0005, 0x1097, 0xFE38, 0x80E7, 0xFDA0, 0x1317, 0xFE38, 0x0067, 0xFD23, 0x7517,
            0xFDC8, 0x0513, 0xFCE5,
        ]
        .map(u16::to_le_bytes);
        let expected = [
            (0x00, Kind::Call, 0x4204_0000),
            (0x04, Kind::Call, 0x4200_0000),
            (0x08, Kind::Jump, 0x4200_0072),
            (0x0C, Kind::Jump, 0x4200_0072),
            (0x0E, Kind::Jump, 0x4200_0000),
            (0x10, Kind::Branch, 0x4200_0072),
            (0x14, Kind::Branch, 0x4200_0000),
            (0x18, Kind::Branch, 0x4200_0072),
            (0x1A, Kind::Branch, 0x4200_0000),
            (0x22, Kind::Call, 0x4038_0FFC),
            (0x26, Kind::Call, 0x4038_0FFC),
            (0x2A, Kind::Jump, 0x4038_0FFC),
            (0x2E, Kind::Jump, 0x4038_0FFC),
            (0x32, Kind::PcAddress, 0x3FC8_7000),
            (0x36, Kind::PcAddress, 0x3FC8_7000),
        ];
        golden(&RiscV { rv64: true }, 0x4200_0000, code.as_flattened(), &expected);
    }

    /// lui t0, 0x17b70; addi t1, t1, 1; lw a0, 16(a5). The upper half of the first reads as lui a5.
    #[test]
    fn takes_no_half_instruction_for_a_high_part() {
        let code = [0x17B7_02B7_u32, 0x0013_0313, 0x0107_A503].map(u32::to_le_bytes);
        golden(&RiscV { rv64: false }, 0, code.as_flattened(), &[]);
    }

    #[test]
    fn forgets_what_is_overwritten() {
        let code = [
            0x7537, 0x3FC8, // lui a0, 0x3fc87
            0x00EF, 0x0004, // jal ra, . + 0x40000
            0x2583, 0x0045, // lw a1, 4(a0)
            0x74B7, 0x3FC8, // lui s1, 0x3fc87
            0x00EF, 0x0004, // jal ra, . + 0x40000
            0xA583, 0x0044, // lw a1, 4(s1)
            0x77B7, 0x3FC8, // lui a5, 0x3fc87
            0x431C, // c.lw a5, 0(a4)
            0xA583, 0x0047, // lw a1, 4(a5)
            0x77B7, 0x3FC8, // lui a5, 0x3fc87
            0xC31C, // c.sw a5, 0(a4)
            0xA583, 0x0047, // lw a1, 4(a5)
        ]
        .map(u16::to_le_bytes);
        let expected = [
            (0x04, Kind::Call, 0x4_0004),
            (0x0C, Kind::AbsAddress, 0x3FC8_7004),
            (0x10, Kind::Call, 0x4_0010),
            (0x14, Kind::AbsAddress, 0x3FC8_7004),
            (0x22, Kind::AbsAddress, 0x3FC8_7004),
            (0x28, Kind::AbsAddress, 0x3FC8_7004),
        ];
        golden(&RiscV { rv64: false }, 0, code.as_flattened(), &expected);
    }
}
