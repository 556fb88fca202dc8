//! A NOR flash that can lose its power at any operation, wear out and rot.

use std::sync::mpsc::SyncSender;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Why the flash refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The place or length is not what the flash takes.
    NotAligned,
    /// The place lies outside.
    OutOfBounds,
    /// The word has been written since it was erased.
    WrittenTwice,
    /// The word was being written when the power failed, and its check bits are wrong.
    Unreadable,
    /// The part takes neither writing nor erasing any more.
    Worn,
    /// There is no power.
    Off,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// What a word holds that was being written, or a block that was being erased, when the power failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// Anything.
    Noise,
    /// What it held before: the operation had not begun.
    Before,
    /// What it was to hold: the operation was over, and nobody knows.
    After,
    /// Anything, and reading it fails: flash with check bits.
    Unreadable,
}

impl Torn {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Noise, Self::Before, Self::After, Self::Unreadable];
}

/// A flash as it is after the power failed and came back.
#[derive(Clone, Debug)]
pub struct Fork<const WRITE: usize, const ERASE: usize, const READ: usize> {
    /// Number of the operation in which the power failed.
    pub number: u64,
    /// What was left.
    pub torn: Torn,
    /// The flash.
    pub flash: SimFlash<WRITE, ERASE, READ>,
}

/// Who wants to know what a power cut at each operation leaves.
#[derive(Clone, Debug)]
pub struct Forks<const WRITE: usize, const ERASE: usize, const READ: usize> {
    /// Where the forks go.
    pub to: SyncSender<Fork<WRITE, ERASE, READ>>,
    /// Ways in which the operation of a number is torn.
    pub ways: fn(u64) -> Vec<Torn>,
}

/// A flash of `WRITE`, `ERASE` and `READ` bytes at once, write-once between erases.
#[derive(Clone, Debug)]
pub struct SimFlash<const WRITE: usize, const ERASE: usize, const READ: usize = 1> {
    bytes: Vec<u8>,
    /// Whether each word has been written since it was erased.
    written: Vec<bool>,
    unreadable: Vec<bool>,
    /// Whether any word may be unreadable: most reads need not look.
    any_unreadable: bool,
    /// Erasing and writing calls since the start.
    pub operations: u64,
    /// Words written and blocks erased since the start.
    pub wear: (u64, u64),
    /// The operation at which the power fails, how, and a seed.
    cut: Option<(u64, Torn, u64)>,
    off: bool,
    /// Parts of the flash that must not change: start and end.
    pub forbidden: Vec<(u32, u32)>,
    /// Parts that take neither writing nor erasing any more: start and end.
    pub worn: Vec<(u32, u32)>,
    /// Bits that turn over just before an operation: its number, the bit.
    pub rots: Vec<(u64, usize)>,
    /// Told what a power cut at each operation leaves.
    pub forks: Option<Forks<WRITE, ERASE, READ>>,
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    /// An erased flash.
    pub fn new(len: usize) -> Self {
        assert!(len.is_multiple_of(ERASE) && ERASE.is_multiple_of(WRITE));
        Self {
            bytes: vec![0xff; len],
            written: vec![false; len / WRITE],
            unreadable: vec![false; len / WRITE],
            any_unreadable: false,
            operations: 0,
            wear: (0, 0),
            cut: None,
            off: false,
            forbidden: Vec::new(),
            worn: Vec::new(),
            rots: Vec::new(),
            forks: None,
        }
    }

    /// Lets the power fail in operation number `operation`, counted from 0 from the start.
    pub fn cut_at(&mut self, operation: u64, torn: Torn, seed: u64) {
        self.cut = Some((operation, torn, seed));
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Switches the power on again; it stays on.
    pub fn restart(&mut self) {
        (self.off, self.cut) = (false, None);
    }

    /// Writes whatever the flash held before; for factories.
    pub fn lay_down(&mut self, offset: usize, content: &[u8]) {
        self.bytes[offset..offset + content.len()].copy_from_slice(content);
        self.written[offset / WRITE..(offset + content.len()).div_ceil(WRITE)].fill(true);
    }

    /// The content of a part.
    pub fn content(&self, offset: u32, len: usize) -> &[u8] {
        &self.bytes[offset as usize..offset as usize + len]
    }

    /// Turns one bit over.
    pub fn rot(&mut self, bit: usize) {
        self.bytes[bit / 8] ^= 1 << (bit % 8);
    }

    /// Makes the word at `place` unreadable: two rotten bits on flash with check bits.
    pub fn spoil(&mut self, place: usize) {
        self.unreadable[place / WRITE] = true;
        self.any_unreadable = true;
    }

    /// Length, bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn place(&self, from: u32, to: u32, unit: usize) -> Result<(usize, usize), Fault> {
        let (from, to) = (from as usize, to as usize);
        if from > to || to > self.bytes.len() {
            return Err(Fault::OutOfBounds);
        }
        if !from.is_multiple_of(unit) || !to.is_multiple_of(unit) {
            return Err(Fault::NotAligned);
        }
        for &(start, end) in &self.forbidden {
            assert!(to <= start as usize || end as usize <= from, "{from}..{to} must not be touched");
        }
        if self.worn.iter().any(|&(start, end)| from < end as usize && (start as usize) < to) {
            return Err(Fault::Worn);
        }
        Ok((from, to))
    }

