//! The predictor: one piece of code that drives encoder and decoder alike.

mod bytes;
mod hits;
mod old;
mod rewrite;
mod unit;

use crate::Error;
use crate::delta::map::{Map, Segment};
use crate::entropy::Coder;
use crate::entropy::range::Part;
use crate::reloc::address::{AddressModel, Target};
use crate::reloc::{Isa, Kind, Site, Window};
use crate::storage::ReadAt;
use bytes::{ByteModel, CONTEXTS, Expert, Situation, context};
use hits::HitModel;
use old::OldImage;
use rewrite::{Neighbours, Rewrites, hash};
use unit::{Source, Unit};

/// Bytes that one [`Rebuilder::step`] yields at most.
pub const MAX_STEP: usize = 4;

/// Rebuilds the new file unit by unit.
#[derive(Debug)]
pub struct Rebuilder<O, const SLOTS: usize, const SEGMENTS: usize, const REWRITES: usize> {
    old: OldImage<O>,
    map: Map<SEGMENTS>,
    address: AddressModel,
    hits: HitModel,
    bytes: ByteModel<SLOTS>,
    rewrites: Rewrites<REWRITES>,
    neighbours: Neighbours<32>,
    pos: u32,
    new_len: u32,
    /// Segment that `pos` is in or before.
    segment: usize,
    /// The last eight bytes, newest lowest.
    recent: u64,
}

