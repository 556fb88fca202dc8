//! The predictor: one piece of code that drives encoder and decoder alike.

pub(crate) mod bytes;
mod copies;
mod hits;
mod matches;
mod modelled;
mod old;
pub mod prior;
mod rewrite;
mod unit;

use crate::Error;
use crate::container::digest::BaseId;
use crate::delta::map::{Map, MapModel, SEGMENT_WORDS, Segment};
use crate::entropy::Coder;
use crate::entropy::range::Part;
use crate::limits::{Capacity, Parameters};
use crate::neural::{NoBase, Resident};
use crate::reloc::address::{AddressModel, Target};
use crate::reloc::{Isa, IsaKind, Kind, Site, Window};
use crate::storage::ReadAt;
pub(crate) use bytes::LEAST_SLOTS;
use bytes::{ByteModel, CONTEXTS, Expert, Situation, context};
use copies::CopyCode;
pub use copies::LEAST as LEAST_COPY;
use hits::HitModel;
use matches::MatchModel;
use modelled::{base_words, memory};
use old::OldImage;
use prior::{Load, Visitor};
pub(crate) use rewrite::hash;
use rewrite::{Neighbours, Rewrites, key};
use unit::{Source, Unit};

/// Segments shorter than this are entered without looking for literal loads before them, bytes.
const RESCAN_LEAST: u32 = 64;

/// Bytes that one [`Rebuilder::step`] yields at most.
pub const MAX_STEP: usize = 4;
/// Bits that one [`Rebuilder::step`] takes at most: a copy, two flags of at most 17 bits, and bytes whose decisions
/// cost at most 11 bits, and a little for rounding.
pub const MAX_STEP_BITS: usize = CopyCode::MAX_BITS + 2 * 17 + 8 * MAX_STEP * 12;

/// Lengths of the two files, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// Length of the old image; 0 when there is none.
    pub old_len: u32,
    /// Length of the new file.
    pub new_len: u32,
}

/// Rebuilds the new file unit by unit.
#[derive(Debug)]
pub struct Rebuilder<O, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B = NoBase>
{
    old: OldImage<O>,
    /// Base model, if the device has one.
    base: B,
    /// Behind its segments stand the network's slots, and behind those the base model's memory.
    map: Map<[u16; WORDS]>,
    address: AddressModel,
    /// How code is read from the place `read.0` of the old image on, for `read.1` bytes.
    isa: IsaKind,
    read: (u32, u32),
    hits: HitModel,
    bytes: ByteModel,
    rewrites: Rewrites<REWRITES>,
    neighbours: Neighbours<32>,
    matches: MatchModel<HISTORY, INDEX>,
    pos: u32,
    new_len: u32,
    /// Mapped segment that comes next.
    next: usize,
    /// Segment that `pos` is in, mapped or not.
    current: Option<Segment>,
    map_code: MapModel,
    copies: CopyCode,
    /// Whether the last byte stood outside every segment.
    inserting: bool,
    /// Contexts of a byte.
    contexts: usize,
    /// Words that map and slots share.
    words: usize,
    /// Most segments of the map.
    segments: u32,
    /// The last eight bytes, newest lowest.
    recent: u64,
}

impl<O, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B>
    Rebuilder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    /// A rebuilder that must be started before use. All its tables are zero, so that a `static` costs no flash.
    pub const fn new(old: O, base: B) -> Self {
        Self {
            base,
            old: OldImage::new(old),
            map: Map::new([0; WORDS]),
            address: AddressModel::new(IsaKind::Plain),
            isa: IsaKind::Plain,
            read: (0, 0),
            hits: HitModel::new(),
            bytes: ByteModel::new(),
            rewrites: Rewrites::new(),
            neighbours: Neighbours::new(),
            matches: MatchModel::new(),
            pos: 0,
            new_len: 0,
            next: 0,
            current: None,
            map_code: MapModel::zero(),
            copies: CopyCode::new(),
            inserting: false,
            contexts: 0,
            words: 0,
            segments: 0,
            recent: 0,
        }
    }
}

