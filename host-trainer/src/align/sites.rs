//! A file with its addresses taken out, so that moved code looks the same.

use codec_core::delta::map::Segment;
use codec_core::reloc::address::AddressModel;
use codec_core::reloc::{Isa, IsaKind, Kind, Site, WINDOW_AFTER, WINDOW_BEFORE, Window};

/// Words ahead of a literal load that are remembered as literals.
const LITERAL_REACH: u32 = 1020;

/// An address that a unit refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Absolute address, or offset in the file.
    pub target: u32,
    /// Which of the two.
    pub absolute: bool,
}

/// Segments shorter than this say nothing about the instruction set of the new file, bytes.
const LEAST_READ: u32 = 32;

/// How the parts of a file are read: from each offset to the next with one instruction set. The first offset is 0.
pub struct Reading(Vec<(u32, IsaKind)>);

impl Reading {
    /// How the old image is read.
    pub fn of_old(address: &AddressModel) -> Self {
        let mut reading = Self(vec![(0, address.isa)]);
        for s in address.stretches() {
            reading.push(s.start, s.isa);
            reading.push(s.end(), address.isa);
        }
        reading
    }

    /// How the new file is read: as what its segments, in its order, come from. What is inserted continues.
    pub fn of_new(address: &AddressModel, segments: &[Segment]) -> Self {
        let mut reading = Self(vec![(0, address.isa)]);
        if address.stretches().is_empty() {
            return reading;
        }
        for s in segments.iter().filter(|s| s.len >= LEAST_READ) {
            let mut at = s.old;
            while at < s.old_end() {
                let (isa, room) = address.isa_at(at);
                reading.push(at - s.old + s.new, isa);
                at = at.saturating_add(room);
            }
        }
        reading
    }

    /// From `at` on, which is not before the last such offset, the file is read as `isa`.
    fn push(&mut self, at: u32, isa: IsaKind) {
        self.0.pop_if(|last| last.0 == at);
        if self.0.last().is_none_or(|last| last.1 != isa) {
            self.0.push((at, isa));
        }
    }
}

/// One file as the aligner sees it.
pub struct Sites {
    /// The bytes, with address fields replaced by a fixed value.
    pub masked: Vec<u8>,
    /// At the first byte of an address unit: the address it refers to. Absent elsewhere.
    pub targets: Vec<Option<Reference>>,
    /// Offsets of words that a literal load reads.
    pub literals: Vec<u32>,
}

/// The window around `at` in a whole file.
pub fn window(file: &[u8], at: usize) -> Window<'_> {
    let low = at.saturating_sub(WINDOW_BEFORE);
    let high = (at + WINDOW_AFTER).min(file.len());
    Window::new(&file[low..high], at - low)
}

impl Sites {
    /// Sweeps `file` from its start; `is_pointer` says which words count as pointers.
    pub fn sweep(file: &[u8], reading: &Reading, is_pointer: impl Fn(u32) -> bool) -> Self {
        let mut sites = Self { masked: file.to_vec(), targets: vec![None; file.len()], literals: Vec::new() };
        let mut is_literal = vec![false; file.len() / 4 + 1];
        let mut at = 0;
        let mut parts = reading.0.iter().peekable();
        let mut isa = IsaKind::Plain;
        while at < file.len() {
            while let Some(part) = parts.next_if(|part| part.0 as usize <= at) {
                isa = part.1;
            }
            let view = window(file, at);
            let pc = at as u32;
            let word = if at % 4 == 0 { view.u32(0) } else { None };
            let site = match word {
                Some(word) if is_literal[at / 4] || is_pointer(word) => {
                    if is_literal[at / 4] {
                        sites.literals.push(at as u32);
                    }
                    Site { len: 4, kind: Kind::Pointer, target: word }
                }
                _ => isa.site_at(&view, pc),
            };
            let len = usize::from(site.len);
            match site.kind {
                Kind::Plain => {}
                Kind::Pointer => {
                    if is_pointer(site.target) {
                        sites.masked[at..at + 4].copy_from_slice(&[0xa5, 0x5a, 0xa5, 0x5a]);
                        sites.targets[at] = Some(Reference { target: site.target & !1, absolute: true });
                    }
                }
                kind => {
                    if kind == Kind::Literal {
                        let offset = site.target;
                        let reached = offset % 4 == 0 && offset > at as u32 && offset - at as u32 <= LITERAL_REACH;
                        if let Some(mark) = is_literal.get_mut(offset as usize / 4).filter(|_| reached) {
                            *mark = true;
                        }
                    }
                    let fixed = if kind == Kind::AbsAddress { 0 } else { (pc & !3).wrapping_add(16) };
                    if kind != Kind::Branch
                        && let Some(word) = isa.relocate(&view, &site, pc, fixed)
                    {
                        sites.masked[at..at + len].copy_from_slice(&word.to_le_bytes()[..len]);
                        sites.targets[at] = Some(Reference { target: site.target, absolute: kind == Kind::AbsAddress });
                    }
                }
            }
            at += len;
        }
        sites
    }
}