    /// Tells what a power cut in the operation that comes next would leave.
    fn fork(&mut self, operation: impl Fn(&mut Self) -> Result<(), Fault>) {
        let Some(forks) = self.forks.take() else { return };
        let number = self.operations;
        for torn in (forks.ways)(number) {
            let mut flash = self.clone();
            flash.cut_at(number, torn, number * 4 + torn as u64);
            let _ = operation(&mut flash);
            flash.restart();
            // Nobody listens any more when a test has failed.
            let _ = forks.to.send(Fork { number, torn, flash });
        }
        self.forks = Some(forks);
    }

    /// Counts an operation. `Some` when the power fails in it.
    fn operate(&mut self) -> Result<Option<(Torn, u64)>, Fault> {
        if self.off {
            return Err(Fault::Off);
        }
        let number = self.operations;
        self.operations += 1;
        for i in 0..self.rots.len() {
            if self.rots[i].0 == number {
                self.rot(self.rots[i].1);
            }
        }
        match self.cut {
            Some((at, torn, seed)) if at == number => {
                self.off = true;
                Ok(Some((torn, seed)))
            }
            _ => Ok(None),
        }
    }
}

/// The next number of a generator: 32 bits.
pub fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 32
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ErrorType for SimFlash<WRITE, ERASE, READ> {
    type Error = Fault;
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> ReadNorFlash for SimFlash<WRITE, ERASE, READ> {
    const READ_SIZE: usize = READ;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.off {
            return Err(Fault::Off);
        }
        let end = offset as usize + bytes.len();
        let source = self.bytes.get(offset as usize..end).ok_or(Fault::OutOfBounds)?;
        if !(offset as usize).is_multiple_of(READ) || !bytes.len().is_multiple_of(READ) {
            return Err(Fault::NotAligned);
        }
        if self.any_unreadable && self.unreadable[offset as usize / WRITE..end.div_ceil(WRITE)].contains(&true) {
            return Err(Fault::Unreadable);
        }
        bytes.copy_from_slice(source);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> NorFlash for SimFlash<WRITE, ERASE, READ> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        let (from, to) = self.place(from, to, ERASE)?;
        self.fork(|flash| flash.erase(from as u32, to as u32));
        let cut = self.operate()?;
        let (mut end, mut torn) = (to, None);
        if let Some((how, mut seed)) = cut {
            // Some blocks are erased, one is in between, the rest is as it was.
            let blocks = ((to - from) / ERASE).max(1);
            end = from + random(&mut seed) as usize % blocks * ERASE;
            torn = Some((end.min(to - ERASE.min(to - from)), how, seed));
        }
        self.bytes[from..end].fill(0xff);
        self.written[from / WRITE..end / WRITE].fill(false);
        self.unreadable[from / WRITE..end / WRITE].fill(false);
        self.wear.1 += ((end - from) / ERASE) as u64;
        let Some((block, how, mut seed)) = torn else { return Ok(()) };
        let words = block / WRITE..(block + ERASE).min(self.bytes.len()) / WRITE;
        match how {
            Torn::Before => {}
            Torn::After => {
                self.bytes[block..block + ERASE].fill(0xff);
                self.written[words.clone()].fill(false);
                self.unreadable[words].fill(false);
            }
            // Weak cells: whatever it reads as, it cannot be written to.
            Torn::Noise | Torn::Unreadable => {
                for byte in &mut self.bytes[block..block + ERASE] {
                    *byte |= random(&mut seed) as u8;
                }
                self.written[words.clone()].fill(true);
                self.unreadable[words].fill(how == Torn::Unreadable);
                self.any_unreadable |= how == Torn::Unreadable;
            }
        }
        Err(Fault::Off)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let (from, to) = self.place(offset, offset + bytes.len() as u32, WRITE)?;
        self.fork(|flash| flash.write(offset, bytes));
        let cut = self.operate()?;
        let mut words = (to - from) / WRITE;
        if let Some((_, seed)) = cut {
            let mut seed = seed;
            words = random(&mut seed) as usize % words.max(1);
        }
        for (i, word) in bytes.chunks_exact(WRITE).enumerate().take(words) {
            self.write_word(from + i * WRITE, word)?;
        }
        let Some((how, mut seed)) = cut else { return Ok(()) };
        if let Some(word) = bytes.chunks_exact(WRITE).nth(words) {
            let place = from + words * WRITE;
            match how {
                Torn::Before => {}
                Torn::After => self.write_word(place, word)?,
                Torn::Noise | Torn::Unreadable => {
                    for byte in &mut self.bytes[place..place + WRITE] {
                        // Half of the time it still looks erased.
                        *byte = if seed % 2 == 0 { 0xff } else { random(&mut seed) as u8 };
                    }
                    self.written[place / WRITE] = true;
                    self.unreadable[place / WRITE] = how == Torn::Unreadable;
                    self.any_unreadable |= how == Torn::Unreadable;
                }
            }
        }
        Err(Fault::Off)
    }
}

impl<const WRITE: usize, const ERASE: usize, const READ: usize> SimFlash<WRITE, ERASE, READ> {
    fn write_word(&mut self, place: usize, word: &[u8]) -> Result<(), Fault> {
        let written = &mut self.written[place / WRITE];
        if *written {
            return Err(Fault::WrittenTwice);
        }
        *written = true;
        self.wear.0 += 1;
        // A bit that has rotted since the word was erased stays so.
        self.bytes[place..place + WRITE].iter_mut().zip(word).for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }
}
