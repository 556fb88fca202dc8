//! Arm Thumb and Thumb-2 (Armv6-M to Armv8-M, and Thumb code of the A and R profiles).
//!
//! Encodings after the Arm Architecture Reference Manual, Armv7-M, chapter A7.7; the names `T1`..`T4`
//! are its encoding names.

use super::{Isa, Kind, Site, Window, sign_extend, signed_field};

/// Thumb-2 code, halfword aligned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thumb;

/// What the PC reads as, relative to the instruction.
const PC_BIAS: u32 = 4;

/// The forms that carry an address.
#[derive(Clone, Copy)]
enum Form {
    /// `B<c>` T1: 8-bit signed halfword offset.
    BranchCond8,
    /// `B` T2: 11-bit signed halfword offset.
    Branch11,
    /// `CBZ`/`CBNZ`: 6-bit unsigned halfword offset.
    CompareBranch,
    /// `LDR` literal T1: 8-bit unsigned word offset.
    Literal8,
    /// `ADR` T1: 8-bit unsigned word offset.
    Adr8,
    /// `B<c>.W` T3: 20-bit signed halfword offset.
    BranchCond20,
    /// `B.W` T4, `BL` T1: 24-bit signed halfword offset.
    Branch24,
    /// `BLX` T2: like `BL`, from the word-aligned PC, to a word-aligned target.
    CallExchange,
    /// `LDR.W` (and `LDRB`/`LDRH`) literal: 12-bit offset with a sign bit.
    Literal12,
    /// `VLDR` literal: 8-bit word offset with a sign bit.
    FloatLiteral,
    /// `ADR.W` T2/T3: 12-bit offset, sign in the opcode.
    Adr12,
    /// `MOVW` T3: low half of an absolute value.
    MoveLow,
    /// `MOVT` T1: high half of an absolute value.
    MoveHigh,
}

fn is_wide(first: u16) -> bool {
    first >> 11 >= 0b11101
}

/// The form of a 16-bit instruction.
#[inline]
fn narrow(first: u16) -> Option<Form> {
    match first >> 11 {
        0b01001 => Some(Form::Literal8),
        0b10100 => Some(Form::Adr8),
        0b11100 => Some(Form::Branch11),
        _ if first & 0xf000 == 0xd000 && first & 0x0f00 < 0x0e00 => Some(Form::BranchCond8),
        _ if first & 0xf500 == 0xb100 => Some(Form::CompareBranch),
        _ => None,
    }
}

/// The form of a 32-bit instruction.
fn wide(first: u16, second: u16) -> Option<Form> {
    if first & 0xf800 == 0xf000 && second & 0x8000 != 0 {
        return match second & 0x5000 {
            0x5000 | 0x1000 => Some(Form::Branch24),
            0x4000 if second & 1 == 0 => Some(Form::CallExchange),
            0x0000 if first & 0x0380 != 0x0380 => Some(Form::BranchCond20),
            _ => None,
        };
    }
    if first & 0xff1f == 0xf81f && second >> 12 != 0xf {
        return Some(Form::Literal12);
    }
    if first & 0xff3f == 0xed1f && second & 0x0e00 == 0x0a00 {
        return Some(Form::FloatLiteral);
    }
    if second & 0x8000 == 0 {
        return match first & 0xfbff {
            0xf20f | 0xf2af => Some(Form::Adr12),
            _ => match first & 0xfbf0 {
                0xf240 => Some(Form::MoveLow),
                0xf2c0 => Some(Form::MoveHigh),
                _ => None,
            },
        };
    }
    None
}

fn immediate16(first: u16, second: u16) -> u32 {
    let (a, b) = (u32::from(first), u32::from(second));
    (a & 0xf) << 12 | (a >> 10 & 1) << 11 | (b >> 12 & 7) << 8 | b & 0xff
}

fn with_immediate16(first: u16, second: u16, value: u32) -> (u16, u16) {
    let a = u32::from(first) & !0x040f | value >> 12 & 0xf | (value >> 11 & 1) << 10;
    let b = u32::from(second) & !0x70ff | (value >> 8 & 7) << 12 | value & 0xff;
    (a as u16, b as u16)
}