impl<O: ReadAt, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B: Resident>
    Rebuilder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    /// Entries of the tables.
    pub const CAPACITY: Capacity = Capacity { words: WORDS, rewrites: REWRITES, history: HISTORY, index: INDEX };

    /// Sets the tables up for a new file, with `prior` as their state.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when the parameters ask for more than the tables hold, or the base model takes more than
    /// half of the words; [`Error::Unknown`] when the model is not here.
    pub fn start(
        &mut self,
        files: Files,
        parameters: &Parameters,
        prior: &[u8],
        base: Option<BaseId>,
    ) -> Result<(), Error> {
        parameters.check(&Self::CAPACITY)?;
        self.base.select(base)?;
        let (needed, limit) = (base_words(&self.base), (parameters.words as usize).min(WORDS) / 2);
        if needed > limit {
            let (requested, limit) = (needed as u64, limit as u64);
            return Err(Error::OverBudget { field: "base", requested, limit });
        }
        self.old.start(files.old_len);
        self.map.reserve(0)?;
        self.address = AddressModel::new(IsaKind::Plain);
        self.hits.start();
        self.map_code.start();
        self.copies.start();
        self.visit(&mut Load(prior));
        self.rewrites.start(parameters.rewrites_log2);
        self.neighbours = Neighbours::new();
        self.matches.start(parameters.history_log2, parameters.index_log2);
        (self.pos, self.new_len, self.next, self.recent) = (0, files.new_len, 0, 0);
        (self.current, self.inserting) = (None, false);
        self.contexts = (parameters.contexts as usize).min(CONTEXTS);
        self.words = (parameters.words as usize).min(WORDS);
        self.segments = parameters.segments;
        Ok(())
    }

    /// Walks through all trained state, in the order of the prior.
    pub fn visit(&mut self, visitor: &mut impl Visitor) {
        self.map_code.visit(visitor);
        self.copies.visit(visitor);
        self.hits.visit(visitor);
        self.bytes.visit(visitor);
    }

    /// Codes the number of segments of the map, and makes room for them. An encoder passes it, a decoder anything.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when they are more than the parameters allow, or would leave the network too little.
    pub fn code_count<C: Coder>(&mut self, coder: &mut C, segments: u32) -> Result<u32, Error> {
        let segments = self.map_code.code_count(coder, segments);
        let kept = LEAST_SLOTS + base_words(&self.base);
        let limit = self.segments.min((self.words.saturating_sub(kept) / SEGMENT_WORDS) as u32);
        if segments > limit {
            return Err(Error::OverBudget { field: "segments", requested: segments.into(), limit: limit.into() });
        }
        self.map.reserve(segments as usize)?;
        Ok(segments)
    }

    /// Codes the next segment of the map, behind which `left` more stand, and appends it. An encoder passes it, a
    /// decoder anything.
    ///
    /// # Errors
    /// Those of [`Map::push`].
    pub fn code_segment<C: Coder>(&mut self, coder: &mut C, segment: Segment, left: u32) -> Result<Segment, Error> {
        let files = Files { old_len: self.old.len(), new_len: self.new_len };
        let segment = self.map_code.code(coder, segment, (left == 0).then_some(files));
        self.map.push(segment, files.old_len, files.new_len)?;
        Ok(segment)
    }

    /// Ends the map, sets the address model, and deals out what the map leaves of the memory. To be called before
    /// [`Rebuilder::prime`] and the first [`Rebuilder::step`], with a map or without.
    pub fn finish_map(&mut self, address: AddressModel) {
        self.address = address;
        self.read = (0, 0);
        let (slots, memory) = memory(&mut self.map, self.words, base_words(&self.base));
        let contexts = if memory.is_empty() { self.contexts } else { CONTEXTS };
        self.bytes.start(slots, contexts);
        self.base.work(|neural| neural.start(memory));
    }

    /// What is to be added to an offset of the new file to find its like in the old image, wrapping: by the segment
    /// that was entered last.
    pub fn shift(&self) -> u32 {
        self.copies.shift()
    }

    /// The old image's storage.
    pub fn storage(&mut self) -> &mut O {
        self.old.storage()
    }

    /// The base model, or the place for one.
    pub fn base(&mut self) -> &mut B {
        &mut self.base
    }

    /// Reads the whole old image: puts its places into the match index and, when `train` is set, lets the network
    /// learn from its bytes.
    ///
    /// # Errors
    /// [`Error::Storage`] when the old image cannot be read.
    pub fn prime(&mut self, train: bool) -> Result<(), Error> {
        let len = self.old.len();
        let stride = self.matches.stride(len);
        if !train {
            self.index_old(stride)?;
            return self.show_old();
        }
        for at in 0..len {
            let byte = self.old.scan(at)?;
            self.pos = at;
            let here = at.is_multiple_of(stride).then_some(at);
            let m = self.matches.predict(&mut self.old, self.recent, here)?;
            self.inserted(&mut Teacher, byte, m);
            self.matches.follow(m, byte);
            self.recent = self.recent << 8 | u64::from(byte);
        }
        self.matches.leave();
        self.pos = 0;
        Ok(())
    }

    /// Puts every `stride`th place of the old image into the match index.
    fn index_old(&mut self, stride: u32) -> Result<(), Error> {
        let mut place = stride.next_multiple_of(8);
        while place <= self.old.len() {
            let mut recent = 0;
            for at in place.saturating_sub(8)..place {
                recent = recent << 8 | u64::from(self.old.scan(at)?);
            }
            self.matches.note(recent, place);
            place += stride;
        }
        Ok(())
    }

    /// Whether the whole file has been rebuilt.
    pub fn is_done(&self) -> bool {
        self.pos == self.new_len
    }

    /// Codes the next unit. An encoder passes the new file from the current offset on and the next copy that it
    /// wants made there or later; a decoder passes an empty slice and `None`. Returns how many bytes of `out` are new.
    ///
    /// # Errors
    /// [`Error::Storage`] when the old image cannot be read; [`Error::OutOfRange`] for a copy that leaves the files.
    pub fn step<C: Coder>(
        &mut self,
        coder: &mut C,
        actual: &[u8],
        plan: Option<Segment>,
        out: &mut [u8; MAX_STEP],
    ) -> Result<usize, Error> {
        if self.current.is_none() {
            self.current = self.enter(coder, plan)?;
        }
        let segment = self.current;
        let len = match segment {
            Some(s) => {
                let (word, len) = self.unit(coder, actual, s)?;
                out.copy_from_slice(&word.to_le_bytes());
                self.inserting = false;
                if self.pos + len as u32 == s.new_end() {
                    self.current = None;
                }
                len
            }
            None => {
                coder.account(Part::Inserted);
                let byte = actual.first().copied().unwrap_or(0);
                if !self.inserting {
                    self.inserting = true;
                    self.matches.leave();
                    self.matches.enter(self.recent);
                    self.enter_model();
                }
                let here = Some(self.matches.here(&self.old));
                let m = self.matches.predict(&mut self.old, self.recent, here)?;
                let byte = self.inserted(coder, byte, m);
                self.matches.follow(m, byte);
                self.matches.push(byte);
                out[0] = byte;
                1
            }
        };
        // The bytes in the order of the file, as the newest.
        let word = u32::from_be_bytes(*out);
        self.recent = match len {
            4 => self.recent << 32 | u64::from(word),
            2 => self.recent << 16 | u64::from(word >> 16),
            _ => self.recent << (8 * len) | u64::from(word >> (32 - 8 * len)),
        };
        self.pos += len as u32;
        Ok(len)
    }

    /// The segment that starts at the current offset, if any.
    fn enter<C: Coder>(&mut self, coder: &mut C, plan: Option<Segment>) -> Result<Option<Segment>, Error> {
        let next = self.map.get(self.next);
        let segment = match next {
            Some(s) if s.new == self.pos => {
                self.next += 1;
                Some(s)
            }
            _ if self.old.is_empty() => None,
            _ => {
                let room = next.map_or(self.new_len, |s| s.new) - self.pos;
                self.copies.code(coder, plan, self.pos, room, self.old.len())?
            }
        };
        if let Some(s) = segment {
            self.copies.note(&s);
            if s.len >= RESCAN_LEAST {
                self.old.enter(s.old, &self.address)?;
            } else {
                self.old.enter_blind(s.old);
            }
        }
        Ok(segment)
    }

    fn inserted<C: Coder>(&mut self, coder: &mut C, byte: u8, matched: Option<(u8, u8)>) -> u8 {
        if self.base.active().is_some() {
            return self.modelled(coder, byte, matched);
        }
        let r = self.recent;
        let (w, lane) = (r as u32, self.pos & 3);
        let half = self.pos & 1;
        let (part, [h1, h2, h3]) = halfwords(r, self.pos);
        let (named, length) = matched.map_or((256, 0), |(byte, class)| (u32::from(byte), u32::from(class)));
        let [o1, o2, o3, o4] = orders(w, half);
        // Those that help most come first: small budgets use only them.
        let contexts = [
            context(16, named, length),
            o1,
            o2,
            o3,
            o4,
            context(24, w >> 8 & 0xffff, half),
            context(23, w >> 24 | (w & 0xff00), lane),
            context(25, part << 16 | h1 & 0xf800 | h2 >> 11, half),
            context(22, (w >> 16) & 0xffff, lane),
            context(28, part << 16 | h2, half),
            context(21, w, (r >> 32) as u32 & 0xffff),
            context(26, part << 16 | h1 & 0xfe00, (h2 & 0xfe00) | h3 >> 9),
            context(27, part << 16 | h1, half),
            context(29, (r >> 32) as u32, lane),
            context(30, (r >> 56) as u32 | (w & 0xff) << 8, lane),
            context(31, part, h3),
        ];
        let contexts = &contexts[..self.contexts];
        let experts = [Expert { byte: matched.map(|m| m.0), class: length as u8 }];
        let gate = insertion_gate(matched, lane);
        let situation = Situation { contexts, experts: &experts, table: 3, gate };
        self.bytes.code(coder, memory(&mut self.map, self.words, 0).0, &situation, byte)
    }

    fn unit<C: Coder>(&mut self, coder: &mut C, actual: &[u8], segment: Segment) -> Result<(u32, usize), Error> {
        let from_start = self.pos - segment.new;
        let at = segment.old + from_start;
        let unit = self.predict(at, segment.len - from_start)?;
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
    fn predict(&mut self, at: u32, to_end: u32) -> Result<Unit, Error> {
        if at.wrapping_sub(self.read.0) >= self.read.1 {
            let (isa, room) = self.address.isa_at(at);
            // Never so many that places before `at` would count as behind it.
            (self.isa, self.read) = (isa, (at, room.min(self.old.len() - at)));
        }
        let isa = self.isa;
        let room = (self.read.1 - (at - self.read.0)).min(to_end);
        let new_pc = self.pos;
        let literal = self.old.is_literal(at);
        let old_len = self.old.len();
        let window = self.old.window(at)?;
        let mut site = if literal && room >= 4 && window.u32(0).is_some() {
            Site { len: 4, kind: Kind::Pointer, target: window.u32(0).unwrap_or(0) }
        } else {
            isa.site_at(&window, at)
        };
        if site.kind == Kind::Plain
            && at & 3 == 0
            && room >= 4
            && let Some(word) = window.u32(0)
            && self.address.region_of(word).is_some()
        {
            site = Site { len: 4, kind: Kind::Pointer, target: word };
        }
        if u32::from(site.len) > room {
            site = Site::plain(room as u8);
        }
        let old = match site.len {
            4 => window.u32(0).unwrap_or(0),
            2 => window.u16(0).unwrap_or(0).into(),
            len => (0..len).rev().fold(0, |old, i| old << 8 | u32::from(window.u8(isize::from(i)).unwrap_or(0))),
        };
        let mut unit = Unit {
            site,
            isa,
            source: Source::Raw,
            old,
            first: old,
            second: None,
            key: 0,
            trust: None,
            literal,
            displacement: 0,
            to_end,
        };
        if site.kind == Kind::Plain {
            unit.key = key(old, site.len);
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
        let absolute = matches!(site.kind, Kind::Pointer | Kind::AbsAddress);
        let mut mapped = match self.current {
            // Most branches stay near.
            Some(s) if !absolute && s.holds_old(target) => {
                Target::Inside(target.wrapping_sub(s.old).wrapping_add(s.new))
            }
            _ if absolute => self.address.relocate(target, &self.map),
            _ => AddressModel::relocate_offset(target, old_len, &self.map),
        };
        unit.source = match mapped {
            Target::Inside(_) => Source::Inside,
            Target::Near(_) => Source::Near,
            Target::External(_) => Source::External,
        };
        if absolute
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
        unit.key = hash(target, 98 + u32::from(absolute)) | 1;
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
            self.old.note_literal(at, site.target);
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
            let [o1, ..] = orders(w, (self.pos + i) & 1);
            // Those that help most come first.
            let contexts = [
                context(1, first, place),
                o1,
                context(6, first, so_far ^ i << 28),
                context(2, first | old << 8 | second << 16, class << 2 | all_hit),
                context(0, unit.displacement, result ^ i << 28),
                context(10, place, misses << 1 | all_hit),
                context(4, first | c1 << 8 | all_hit << 16, class),
                context(5, first | after << 8, i | all_hit << 4),
            ];
            let confidence = (all_hit << 5 | u32::from(i + 1 == len) << 4 | misses.min(3) << 2 | (len - 1)) as u8;
            let name = |byte: u32, class: u8| Expert { byte: u8::try_from(byte).ok(), class };
            let experts = [name(first, confidence), name(second, confidence), name(old, class as u8)];
            let gate = (i << 3 | all_hit << 2 | misses.min(3)) as usize;
            // What an expert predicted needs fewer contexts than what nobody did.
            let contexts = &contexts[..self.contexts / 2];
            let situation = Situation { contexts, experts: &experts, table: 0, gate };
            let byte = self.bytes.code(
                coder,
                memory(&mut self.map, self.words, base_words(&self.base)).0,
                &situation,
                (actual >> (8 * i)) as u8,
            );
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
                if matches!(unit.source, Source::External | Source::Neighbour) {
                    self.neighbours.learn(site.target - tag, actual.wrapping_sub(tag));
                }
            }
            _ => {
                if actual == unit.first && unit.trust.is_none() {
                    return;
                }
                // What has been rebuilt before the unit, and the unit.
                let mut bytes = [0; 12];
                bytes[..8].copy_from_slice(&self.recent.to_be_bytes());
                bytes[8..].copy_from_slice(&actual.to_le_bytes());
                let window = Window::new(&bytes[..8 + usize::from(site.len)], 8);
                let seen = unit.isa.site(&window, self.pos);
                if seen.kind == site.kind {
                    self.rewrites.learn(unit.key, seen.target);
                    if matches!(unit.source, Source::External | Source::Neighbour) && site.kind == Kind::AbsAddress {
                        self.neighbours.learn(site.target, seen.target);
                    }
                }
            }
        }
    }
}