impl<O: ReadAt, const SLOTS: usize, const SEGMENTS: usize, const REWRITES: usize>
    Rebuilder<O, SLOTS, SEGMENTS, REWRITES>
{
    /// A rebuilder at the start of a new file of `new_len` bytes.
    pub fn new(old: O, old_len: u32, new_len: u32, map: Map<SEGMENTS>, address: AddressModel) -> Self {
        Self {
            old: OldImage::new(old, old_len),
            map,
            address,
            hits: HitModel::new(),
            bytes: ByteModel::new(),
            rewrites: Rewrites::new(),
            neighbours: Neighbours::new(),
            pos: 0,
            new_len,
            segment: 0,
            recent: 0,
        }
    }

    /// Whether the whole file has been rebuilt.
    pub fn is_done(&self) -> bool {
        self.pos == self.new_len
    }

    /// Offset of the next byte.
    pub fn pos(&self) -> u32 {
        self.pos
    }

    /// Codes the next unit. An encoder passes the new file from the current offset on, a decoder an empty slice.
    /// Returns how many bytes of `out` are new.
    ///
    /// # Errors
    /// [`Error::Storage`] when the old image cannot be read.
    pub fn step<C: Coder>(&mut self, coder: &mut C, actual: &[u8], out: &mut [u8; MAX_STEP]) -> Result<usize, Error> {
        let segment = self.map.segments().get(self.segment).copied();
        let len = match segment {
            Some(s) if s.new <= self.pos => {
                let word = self.unit(coder, actual, s)?;
                let len = word.1;
                out.copy_from_slice(&word.0.to_le_bytes());
                if self.pos + len as u32 == s.new_end() {
                    self.segment += 1;
                }
                len
            }
            _ => {
                coder.account(Part::Inserted);
                let byte = actual.first().copied().unwrap_or(0);
                out[0] = self.inserted(coder, byte);
                1
            }
        };
        for &byte in &out[..len] {
            self.recent = self.recent << 8 | u64::from(byte);
        }
        self.pos += len as u32;
        Ok(len)
    }

    fn inserted<C: Coder>(&mut self, coder: &mut C, byte: u8) -> u8 {
        let r = self.recent;
        let (w, lane) = (r as u32, self.pos & 3);
        let c1 = w & 0xff;
        let half = self.pos & 1;
        // The halfwords before the current one, and the byte of the current one.
        let h = if half == 0 { r } else { r >> 8 };
        let part = if half == 0 { 256 } else { c1 };
        let (h1, h2, h3) = (h as u32 & 0xffff, (h >> 16) as u32 & 0xffff, (h >> 32) as u32 & 0xffff);
        let contexts = [
            context(16, lane, 0),
            context(17, c1, half),
            context(18, w & 0xffff, half),
            context(19, w & 0xff_ffff, 0),
            context(20, w, 0),
            context(21, w, (r >> 32) as u32 & 0xffff),
            context(22, (w >> 16) & 0xffff, lane),
            context(23, w >> 24 | (w & 0xff00), lane),
            context(24, w >> 8 & 0xffff, half),
            context(25, part << 16 | h1 & 0xf800 | h2 >> 11, half),
            context(26, part << 16 | h1 & 0xfe00, (h2 & 0xfe00) | h3 >> 9),
            context(27, part << 16 | h1, half),
            context(28, part << 16 | h2, half),
            context(29, (r >> 32) as u32, lane),
            context(30, (r >> 56) as u32 | (w & 0xff) << 8, lane),
            context(31, part, h3),
        ];
        let gate = 32 + (lane as usize) * 4;
        let situation = Situation { contexts, experts: [Expert::default(); 4], gate, lane: 4 + (lane as usize) };
        self.bytes.code(coder, &situation, byte)
    }

    fn unit<C: Coder>(&mut self, coder: &mut C, actual: &[u8], segment: Segment) -> Result<(u32, usize), Error> {
        let from_start = self.pos - segment.new;
        let at = segment.old + from_start;
        if from_start == 0 {
            self.old.enter(at, self.address.isa)?;
        }
        let unit = self.predict(at, from_start, segment.len - from_start)?;
        let len = usize::from(unit.site.len);
        let mut word = [0; 4];
        if let Some(actual) = actual.get(..len) {
            word[..len].copy_from_slice(actual);
        }
        let actual = u32::from_le_bytes(word);
        coder.account(Part::Hits);
        let actual = if self.hits.code(coder, &unit, u32::from(actual == unit.first)) {
            unit.first
        } else {
            match unit.second {
                Some(second) if self.hits.code_second(coder, &unit, u32::from(actual == second)) => second,
                _ => {
                    coder.account(Part::Misses);
                    self.missed(coder, &unit, at, actual)?
                }
            }
        };
        self.learn(&unit, actual);
        self.old.pass(at, u32::from(unit.site.len));
        Ok((actual, len))
    }

    /// What is predicted of the unit at old offset `at`.
    fn predict(&mut self, at: u32, from_start: u32, to_end: u32) -> Result<Unit, Error> {
        let isa = self.address.isa;
        let (old_pc, new_pc) = (self.address.old_address(at), self.address.new_address(self.pos));
        let literal = self.old.is_literal(at);
        let old_len = self.old.len();
        let window = self.old.window(at)?;
        let align = isa.align();
        let mut site = if literal && to_end >= 4 && window.u32(0).is_some() {
            Site { len: 4, kind: Kind::Pointer, target: window.u32(0).unwrap_or(0) }
        } else if at % align == 0 {
            isa.site(&window, old_pc)
        } else {
            Site::plain((align - at % align) as u8)
        };
        if site.kind == Kind::Plain
            && at & 3 == 0
            && to_end >= 4
            && let Some(word) = window.u32(0)
            && self.address.region_of(word).is_some()
        {
            site = Site { len: 4, kind: Kind::Pointer, target: word };
        }
        if u32::from(site.len) > to_end {
            site = Site::plain(to_end as u8);
        }
        let mut old = 0;
        for i in (0..site.len).rev() {
            old = old << 8 | u32::from(window.u8(isize::from(i)).unwrap_or(0));
        }
        let mut unit = Unit {
            site,
            source: Source::Raw,
            old,
            first: old,
            second: None,
            key: 0,
            trust: None,
            displacement: 0,
            from_start,
            to_end,
        };
        if site.kind == Kind::Plain {
            unit.key = hash(old, u32::from(site.len)) | 1;
            if site.len >= 2
                && let Some((value, trust)) = self.rewrites.get(unit.key)
            {
                unit.trust = Some(trust);
                if value != old {
                    if trust >= 2 {
                        unit.first = value;
                        unit.second = Some(old);
                        unit.source = Source::Rewrite;
                    } else {
                        unit.second = Some(value);
                    }
                }
            }
            return Ok(unit);
        }
        // Pointers to Thumb functions have bit 0 set.
        let tag = if site.kind == Kind::Pointer { site.target & 1 } else { 0 };
        let target = site.target - tag;
        let mut mapped = self.address.relocate(target, old_len, &self.map);
        unit.source = match mapped {
            Target::Inside(_) => Source::Inside,
            Target::Near(_) => Source::Near,
            Target::External(_) => Source::External,
        };
        if site.kind == Kind::Pointer
            && unit.source == Source::External
            && let Some((displacement, distance)) = self.neighbours.nearest(target)
            && (displacement != 0 || distance < 6)
        {
            mapped = Target::External(target.wrapping_add(displacement));
            unit.source = Source::Neighbour;
        }
        let encode = |address: u32| match site.kind {
            Kind::Pointer => Some(address | tag),
            _ => isa.relocate(&window, &site, new_pc, address),
        };
        unit.displacement = mapped.address().wrapping_sub(target);
        let first = encode(mapped.address()).unwrap_or(old);
        unit.first = first;
        unit.key = hash(target, if site.kind == Kind::Pointer { 99 } else { 98 }) | 1;
        if let Some((value, trust)) = self.rewrites.get(unit.key) {
            unit.trust = Some(trust);
            if let Some(word) = encode(value)
                && word != first
            {
                if trust >= 1 {
                    unit.first = word;
                    unit.second = Some(first);
                    unit.source = Source::Rewrite;
                } else {
                    unit.second = Some(word);
                }
            }
        }
        if unit.second.is_none() && unit.first != old {
            unit.second = Some(old);
        }
        if site.kind == Kind::Literal {
            let base = old_pc.wrapping_sub(at);
            self.old.note_literal(at, site.target.wrapping_sub(base));
        }
        Ok(unit)
    }

    /// Codes the bytes of a unit that no expert predicted.
    fn missed<C: Coder>(&mut self, coder: &mut C, unit: &Unit, at: u32, actual: u32) -> Result<u32, Error> {
        let len = u32::from(unit.site.len);
        let class = unit.class() as u32;
        let next = {
            let window = self.old.window(at)?;
            window.u8(len as isize).map_or(256, u32::from)
        };
        let mut result = 0u32;
        let mut recent = self.recent;
        let mut all_hit = 1;
        let misses = self.hits.recent_misses();
        for i in 0..len {
            let w = recent as u32;
            let c1 = w & 0xff;
            let first = unit.first >> (8 * i) & 0xff;
            let old = unit.old >> (8 * i) & 0xff;
            let second = unit.second.map_or(256, |s| s >> (8 * i) & 0xff);
            let after = if i + 1 < len { unit.first >> (8 * i + 8) & 0xff } else { next };
            let place = i | len << 2 | class << 5;
            let so_far = result.wrapping_sub(unit.first & ((1u64 << (8 * i)) - 1) as u32);
            let contexts = [
                context(1, first, place),
                context(2, first | old << 8 | second << 16, class << 2 | all_hit),
                context(3, unit.old, i | result << 2),
                context(4, first | c1 << 8 | all_hit << 16, class),
                context(5, first | after << 8, i | all_hit << 4),
                context(6, first, so_far ^ i << 28),
                context(7, c1, place),
                context(8, w & 0xffff, i),
                context(9, first | c1 << 8 | (w & 0xff00) << 8, i),
                context(10, place, misses << 1 | all_hit),
                context(11, w & 0xff_ffff, 0),
                context(12, w, 0),
                context(13, unit.old >> 8, i | result << 2),
                context(14, unit.first, i | result << 2),
                context(15, first | (w >> 24) << 8 | (w >> 8 & 0xff) << 16, self.pos + i & 3),
                context(0, unit.displacement, result ^ i << 28),
            ];
            let confidence = (all_hit << 5 | u32::from(i + 1 == len) << 4 | misses.min(3) << 2 | (len - 1)) as u8;
            let name = |byte: u32, class: u8| Expert { byte: u8::try_from(byte).ok(), class };
            let experts = [
                name(first, confidence),
                name(second, confidence),
                name(old, (class as u8) & 63),
                Expert::default(),
            ];
            let gate = (i << 3 | all_hit << 2 | misses.min(3)) as usize;
            let situation = Situation { contexts, experts, gate, lane: i as usize };
            let byte = self.bytes.code(coder, &situation, (actual >> (8 * i)) as u8);
            result |= u32::from(byte) << (8 * i);
            all_hit &= u32::from(u32::from(byte) == first);
            recent = recent << 8 | u64::from(byte);
        }
        Ok(result)
    }

    /// Learns what became of the unit.
    fn learn(&mut self, unit: &Unit, actual: u32) {
        let site = unit.site;
        match site.kind {
            Kind::Plain => {
                if site.len >= 2 && (actual != unit.first || unit.trust.is_some()) {
                    self.rewrites.learn(unit.key, actual);
                }
            }
            Kind::Pointer => {
                let tag = site.target & 1;
                if actual != unit.first || unit.trust.is_some() {
                    self.rewrites.learn(unit.key, actual.wrapping_sub(tag));
                }
                if matches!(unit.source, Source::External | Source::Neighbour) || self.address.regions().is_empty() {
                    self.neighbours.learn(site.target - tag, actual.wrapping_sub(tag));
                }
            }
            _ => {
                if actual == unit.first && unit.trust.is_none() {
                    return;
                }
                let bytes = actual.to_le_bytes();
                let window = Window::new(&bytes[..usize::from(site.len)], 0);
                let seen = self.address.isa.site(&window, self.address.new_address(self.pos));
                if seen.kind == site.kind {
                    self.rewrites.learn(unit.key, seen.target);
                }
            }
        }
    }

    /// Misses and hits coded last, newest in bit 0; 1 is a miss.
    pub fn history(&self) -> u32 {
        self.hits.history()
    }
}

const _: () = assert!(CONTEXTS == 16);