fn immediate12(first: u16, second: u16) -> u32 {
    immediate16(first, second) & 0x0fff
}

/// The 25-bit byte offset of `BL`, `BLX` and `B.W`.
fn branch24(first: u16, second: u16) -> u32 {
    let (a, b) = (u32::from(first), u32::from(second));
    let sign = a >> 10 & 1;
    let i1 = !(b >> 13 ^ sign) & 1;
    let i2 = !(b >> 11 ^ sign) & 1;
    sign_extend(sign << 24 | i1 << 23 | i2 << 22 | (a & 0x3ff) << 12 | (b & 0x7ff) << 1, 25)
}

fn with_branch24(first: u16, second: u16, offset: u32) -> (u16, u16) {
    let sign = offset >> 24 & 1;
    let j1 = !(offset >> 23 ^ sign) & 1;
    let j2 = !(offset >> 22 ^ sign) & 1;
    let a = u32::from(first) & !0x07ff | sign << 10 | offset >> 12 & 0x3ff;
    let b = u32::from(second) & !0x2fff | j1 << 13 | j2 << 11 | offset >> 1 & 0x7ff;
    (a as u16, b as u16)
}

/// The other half of a `MOVW`/`MOVT` pair for the same register, if it stands near.
fn partner(window: &Window<'_>, want: u16, register: u16) -> Option<u32> {
    [4, -4, 6, -6, 8, -8].into_iter().find_map(|offset| {
        let (first, second) = (window.u16(offset)?, window.u16(offset + 2)?);
        let matches = first & 0xfbf0 == want && second & 0x8f00 == register << 8;
        matches.then(|| immediate16(first, second))
    })
}

impl Isa for Thumb {
    fn align(&self) -> u32 {
        2
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        let Some(first) = window.u16(0) else { return Site::plain(1) };
        let (len, second, form) = if is_wide(first) {
            let Some(second) = window.u16(2) else { return Site::plain(2) };
            (4, second, wide(first, second))
        } else {
            (2, 0, narrow(first))
        };
        let Some(form) = form else { return Site::plain(len) };
        let here = pc.wrapping_add(PC_BIAS);
        let aligned = here & !3;
        let (a, b) = (u32::from(first), u32::from(second));
        let (kind, target) = match form {
            Form::BranchCond8 => (Kind::Branch, here.wrapping_add(sign_extend((a & 0xff) << 1, 9))),
            Form::Branch11 => (Kind::Branch, here.wrapping_add(sign_extend((a & 0x7ff) << 1, 12))),
            Form::CompareBranch => (Kind::Branch, here.wrapping_add((a >> 9 & 1) << 6 | (a >> 3 & 0x1f) << 1)),
            Form::Literal8 => (Kind::Literal, aligned.wrapping_add((a & 0xff) << 2)),
            Form::Adr8 => (Kind::PcAddress, aligned.wrapping_add((a & 0xff) << 2)),
            Form::BranchCond20 => {
                let offset = (a >> 10 & 1) << 20
                    | (b >> 11 & 1) << 19
                    | (b >> 13 & 1) << 18
                    | (a & 0x3f) << 12
                    | (b & 0x7ff) << 1;
                (Kind::Branch, here.wrapping_add(sign_extend(offset, 21)))
            }
            Form::Branch24 => {
                let kind = if second & 0x4000 != 0 { Kind::Call } else { Kind::Jump };
                (kind, here.wrapping_add(branch24(first, second)))
            }
            Form::CallExchange => (Kind::Call, aligned.wrapping_add(branch24(first, second))),
            Form::Literal12 => {
                let offset = b & 0xfff;
                let offset = if a & 0x80 != 0 { offset } else { offset.wrapping_neg() };
                (Kind::Literal, aligned.wrapping_add(offset))
            }
            Form::FloatLiteral => {
                let offset = (b & 0xff) << 2;
                let offset = if a & 0x80 != 0 { offset } else { offset.wrapping_neg() };
                (Kind::Literal, aligned.wrapping_add(offset))
            }
            Form::Adr12 => {
                let offset = immediate12(first, second);
                let offset = if a & 0xa0 != 0 { offset.wrapping_neg() } else { offset };
                (Kind::PcAddress, aligned.wrapping_add(offset))
            }
            Form::MoveLow => match partner(window, 0xf2c0, second >> 8 & 0xf) {
                Some(high) => (Kind::AbsAddress, high << 16 | immediate16(first, second)),
                None => return Site::plain(len),
            },
            Form::MoveHigh => match partner(window, 0xf240, second >> 8 & 0xf) {
                Some(low) => (Kind::AbsAddress, immediate16(first, second) << 16 | low),
                None => return Site::plain(len),
            },
        };
        Site { len, kind, target }
    }

