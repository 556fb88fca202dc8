//! Reads packs.

use std::collections::HashMap;
use std::ops::Range;

use super::{
    BLOCK_LOG2, HEADER_LEN, Index, MAGIC, MAX_INDEX, MAX_WHOLE, PackError, ReadRange, SilkPointer, Stored, VERSION,
    distinct, shipped,
};
use crate::base::Resident;
use crate::codec;
use crate::tree::{Digest, Entry, Tree, TreePath};

/// A content and where its containers stand.
struct Placed {
    digest: Digest,
    len: u64,
    /// Offset of the first container.
    start: u64,
    stored: Stored,
}

/// A pack whose index has been read.
pub struct Pack<R> {
    source: R,
    tree: Tree,
    contents: Vec<Placed>,
    numbers: HashMap<Digest, usize>,
    base: [u8; 16],
    /// The adapter's content; empty where there is none.
    adapter: Vec<u8>,
    block_log2: u8,
}

fn corrupt(what: &'static str) -> PackError {
    PackError::Corrupt { field: "index", what }
}

impl<R: ReadRange> Pack<R> {
    /// Reads header and index, and the adapter where there is one; nothing else.
    ///
    /// # Errors
    /// [`PackError`]: what is wrong with them. Their lengths are checked before memory is taken.
    pub fn open(source: R) -> Result<Self, PackError> {
        let header = fetch(&source, 0, HEADER_LEN)?;
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(PackError::Unknown { field: "magic" });
        }
        let [version, a, b, c, d] = rest else { return Err(PackError::Unknown { field: "version" }) };
        if *version != VERSION {
            return Err(PackError::Unknown { field: "version" });
        }
        let index_len = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        PackError::check("index_len", index_len, MAX_INDEX)?;
        let container = fetch(&source, HEADER_LEN, index_len)?;
        let bytes = codec::apply_within(&[&container], None, MAX_INDEX as u32, None)?;
        let (index, rest) =
            postcard::take_from_bytes::<Index>(&bytes).map_err(|_| corrupt("its fields cannot be read"))?;
        if !rest.is_empty() {
            return Err(corrupt("bytes follow its last field"));
        }
        let Index { entries, contents, base, adapter, block_log2 } = index;
        if !BLOCK_LOG2.contains(&block_log2) {
            let limit = u64::from(*BLOCK_LOG2.end());
            return Err(PackError::OutOfRange { field: "block_log2", found: block_log2.into(), limit });
        }
        let sorted = entries.windows(2).all(|pair| pair[0].path < pair[1].path);
        let tree = Tree::new(entries)?;
        if !sorted {
            return Err(corrupt("its entries are out of order"));
        }
        let mut pack =
            Self { source, tree, contents: Vec::new(), numbers: HashMap::new(), base, adapter: Vec::new(), block_log2 };
        pack.place(contents, HEADER_LEN + index_len + u64::from(adapter))?;
        if adapter > 0 {
            PackError::check("adapter", adapter.into(), MAX_WHOLE)?;
            let container = fetch(&pack.source, HEADER_LEN + index_len, adapter.into())?;
            pack.adapter = codec::apply_within(&[&container], None, MAX_WHOLE as u32, None)?;
            pack.resident(true)?;
        }
        Ok(pack)
    }

    /// Finds out where the containers stand.
    fn place(&mut self, contents: Vec<Stored>, mut at: u64) -> Result<(), PackError> {
        let distinct = distinct(&self.tree);
        if distinct.len() != contents.len() {
            return Err(corrupt("it has another number of contents than its tree"));
        }
        let alone: Vec<bool> = contents.iter().map(|stored| stored.like.is_none()).collect();
        for ((digest, len), stored) in distinct.iter().copied().zip(contents) {
            if len.div_ceil(1 << self.block_log2) != stored.blocks.len() as u64 {
                return Err(corrupt("a content has another number of blocks than its length says"));
            }
            if let Some(like) = stored.like {
                let other = distinct.get(like as usize).filter(|(_, len)| *len <= MAX_WHOLE);
                if other.is_none() || !alone.get(like as usize).copied().unwrap_or(false) {
                    return Err(corrupt("a content is like one that no other may be like"));
                }
            }
            self.numbers.insert(digest, self.contents.len());
            let start = at;
            at += stored.blocks.iter().map(|len| u64::from(*len)).sum::<u64>();
            self.contents.push(Placed { digest, len, start, stored });
        }
        Ok(())
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Pointers to all files, in the order of their paths.
    pub fn pointers(&self) -> Vec<SilkPointer> {
        let pointer = |entry: &Entry| {
            let (_, len, digest) = entry.file()?;
            let adapted = self.contents[*self.numbers.get(&digest)?].stored.adapted;
            Some(SilkPointer { path: entry.path.clone(), base: self.base, adapter: u32::from(adapted), len, digest })
        };
        self.tree.entries().iter().filter_map(pointer).collect()
    }

    /// The bytes `range` of the file at `path`. Only the blocks that hold them are read and decoded, and what these are
    /// coded against. What a range asks for beyond the file's end is not there.
    ///
    /// Each block is checked, and the whole content where all of it is read.
    ///
    /// # Errors
    /// [`PackError::NoFile`]; what is wrong with the blocks, or keeps them from being read.
    pub fn read(&self, path: &TreePath, range: Range<u64>) -> Result<Vec<u8>, PackError> {
        let digest = self.tree.get(path).and_then(Entry::file).map(|(_, _, digest)| digest);
        let number = digest.and_then(|digest| self.numbers.get(&digest).copied());
        let placed = &self.contents[number.ok_or_else(|| PackError::NoFile(path.clone()))?];
        let whole = match placed.stored.like {
            Some(like) => Some(self.decode(&self.contents[like as usize], 0..u64::MAX, None)?),
            None => None,
        };
        self.decode(placed, range, whole.as_deref())
    }

    fn decode(&self, placed: &Placed, range: Range<u64>, old: Option<&[u8]>) -> Result<Vec<u8>, PackError> {
        let (start, end) = (range.start.min(placed.len), range.end.min(placed.len));
        if start >= end {
            return Ok(Vec::new());
        }
        let block = 1_u64 << self.block_log2;
        let (first, last) = ((start / block) as usize, (end - 1) as usize / block as usize);
        let lens = &placed.stored.blocks;
        let offset = placed.start + lens[..first].iter().map(|len| u64::from(*len)).sum::<u64>();
        let resident = self.resident(placed.stored.adapted)?;
        let (mut offset, mut bytes) = (offset, Vec::new());
        for (number, &len) in (first as u64..).zip(&lens[first..=last]) {
            // A stored container has 39 bytes more than its content, at most.
            PackError::check("block", len.into(), block + 39)?;
            let container = fetch(&self.source, offset, len.into())?;
            let content = codec::apply_within(&[&container], old, block as u32, resident)?;
            if content.len() as u64 != block.min(placed.len - number * block) {
                return Err(PackError::WrongContent(placed.digest));
            }
            bytes.extend_from_slice(&content);
            offset += u64::from(len);
        }
        let skip = (start - first as u64 * block) as usize;
        bytes.drain(..skip);
        bytes.truncate((end - start) as usize);
        if end - start == placed.len && Digest::of(&bytes) != placed.digest {
            return Err(PackError::WrongContent(placed.digest));
        }
        Ok(bytes)
    }

    /// The base model with the adapter, for contents that take it; the codec finds models that ship by itself.
    fn resident(&self, adapted: bool) -> Result<Option<Resident<'_>>, PackError> {
        if !adapted {
            return Ok(None);
        }
        if self.adapter.is_empty() {
            return Err(corrupt("a content takes an adapter, and there is none"));
        }
        let base = shipped(&self.base).ok_or(PackError::Unknown { field: "base" })?;
        Ok(Some(Resident::with_adapter(base.file, &self.adapter)?))
    }
}

fn fetch(source: &impl ReadRange, offset: u64, len: u64) -> Result<Vec<u8>, PackError> {
    let bytes = source.read(offset, len).map_err(|source| PackError::Read { offset, len, source })?;
    if bytes.len() as u64 == len {
        Ok(bytes)
    } else {
        Err(PackError::Read { offset, len, source: std::io::ErrorKind::UnexpectedEof.into() })
    }
}