/// The byte of the current halfword that is known, 256 when there is none, and the three halfwords before it.
#[inline]
fn halfwords(recent: u64, pos: u32) -> (u32, [u32; 3]) {
    let half = pos & 1;
    let h = if half == 0 { recent } else { recent >> 8 };
    let part = if half == 0 { 256 } else { recent as u32 & 0xff };
    (part, [h as u32 & 0xffff, (h >> 16) as u32 & 0xffff, (h >> 32) as u32 & 0xffff])
}

/// The gate that mixing takes for a byte outside segments: by what a match says of it.
#[inline]
fn insertion_gate(matched: Option<(u8, u8)>, lane: u32) -> usize {
    let grade = matched.map_or(0, |(_, class)| 1 + (u32::from(class) % 20 / 6).min(2));
    (32 + lane * 4 + grade) as usize
}

/// Contexts of the last one to four bytes, which all bytes share.
fn orders(recent: u32, half: u32) -> [u32; 4] {
    [
        context(17, recent & 0xff, half),
        context(18, recent & 0xffff, half),
        context(19, recent & 0xff_ffff, 0),
        context(20, recent, 0),
    ]
}

/// A coder that codes nothing: whoever is driven by it only learns.
struct Teacher;

impl Coder for Teacher {
    fn code(&mut self, bit: u32, _: u32) -> u32 {
        bit
    }
}