    fn relocate(&self, window: &Window<'_>, site: &Site, new_pc: u32, new_target: u32) -> Option<u32> {
        let first = window.u16(0)?;
        let second = if site.len == 4 { window.u16(2)? } else { 0 };
        let form = if is_wide(first) { wide(first, second) } else { narrow(first) };
        let here = new_pc.wrapping_add(PC_BIAS);
        let offset = new_target.wrapping_sub(here);
        let from_word = new_target.wrapping_sub(here & !3);
        let a = u32::from(first);
        let (first, second) = match form? {
            Form::BranchCond8 => ((a & !0xff | signed_field(offset, 9, 1)?) as u16, 0),
            Form::Branch11 => ((a & !0x7ff | signed_field(offset, 12, 1)?) as u16, 0),
            Form::CompareBranch => {
                let ok = offset & 1 == 0 && offset < 128;
                (ok.then_some((a & !0x02f8 | (offset >> 6 & 1) << 9 | (offset >> 1 & 0x1f) << 3) as u16)?, 0)
            }
            Form::Literal8 | Form::Adr8 => {
                let ok = from_word & 3 == 0 && from_word < 1024;
                (ok.then_some((a & !0xff | from_word >> 2) as u16)?, 0)
            }
            Form::BranchCond20 => {
                signed_field(offset, 21, 1)?;
                let b = u32::from(second);
                let a = a & !0x043f | (offset >> 20 & 1) << 10 | offset >> 12 & 0x3f;
                let b = b & !0x2fff | (offset >> 19 & 1) << 11 | (offset >> 18 & 1) << 13 | offset >> 1 & 0x7ff;
                (a as u16, b as u16)
            }
            Form::Branch24 => {
                signed_field(offset, 25, 1)?;
                with_branch24(first, second, offset)
            }
            Form::CallExchange => {
                signed_field(from_word, 25, 2)?;
                with_branch24(first, second, from_word)
            }
            Form::Literal12 => {
                let (sign, magnitude) = signed_magnitude(from_word, a & 0x80 != 0);
                let ok = magnitude < 4096;
                let a = a & !0x80 | u32::from(sign) << 7;
                ok.then_some((a as u16, (u32::from(second) & !0xfff | magnitude) as u16))?
            }
            Form::FloatLiteral => {
                let (sign, magnitude) = signed_magnitude(from_word, a & 0x80 != 0);
                let ok = magnitude & 3 == 0 && magnitude < 1024;
                let a = a & !0x80 | u32::from(sign) << 7;
                ok.then_some((a as u16, (u32::from(second) & !0xff | magnitude >> 2) as u16))?
            }
            Form::Adr12 => {
                let (add, magnitude) = signed_magnitude(from_word, a & 0xa0 == 0);
                let a = if add { a & !0xa0 } else { a | 0xa0 };
                (magnitude < 4096).then(|| with_immediate12(a as u16, second, magnitude))?
            }
            Form::MoveLow => with_immediate16(first, second, new_target & 0xffff),
            Form::MoveHigh => with_immediate16(first, second, new_target >> 16),
        };
        Some(u32::from(second) << 16 | u32::from(first))
    }
}

/// Splits a wrapping offset into (is it added, magnitude). An offset of 0 keeps the sign it had.
fn signed_magnitude(offset: u32, added: bool) -> (bool, u32) {
    match offset as i32 {
        0 => (added, 0),
        o => (o > 0, o.unsigned_abs()),
    }
}

fn with_immediate12(first: u16, second: u16, value: u32) -> (u16, u16) {
    let (a, b) = with_immediate16(first, second, value);
    ((a & !0xf) | (first & 0xf), b)
}
