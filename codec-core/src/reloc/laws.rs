//! What holds for every instruction set, checked on random code.

use super::{Isa, Kind, Site, WINDOW_AFTER, WINDOW_BEFORE, Window};

/// Places looked at per instruction set.
const PLACES: usize = 1_000_000;
/// Bytes of random code at a time: room for windows around several places.
const CODE: usize = 64;

/// Random units of `len` bytes that agree with `bits` where `mask` is set: code that holds more addresses than
/// chance would give.
pub(super) struct Template {
    pub len: usize,
    pub mask: u32,
    pub bits: u32,
}

/// Such units.
pub(super) const fn like(len: usize, mask: u32, bits: u32) -> Template {
    Template { len, mask, bits }
}

/// A unit that forms an address together with another one that names the same register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Half {
    pub high: bool,
    pub register: u32,
}

/// An instruction set under test.
pub(super) struct Subject<'a, I> {
    pub isa: I,
    pub templates: &'a [Template],
    /// What a unit is half of, by its bits. `None` if it holds its address alone.
    pub half: fn(u32) -> Option<Half>,
}

/// Xorshift, with its usual constants.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    /// A multiple of `step`: mostly near zero, sometimes anywhere.
    fn displacement(&mut self, step: u32) -> u32 {
        let near = [0xF, 0xFF, 0xFFFF, u32::MAX][self.below(4)];
        let value = (self.next() & near).wrapping_mul(step);
        if self.next() & 1 == 0 { value } else { value.wrapping_neg() }
    }

    fn code(&mut self, templates: &[Template]) -> [u8; CODE] {
        let mut code = [0; CODE];
        let mut at = 0;
        while at < CODE {
            let random = self.next();
            let (len, unit) = match templates.get(self.below(templates.len() * 5 / 4 + 1)) {
                Some(t) => (t.len, random & !t.mask | t.bits),
                None => (4, random),
            };
            for (to, from) in code[at..].iter_mut().zip(&unit.to_le_bytes()[..len]) {
                *to = *from;
            }
            at += len;
        }
        code
    }
}

