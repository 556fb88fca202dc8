//! The memory of the simulated GPU, with what is known of every byte of it.

use std::collections::BTreeMap;

/// Alignment of an allocation, bytes.
const ALIGN: usize = 256;

/// Whether something is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A thread at a moment: between two barriers of its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) block: u32,
    pub(super) thread: u32,
    pub(super) epoch: u32,
}

impl Who {
    /// Whether what `other` did is ordered before what this thread does, or was done by it.
    fn after(self, other: Self) -> bool {
        self.block == other.block && (self.thread == other.thread || self.epoch > other.epoch)
    }
}

/// What is known of a piece of memory.
#[derive(Clone, Copy, Default)]
struct State {
    written: bool,
    /// Launch of the last accesses; what was done in an earlier one is ordered.
    launch: u32,
    writer: Option<Who>,
    reader: Option<Who>,
    /// A second reader, which is not the first.
    other_reader: Option<Who>,
}

impl State {
    fn access(&mut self, access: Access, who: Who, launch: u32) -> Result<(), String> {
        if self.launch != launch {
            *self = Self { written: self.written, launch, ..Self::default() };
        }
        if let Some(writer) = self.writer.filter(|writer| !who.after(*writer)) {
            let what = if access == Access::Read { "read" } else { "written" };
            return Err(format!(
                "{what} without a barrier after thread {} of block {} wrote",
                writer.thread, writer.block
            ));
        }
        match access {
            Access::Read if !self.written => return Err("read before anybody wrote".into()),
            Access::Read => match self.reader {
                Some(reader) if reader.thread != who.thread || reader.block != who.block => {
                    // Two places: the one that was overwritten is ordered before the new one, or as good as it.
                    self.other_reader = Some(reader);
                    self.reader = Some(who);
                }
                _ => self.reader = Some(who),
            },
            Access::Write => {
                for reader in [self.reader, self.other_reader].into_iter().flatten() {
                    if !who.after(reader) {
                        let Who { thread, block, .. } = reader;
                        return Err(format!("written without a barrier after thread {thread} of block {block} read"));
                    }
                }
                (self.written, self.writer, self.reader, self.other_reader) = (true, Some(who), None, None);
            }
        }
        Ok(())
    }
}

/// One allocation; `bytes` is longer than what was asked for, so that its start can be aligned.
struct Allocation {
    bytes: Vec<u8>,
    start: usize,
    states: Vec<State>,
}

/// Global memory: allocations of bytes that are known by their addresses.
#[derive(Default)]
pub struct Memory {
    allocations: BTreeMap<usize, Allocation>,
    launch: u32,
}

impl Memory {
    /// No memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allocates `len` bytes that nobody has written yet. Their address, aligned to 256.
    pub fn allocate(&mut self, len: usize) -> u64 {
        // What is in them is nothing that a kernel could mean.
        let bytes = vec![0xcd; len + ALIGN];
        let start = (bytes.as_ptr() as usize).next_multiple_of(ALIGN);
        let states = vec![State::default(); len];
        self.allocations.insert(start, Allocation { bytes, start, states });
        start as u64
    }

    /// Gives an allocation back; whether there was one.
    pub fn free(&mut self, address: u64) -> bool {
        self.allocations.remove(&(address as usize)).is_some()
    }

    /// Writes bytes from the host.
    ///
    /// # Errors
    /// A range that lies in no allocation.
    pub fn write(&mut self, address: u64, data: &[u8]) -> Result<(), String> {
        let (allocation, at) = self.find(address as usize, data.len())?;
        allocation.states[at..at + data.len()].iter_mut().for_each(|state| state.written = true);
        let offset = allocation.start - allocation.bytes.as_ptr() as usize;
        allocation.bytes[offset + at..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    /// Reads bytes to the host.
    ///
    /// # Errors
    /// A range that lies in no allocation, or that nobody wrote.
    pub fn read(&mut self, address: u64, data: &mut [u8]) -> Result<(), String> {
        let (allocation, at) = self.find(address as usize, data.len())?;
        if let Some(unwritten) = allocation.states[at..at + data.len()].iter().position(|state| !state.written) {
            return Err(format!("byte {} of {} was never written", at + unwritten, allocation.states.len()));
        }
        let offset = allocation.start - allocation.bytes.as_ptr() as usize;
        data.copy_from_slice(&allocation.bytes[offset + at..][..data.len()]);
        Ok(())
    }

    /// What was done before is ordered before all that follows.
    pub(super) fn begin_launch(&mut self) {
        self.launch += 1;
    }

    fn find(&mut self, at: usize, len: usize) -> Result<(&mut Allocation, usize), String> {
        let found = self.allocations.range_mut(..=at).next_back();
        let inside = found.filter(|(start, allocation)| at - **start + len <= allocation.states.len());
        inside
            .map(|(start, allocation)| (allocation, at - *start))
            .ok_or_else(|| format!("{len} bytes at {at:#x} are in no allocation"))
    }

    /// A kernel's access to `len` bytes.
    pub(super) fn access(&mut self, at: usize, len: usize, access: Access, who: Who) -> Result<(), String> {
        let launch = self.launch;
        if !at.is_multiple_of(len) {
            return Err(format!("{len} bytes of global memory at {at:#x} are not aligned"));
        }
        let (allocation, offset) = self.find(at, len).map_err(|what| format!("global memory: {what}"))?;
        let all = allocation.states.len();
        for (i, state) in allocation.states[offset..offset + len].iter_mut().enumerate() {
            state.access(access, who, launch).map_err(|what| format!("global byte {} of {all}: {what}", offset + i))?;
        }
        Ok(())
    }
}

/// Shared memory of a block.
pub(super) struct Shared {
    words: Vec<u32>,
    states: Vec<State>,
}

impl Shared {
    pub(super) fn new(bytes: u32) -> Self {
        let words = bytes as usize / 4;
        Self { words: vec![0xcdcd_cdcd; words], states: vec![State::default(); words] }
    }

    pub(super) fn access(&mut self, at: u32, words: u32, access: Access, who: Who) -> Result<(), String> {
        let (all, first) = (4 * self.words.len(), at as usize / 4);
        let states = self.states.get_mut(first..first + words as usize).filter(|_| at.is_multiple_of(4 * words));
        let Some(states) = states else {
            return Err(format!("{} shared bytes at {at} of {all}: out of range or not aligned", 4 * words));
        };
        for (i, state) in states.iter_mut().enumerate() {
            state.access(access, who, 0).map_err(|what| format!("shared byte {} of {all}: {what}", 4 * (first + i)))?;
        }
        Ok(())
    }

    pub(super) fn word(&self, at: u32) -> u32 {
        self.words[at as usize / 4]
    }

    pub(super) fn quad(&self, at: u32) -> [u32; 4] {
        std::array::from_fn(|i| self.words[at as usize / 4 + i])
    }

    pub(super) fn set(&mut self, at: u32, words: &[u32]) {
        self.words[at as usize / 4..][..words.len()].copy_from_slice(words);
    }
}
