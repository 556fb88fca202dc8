//! Match model: what followed the last time the same bytes stood here, in the old image or in the new file.

use super::old::OldImage;
use super::rewrite::hash;
use crate::Error;
use crate::storage::ReadAt;

/// Bytes that must agree before a match is followed.
const LEAST: usize = 5;
/// Longest length told apart.
const LONGEST: u32 = 32;

/// An index of places and the match followed now.
#[derive(Clone, Debug)]
pub(crate) struct MatchModel<const HISTORY: usize, const INDEX: usize> {
    /// Place after the hashed bytes, plus one; 0 is empty. Places count through the old image and on into the new file.
    index: [u32; INDEX],
    /// The last bytes of the new file that stand outside every segment, and those before them, a ring.
    history: [u8; HISTORY],
    /// Bytes that went into the ring.
    written: u32,
    /// `history` is used modulo this, a power of two.
    history_len: u32,
    /// `2^index_log2` entries of the index are used.
    index_log2: u32,
    /// Place of the byte predicted next; 0 when no match is followed.
    place: u32,
    /// Bytes predicted rightly since the match was taken up, at most [`LONGEST`].
    length: u32,
    /// Mispredictions lately, one bit each.
    misses: u32,
}

impl<const HISTORY: usize, const INDEX: usize> MatchModel<HISTORY, INDEX> {
    pub(crate) const fn new() -> Self {
        let (index, history) = ([0; INDEX], [0; HISTORY]);
        Self { index, history, written: 0, history_len: 0, index_log2: 0, place: 0, length: 0, misses: 0 }
    }

    /// Starts over with `2^history_log2` bytes of history and `2^index_log2` entries.
    pub(crate) fn start(&mut self, history_log2: u32, index_log2: u32) {
        self.index.fill(0);
        self.history_len = 1 << history_log2;
        self.index_log2 = index_log2;
        self.written = 0;
        self.leave();
    }

    fn slot(&self, recent: u64) -> usize {
        (hash(recent as u32, (recent >> 32) as u32 & 0xff) >> (32 - self.index_log2)) as usize
    }

    /// Every `stride`th place of an old image of `len` bytes goes into the index.
    pub(crate) fn stride(&self, len: u32) -> u32 {
        (len >> self.index_log2).max(1)
    }

    /// Notes that `recent` ends before `place`.
    #[inline]
    pub(crate) fn note(&mut self, recent: u64, place: u32) {
        let slot = self.slot(recent);
        self.index[slot] = place + 1;
    }

    /// Appends a byte to the history.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.history[(self.written & (self.history_len - 1)) as usize] = byte;
        self.written = self.written.wrapping_add(1);
    }

    /// To be called where insertion starts: appends what stands before, so that matches there can be told.
    pub(crate) fn enter(&mut self, recent: u64) {
        recent.to_be_bytes().into_iter().for_each(|byte| self.push(byte));
    }

    fn byte<O: ReadAt>(&self, old: &mut OldImage<O>, place: u32) -> Result<Option<u8>, Error> {
        if place < old.len() {
            return old.byte(place).map(Some);
        }
        let at = place.wrapping_sub(old.len());
        let back = self.written.wrapping_sub(at);
        Ok((1..=self.history_len).contains(&back).then(|| self.history[(at & (self.history_len - 1)) as usize]))
    }

    /// Place of the byte that [`MatchModel::push`] appends next.
    pub(crate) fn here<O: ReadAt>(&self, old: &OldImage<O>) -> u32 {
        old.len().wrapping_add(self.written)
    }

    /// The byte predicted after `recent` and its confidence class (0..64), looking for a match when none is followed. Then
    /// notes, when `here` is a place, that `recent` ends before it: only then, or it would find itself.
    pub(crate) fn predict<O: ReadAt>(
        &mut self,
        old: &mut OldImage<O>,
        recent: u64,
        here: Option<u32>,
    ) -> Result<Option<(u8, u8)>, Error> {
        let slot = self.slot(recent);
        let candidate = self.index[slot];
        if let Some(here) = here {
            self.index[slot] = here.wrapping_add(1);
        }
        let open = self.place == 0 || self.length < 16;
        if open && candidate > LEAST as u32 && candidate - 1 != self.place {
            let candidate = candidate - 1;
            let mut agree = 0;
            while agree < LONGEST && agree < candidate && agree < 8 {
                let byte = self.byte(old, candidate - 1 - agree)?;
                if byte != Some((recent >> (8 * agree)) as u8) {
                    break;
                }
                agree += 1;
            }
            if agree >= LEAST as u32 && agree > self.length {
                (self.place, self.length, self.misses) = (candidate, agree, 0);
            }
        }
        if self.place == 0 {
            return Ok(None);
        }
        let Some(byte) = self.byte(old, self.place)? else {
            self.place = 0;
            return Ok(None);
        };
        let length = match self.length {
            0..=15 => self.length,
            16..=23 => 16,
            24..=31 => 17,
            _ => 18,
        };
        Ok(Some((byte, ((self.misses.count_ones().min(2)) * 20 + length) as u8)))
    }

    /// Tells the model the byte that came.
    pub(crate) fn follow(&mut self, predicted: Option<(u8, u8)>, byte: u8) {
        let Some((named, _)) = predicted else { return };
        self.place += 1;
        let miss = named != byte;
        self.misses = (self.misses << 1 | u32::from(miss)) & 0xffff;
        if miss {
            self.length = 0;
            if self.misses.count_ones() > 8 {
                self.place = 0;
            }
        } else {
            self.length = (self.length + 1).min(LONGEST);
        }
    }

    /// Gives the match up.
    pub(crate) fn leave(&mut self) {
        self.place = 0;
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was inserted is predicted when it comes again: a place must not be found under its own name.
    #[test]
    fn bytes_inserted_before_are_predicted() {
        let mut old = OldImage::new(&[][..]);
        old.start(0);
        let mut model = MatchModel::<256, 64>::new();
        model.start(8, 6);
        let noise: Vec<u8> = (0..100u32).map(|i| (hash(i, 7) >> 11) as u8).collect();
        let mut recent = 0;
        model.enter(recent);
        let mut right = [0; 2];
        for right in &mut right {
            for &byte in &noise {
                let here = Some(model.here(&old));
                let named = model.predict(&mut old, recent, here).unwrap();
                *right += usize::from(named.is_some_and(|(named, _)| named == byte));
                model.follow(named, byte);
                model.push(byte);
                recent = recent << 8 | u64::from(byte);
            }
        }
        assert!(right[0] < 10 && right[1] >= noise.len() - 2 * LEAST, "{right:?}");
    }
}