impl<I: Isa> Subject<'_, I> {
    /// Checks all laws on a million places.
    pub(super) fn check(&self) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let align = self.isa.align();
        let (mut places, mut moved, mut pairs, mut astray) = (0, 0, 0, 0);
        while places < PLACES {
            let code = random.code(self.templates);
            let first = random.displacement(align);
            for centre in (WINDOW_BEFORE..CODE - WINDOW_AFTER).step_by(align as usize) {
                let pc = first.wrapping_add(centre as u32);
                self.near_only(&code, centre, pc);
                let from = random.below(centre + 1);
                let to = centre + 1 + random.below(CODE - centre);
                self.keeps_itself(&code[from..to], centre - from, pc);
                self.survives(&code[from..to], centre - from, &mut random);
                self.keeps_itself(&code, centre, pc ^ 1);
                let site = self.keeps_itself(&code, centre, pc);
                if site.kind != Kind::Plain {
                    let new_pc = pc.wrapping_add(random.displacement(align));
                    let near = new_pc.wrapping_sub(pc).wrapping_add(random.displacement(align));
                    let new_target = site.target.wrapping_add(near);
                    if (self.half)(word_at(&code, centre)).is_none() {
                        moved += usize::from(self.moves(code, centre, site, new_pc, new_target));
                    } else {
                        match self.moves_pair(&code, centre, pc, new_pc, new_target) {
                            Some(true) => pairs += 1,
                            Some(false) => astray += 1,
                            None => {}
                        }
                    }
                }
                places += 1;
            }
        }
        // Laws about nothing prove nothing.
        let expect_pairs = self.templates.iter().any(|t| (self.half)(t.bits).is_some());
        assert!(moved > PLACES / 50, "only {moved} places could be moved");
        assert!(!expect_pairs || pairs > PLACES / 100, "only {pairs} pairs could be moved");
        // Where lengths vary, the bytes of a new address may look like another instruction that fits better.
        assert!(astray <= pairs / 1000, "{astray} of {pairs} pairs refer to something else when moved");
    }

    /// A unit lies in its window and, where it stands, refers to what it refers to.
    fn keeps_itself(&self, code: &[u8], centre: usize, pc: u32) -> Site {
        let window = Window::new(code, centre);
        let site = self.isa.site(&window, pc);
        let (len, align) = (usize::from(site.len), self.isa.align() as usize);
        assert!((1..=4).contains(&len) && centre + len <= code.len(), "{site:?} in {code:02x?} at {centre}");
        assert!(len % align == 0 || centre + len == code.len(), "{site:?} in {code:02x?} at {centre}");
        assert!(site.kind != Kind::Plain || site.target == 0, "{site:?}");
        let same = self.isa.relocate(&window, &site, pc, site.target);
        assert_eq!(same, Some(low_bits(word_at(code, centre), len)), "{site:?} at {pc:#x} in {code:02x?} at {centre}");
        site
    }

    /// Bytes outside the window say nothing.
    fn near_only(&self, code: &[u8], centre: usize, pc: u32) {
        let clipped = &code[centre - WINDOW_BEFORE..centre + WINDOW_AFTER];
        let (whole, clipped) = (Window::new(code, centre), Window::new(clipped, WINDOW_BEFORE));
        let site = self.isa.site(&whole, pc);
        assert_eq!(site, self.isa.site(&clipped, pc), "{code:02x?} at {centre}");
        let move_in = |w: &Window<'_>| self.isa.relocate(w, &site, pc.wrapping_add(64), site.target.wrapping_add(4096));
        assert_eq!(move_in(&whole), move_in(&clipped), "{code:02x?} at {centre}");
    }

    /// No arguments, however senseless, cause a panic.
    fn survives(&self, code: &[u8], centre: usize, random: &mut Random) {
        let kind =
            [Kind::Plain, Kind::Call, Kind::Literal, Kind::PcAddress, Kind::AbsAddress, Kind::Pointer][random.below(6)];
        let site = Site { len: random.next() as u8, kind, target: random.next() };
        let _ = self.isa.relocate(&Window::new(code, centre), &site, random.next(), random.next());
    }

    /// A unit that could be moved refers to what was asked for.
    fn moves(&self, mut code: [u8; CODE], centre: usize, site: Site, new_pc: u32, new_target: u32) -> bool {
        let Some(bits) = self.isa.relocate(&Window::new(&code, centre), &site, new_pc, new_target) else {
            return false;
        };
        put(&mut code, centre, site, bits);
        let found = self.isa.site(&Window::new(&code, centre), new_pc);
        assert_eq!(found, Site { target: new_target, ..site }, "{bits:#x} at {new_pc:#x} in {code:02x?} at {centre}");
        true
    }

    /// Whether both halves of an address refer to what was asked for. `None` when they could not be moved.
    fn moves_pair(&self, code: &[u8; CODE], centre: usize, pc: u32, new_pc: u32, new_target: u32) -> Option<bool> {
        let site_at = |at: usize| {
            let at_pc = pc.wrapping_add(at as u32).wrapping_sub(centre as u32);
            self.isa.site(&Window::new(code, at), at_pc)
        };
        let site = site_at(centre);
        let half = (self.half)(word_at(code, centre))?;
        let other = Half { high: !half.high, ..half };
        let is_other = |at: usize| (self.half)(word_at(code, at)) == Some(other) && site_at(at) == site;
        let reach = WINDOW_AFTER - usize::from(site.len);
        let places = (centre - reach..=centre + reach).step_by(self.isa.align() as usize);
        let mut new_code = *code;
        let mut others = 0;
        for at in places.filter(|&at| at == centre || is_other(at)) {
            let at_pc = new_pc.wrapping_add(at as u32).wrapping_sub(centre as u32);
            let bits = self.isa.relocate(&Window::new(code, at), &site, at_pc, new_target)?;
            put(&mut new_code, at, site, bits);
            others += usize::from(at != centre);
        }
        let found = self.isa.site(&Window::new(&new_code, centre), new_pc);
        (others > 0).then_some(found == Site { target: new_target, ..site })
    }
}

/// Checks that `code` at address `base` holds exactly the addresses `expected`: (offset in bytes, kind, target).
pub(super) fn golden(isa: &impl Isa, base: u32, code: &[u8], expected: &[(usize, Kind, u32)]) {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let site = isa.site(&Window::new(code, at), base.wrapping_add(at as u32));
        if site.kind != Kind::Plain {
            found.push((at, site.kind, site.target));
        }
        at += usize::from(site.len);
    }
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "at {:#x}, expected {:#x}, found {:#x}", expected.0, expected.2, found.2);
    }
    assert_eq!(found.len(), expected.len(), "{found:x?}");
}

fn word_at(code: &[u8], at: usize) -> u32 {
    code[at..].iter().take(4).rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn low_bits(word: u32, bytes: usize) -> u32 {
    word & u32::MAX >> (32 - 8 * bytes)
}

fn put(code: &mut [u8; CODE], at: usize, site: Site, bits: u32) {
    let len = usize::from(site.len);
    assert_eq!(bits, low_bits(bits, len), "more than the unit");
    code[at..at + len].copy_from_slice(&bits.to_le_bytes()[..len]);
}
