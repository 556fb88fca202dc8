//! Bytes outside segments, with a base model beside the contexts.

use super::bytes::{Expert, Situation, context};
use super::{Rebuilder, halfwords, insertion_gate};
use crate::Error;
use crate::delta::map::Map;
use crate::entropy::Coder;
use crate::neural::Resident;
use crate::neural::coder::{Neural, WEIGHTS};
use crate::storage::ReadAt;

impl<O: ReadAt, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B: Resident>
    Rebuilder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    /// The weights of the base model's last stage as they stand now, `[gates, inputs]`, Q13; empty without a model.
    pub fn mix(&mut self) -> &[u16] {
        let (_, memory) = memory(&mut self.map, self.words, base_words(&self.base));
        memory.get(..WEIGHTS).unwrap_or(&[])
    }

    /// Shows the model the end of the old image, as much as it can remember.
    pub(super) fn show_old(&mut self) -> Result<(), Error> {
        let Some(reach) = self.base.active().map(Neural::reach) else { return Ok(()) };
        let (_, memory) = memory(&mut self.map, self.words, base_words(&self.base));
        let len = self.old.len();
        for at in len.saturating_sub(reach)..len {
            let byte = self.old.scan(at)?;
            self.base.work(|neural| neural.show(memory, byte));
        }
        Ok(())
    }

    /// To be called where insertion starts: the model takes in what stands before.
    #[inline]
    pub(super) fn enter_model(&mut self) {
        // Without a model, not even its memory is looked for.
        if self.base.active().is_none() {
            return;
        }
        let (_, memory) = memory(&mut self.map, self.words, base_words(&self.base));
        let (recent, known) = (self.recent, self.pos.min(8));
        self.base.work(|neural| neural.enter(memory, recent, known));
    }

    /// As [`Rebuilder::inserted`], with the base model beside the contexts.
    #[inline(never)]
    pub(super) fn modelled<C: Coder>(&mut self, coder: &mut C, byte: u8, matched: Option<(u8, u8)>) -> u8 {
        let (slots, memory) = memory(&mut self.map, self.words, base_words(&self.base));
        let (bytes, pos) = (&mut self.bytes, self.pos);
        let coded = self.base.work(|neural| {
            let features = neural.think(memory, pos);
            let text = neural.context();
            let (r, lane) = (text.recent(), pos & 3);
            let (w, c1) = (r as u32, r as u32 & 0xff);
            let row = features.rows.iter().max_by_key(|row| row.agree).copied().unwrap_or_default();
            let (named, length) = match matched {
                Some((byte, class)) => (u32::from(byte), u32::from(class)),
                None if row.agree > 0 => (u32::from(row.byte), 64 + u32::from(row.agree)),
                None => (256, 0),
            };
            let word = if text.word() == 0 { c1 } else { 0 };
            let (part, [h1, h2, _]) = halfwords(r, pos);
            let contexts = [
                context(16, named, length),
                context(17, c1, 0),
                context(18, w & 0xffff, 0),
                context(19, w & 0xff_ffff, 0),
                context(20, w, 0),
                context(21, w, (r >> 32) as u32 & 0xff),
                context(22, w, (r >> 32) as u32 & 0xffff),
                context(23, text.word(), word),
                context(24, text.word() ^ text.last_word().rotate_left(9), word),
                context(25, text.indent(), c1),
                context(26, u32::from(features.above) << 8 | c1, text.indent() & 1),
                context(27, w >> 8 & 0xffff, lane),
                context(28, w >> 24 | (w & 0xff00), lane),
                context(29, part << 16 | h2, lane & 1),
                context(30, part << 16 | h1 & 0xfe00, h2 & 0xfe00),
                context(31, u32::from(features.rows[0].byte) << 8 | u32::from(features.rows[3].byte), c1),
            ];
            let experts = [Expert { byte: matched.map(|m| m.0), class: matched.map_or(0, |m| m.1) }];
            let gate = insertion_gate(matched, lane);
            let situation = Situation { contexts: &contexts, experts: &experts, table: 3, gate };
            let byte = bytes.code_with(coder, slots, &situation, byte, &mut neural.mixing(memory));
            neural.push(memory, byte);
            byte
        });
        coded.unwrap_or(byte)
    }
}

/// Words of memory that the base model in use takes.
#[inline]
pub(super) fn base_words(base: &impl Resident) -> usize {
    base.active().map_or(0, Neural::words)
}

/// What the map leaves of the `words` that they share: the network's slots, and the last `base` words.
#[inline]
pub(super) fn memory<const WORDS: usize>(
    map: &mut Map<[u16; WORDS]>,
    words: usize,
    base: usize,
) -> (&mut [u16], &mut [u16]) {
    let idle = WORDS - words;
    let rest = map.rest();
    let len = rest.len() - idle;
    rest[..len].split_at_mut(len - base)
}
