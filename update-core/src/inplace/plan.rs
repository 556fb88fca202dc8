//! The order in which blocks are replaced.

use codec_core::Error as E;

use crate::{Error, word};

/// Most runs of a plan.
pub const MAX_RUNS: usize = 64;

/// Blocks that are replaced one after the other, upwards or downwards, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first one replaced.
    pub first: u16,
    /// The last one replaced.
    pub last: u16,
}

impl Run {
    fn len(self) -> u32 {
        u32::from(self.first.abs_diff(self.last)) + 1
    }

    fn holds(self, block: u16) -> bool {
        (self.first.min(self.last)..=self.first.max(self.last)).contains(&block)
    }
}

/// How one step of an update in place is done. It stands before the step's container.
///
/// | offset | bytes | field | meaning | limit |
/// |---|---|---|---|---|
/// | 0 | 4 | `block` | bytes of a block: a multiple of the flash's erase size | |
/// | 4 | 4 | `script_len` | bytes of the script that the step makes | |
/// | 8 | 1 | `n_runs` | | 64 |
/// | 9 | 4 `n_runs` | `runs` | number of the first and of the last block, u16 each | |
///
/// The runs hold each block of the new image once. Integers are little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of a block.
    pub block: u32,
    /// Bytes of the script.
    pub script_len: u32,
    runs: heapless::Vec<Run, MAX_RUNS>,
    /// Blocks in all.
    blocks: u32,
}

/// What one step of an update in place changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which order.
    pub plan: Plan,
    /// Bytes of the old image; 0 where the container does without.
    pub old_len: u32,
    /// Bytes of the new image.
    pub new_len: u32,
    /// Whether no step follows.
    pub is_last: bool,
}

impl Plan {
    /// Bytes before the runs.
    pub const HEAD_LEN: usize = 9;
    /// Longest plan, bytes.
    pub const MAX_LEN: usize = Self::HEAD_LEN + 4 * MAX_RUNS;

    /// A plan for a new image of `new_len` bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the runs do not hold each block once.
    pub fn new(block: u32, script_len: u32, runs: &[Run], new_len: u32) -> Result<Self, Error> {
        let too_many = E::OutOfRange { field: "n_runs", found: runs.len() as u64, limit: MAX_RUNS as u64 };
        let runs = heapless::Vec::from_slice(runs).map_err(|_| too_many)?;
        if block == 0 {
            return Err(E::OutOfRange { field: "block", found: 0, limit: u32::MAX.into() }.into());
        }
        let blocks = new_len.div_ceil(block);
        let plan = Self { block, script_len, runs, blocks };
        let held: u64 = plan.runs.iter().map(|run| u64::from(run.len())).sum();
        if held != u64::from(blocks) {
            return Err(E::OutOfRange { field: "runs", found: held, limit: blocks.into() }.into());
        }
        for (i, run) in plan.runs.iter().enumerate() {
            let last = run.first.max(run.last);
            let twice = plan.runs[..i].iter().any(|other| {
                other.first.min(other.last) <= last && run.first.min(run.last) <= other.first.max(other.last)
            });
            if twice || u32::from(last) >= blocks {
                return Err(E::OutOfRange { field: "runs", found: last.into(), limit: blocks.into() }.into());
            }
        }
        Ok(plan)
    }

    /// Bytes of the plan whose first [`Plan::HEAD_LEN`] bytes are `head`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for too many runs.
    pub fn len_of(head: &[u8; Self::HEAD_LEN]) -> Result<usize, Error> {
        let runs = usize::from(head[8]);
        if runs > MAX_RUNS {
            return Err(E::OutOfRange { field: "n_runs", found: runs as u64, limit: MAX_RUNS as u64 }.into());
        }
        Ok(Self::HEAD_LEN + 4 * runs)
    }

    /// Reads a plan for a new image of `new_len` bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field.
    pub fn parse(bytes: &[u8], new_len: u32) -> Result<Self, Error> {
        let have = bytes.len() as u64;
        let head = bytes.first_chunk().ok_or(E::Truncated { field: "plan", need: Self::HEAD_LEN as u64, have })?;
        let len = Self::len_of(head)?;
        let runs = bytes.get(Self::HEAD_LEN..len).ok_or(E::Truncated { field: "runs", need: len as u64, have })?;
        let mut list = heapless::Vec::<Run, MAX_RUNS>::new();
        for run in runs.chunks_exact(4) {
            // `len_of` has checked their number.
            let _ = list.push(Run { first: word(&run[..2]) as u16, last: word(&run[2..]) as u16 });
        }
        Self::new(word(&head[..4]), word(&head[4..8]), &list, new_len)
    }

    /// The plan's bytes.
    pub fn emit(&self) -> heapless::Vec<u8, { Self::MAX_LEN }> {
        let mut out = heapless::Vec::new();
        // Never longer than MAX_LEN: there are at most MAX_RUNS runs.
        let _ = out.extend_from_slice(&self.block.to_le_bytes());
        let _ = out.extend_from_slice(&self.script_len.to_le_bytes());
        let _ = out.push(self.runs.len() as u8);
        for run in &self.runs {
            let _ = out.extend_from_slice(&run.first.to_le_bytes());
            let _ = out.extend_from_slice(&run.last.to_le_bytes());
        }
        out
    }

    /// The runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Blocks of the new image.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// The block that is replaced as number `place`, from 0.
    pub fn block_at(&self, mut place: u32) -> Option<u16> {
        for run in &self.runs {
            if place < run.len() {
                // Less than the run's length, which counts u16 numbers.
                let steps = place as u16;
                return Some(if run.first <= run.last { run.first + steps } else { run.first - steps });
            }
            place -= run.len();
        }
        None
    }

    /// When `block` is replaced; `None` when it is not part of the new image, and so never.
    pub fn place_of(&self, block: u32) -> Option<u32> {
        let block = u16::try_from(block).ok()?;
        let mut before = 0;
        for run in &self.runs {
            if run.holds(block) {
                return Some(before + u32::from(run.first.abs_diff(block)));
            }
            before += run.len();
        }
        None
    }

    /// Whether the old block `from` is still there when the new block `to` is assembled.
    pub fn keeps(&self, from: u32, to: u32) -> bool {
        match (self.place_of(from), self.place_of(to)) {
            (Some(from), Some(to)) => from >= to,
            (None, _) => true,
            (_, None) => false,
        }
    }
}
