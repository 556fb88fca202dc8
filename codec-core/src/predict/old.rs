//! The old image as the predictor reads it: a window that moves, and which words are literals.

use crate::Error;
use crate::reloc::address::AddressModel;
use crate::reloc::{Kind, WINDOW_AFTER, WINDOW_BEFORE, Window};
use crate::storage::ReadAt;

/// Bytes kept of the old image.
const CACHE: usize = 128;
/// Bytes kept of the place that a match follows; a power of two.
const FAR: usize = 32;
/// How far back literal loads are looked for when a segment starts, bytes.
const RESCAN: u32 = 256;
/// Words ahead of the current place that can be marked.
const MARKS: u32 = 256;

/// The old image behind a small cache.
#[derive(Debug)]
pub(crate) struct OldImage<O> {
    source: O,
    len: u32,
    cache: [u8; CACHE],
    /// Bytes in the cache, and the place of the first.
    cached: usize,
    start: u32,
    /// Places whose windows lie in the cache.
    ready: u32,
    ready_len: u32,
    far: [u8; FAR],
    far_start: u32,
    far_end: u32,
    /// One bit a word, a ring: is the word at this offset loaded by a literal load?
    marks: [u32; (MARKS / 32) as usize],
    /// Place up to which literal loads have been followed; `u32::MAX` when nowhere.
    followed: u32,
}

impl<O> OldImage<O> {
    pub(crate) const fn new(source: O) -> Self {
        Self {
            source,
            len: 0,
            cache: [0; CACHE],
            cached: 0,
            start: 0,
            ready: 0,
            ready_len: 0,
            far: [0; FAR],
            far_start: 0,
            far_end: 0,
            marks: [0; 8],
            followed: 0,
        }
    }
}

impl<O: ReadAt> OldImage<O> {
    /// Starts over; `len` bytes of the source are the old image.
    pub(crate) fn start(&mut self, len: u32) {
        self.len = len;
        (self.ready_len, self.far_start, self.far_end) = (0, 0, 0);
        self.marks = [0; 8];
        self.followed = u32::MAX;
    }

    pub(crate) fn storage(&mut self) -> &mut O {
        &mut self.source
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The window around `at`, which lies inside the image.
    #[inline]
    pub(crate) fn window(&mut self, at: u32) -> Result<Window<'_>, Error> {
        if at.wrapping_sub(self.ready) >= self.ready_len {
            self.move_to(at)?;
        }
        Ok(Window::new(&self.cache[..self.cached], (at - self.start) as usize))
    }

    /// Reads what the window around `at` needs, and as much behind it as fits.
    #[inline(never)]
    fn move_to(&mut self, at: u32) -> Result<(), Error> {
        let start = at.saturating_sub(WINDOW_BEFORE as u32);
        let end = (start + CACHE as u32).min(self.len);
        // Nothing is ready should the source fail.
        self.ready_len = 0;
        self.cached = (end - start) as usize;
        self.source.read_at(start, &mut self.cache[..self.cached])?;
        self.start = start;
        self.ready = if start == 0 { 0 } else { at };
        let ready_end = if end == self.len { end } else { end - WINDOW_AFTER as u32 + 1 };
        self.ready_len = ready_end - self.ready;
        Ok(())
    }

    /// The byte at `at`, for a sweep through the whole image.
    pub(crate) fn scan(&mut self, at: u32) -> Result<u8, Error> {
        Ok(self.window(at)?.u8(0).unwrap_or(0))
    }

    /// The byte at `at`, which lies inside the image, through a cache of its own.
    pub(crate) fn byte(&mut self, at: u32) -> Result<u8, Error> {
        if at < self.far_start || at >= self.far_end {
            let start = at & !(FAR as u32 - 1);
            let end = (start + FAR as u32).min(self.len);
            self.source.read_at(start, &mut self.far[..(end - start) as usize])?;
            (self.far_start, self.far_end) = (start, end);
        }
        Ok(self.far[(at - self.far_start) as usize])
    }

    fn mark(&mut self, offset: u32) {
        let word = offset / 4 % MARKS;
        self.marks[(word / 32) as usize] |= 1 << (word % 32);
    }

    /// Whether the word at `offset` is the target of a literal load that has been passed.
    pub(crate) fn is_literal(&self, offset: u32) -> bool {
        let word = offset / 4 % MARKS;
        offset & 3 == 0 && self.marks[(word / 32) as usize] >> (word % 32) & 1 != 0
    }

    /// Notes a literal load at `at` of the word at `target` (an offset).
    pub(crate) fn note_literal(&mut self, at: u32, target: u32) {
        if target > at && target - at < 4 * (MARKS - 1) && target & 3 == 0 {
            self.mark(target);
        }
    }

    /// To be called when `at..at + len` has been passed.
    pub(crate) fn pass(&mut self, at: u32, len: u32) {
        // Forget the words passed, so that the ring can be used again.
        let mut word = at / 4;
        while word < (at + len) / 4 {
            let slot = word % MARKS;
            self.marks[(slot / 32) as usize] &= !(1 << (slot % 32));
            word += 1;
        }
        self.followed = at + len;
    }

    /// Whether there is no old image.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// To be called before a segment that starts at `at` and is too short to look back for.
    pub(crate) fn enter_blind(&mut self, at: u32) {
        if self.followed != at {
            self.marks = [0; 8];
            self.followed = at;
        }
    }

    /// To be called before a segment that starts at `at`: finds the literal loads that stand shortly before it.
    pub(crate) fn enter(&mut self, at: u32, address: &AddressModel) -> Result<(), Error> {
        if self.followed == at || address.is_plain() {
            return Ok(());
        }
        self.marks = [0; 8];
        let mut here = at.saturating_sub(RESCAN) & !3;
        while here < at {
            if self.is_literal(here) {
                self.pass(here, 4);
                here += 4;
                continue;
            }
            // Offsets serve as addresses: literal loads are relative to the PC.
            let (isa, room) = address.isa_at(here);
            let site = isa.site_at(&self.window(here)?, here);
            if site.kind == Kind::Literal {
                self.note_literal(here, site.target);
            }
            let len = u32::from(site.len).min(room);
            self.pass(here, len);
            here += len;
        }
        self.followed = at;
        Ok(())
    }
}
