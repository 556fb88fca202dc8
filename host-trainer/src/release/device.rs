//! What a kind of device is like: one file that `gmcf release` and `gmcf flash` read.

use std::cell::RefCell;

use codec_core::container::digest::Id;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use serde::{Deserialize, Serialize};
use update_core::Error as Refusal;
use update_core::flash::Layout;
use update_core::keys::{KEY_LEN, Keys};
use update_core::record::{Image, Journal, Record};
use update_core::updater::least_buffer;

use super::in_place::Room;
use crate::codec::Profile;

/// A kind of device. Sizes are bytes; the regions follow each other from the start of the flash on: `state`,
/// `download`, then two slots, or `scratch` and one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Product number, which updates are signed for.
    pub product: u32,
    /// Profile of its decoder: `tiny`, `small`, `medium` or `host`.
    pub profile: String,
    /// Bytes that the flash writes at least.
    pub write_size: u32,
    /// Bytes that it erases at least.
    pub erase_size: u32,
    /// The progress record's region.
    pub state: u32,
    /// The region that an update is received in.
    pub download: u32,
    /// The scratch region; with it, the device has one slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<u32>,
    /// Each slot.
    pub slot: u32,
    /// Bytes that are replaced at once in place; the erase size where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
}

/// Write sizes that `gmcf flash` lays records down for, bytes.
pub const WRITE_SIZES: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

impl Device {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let device: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        device.profile()?;
        if !WRITE_SIZES.contains(&device.write_size) {
            return Err(format!("`write_size` is {}; {WRITE_SIZES:?} are known", device.write_size));
        }
        if device.erase_size == 0 || !device.erase_size.is_multiple_of(device.write_size) {
            return Err(format!("`erase_size` is {}, no multiple of `write_size`", device.erase_size));
        }
        let total = device.flash_len();
        let total = u32::try_from(total).map_err(|_| format!("the regions have {total} bytes, the limit is 4 GiB"))?;
        device.layout().check_sizes(total, device.erase_size, device.write_size).map_err(|error| error.to_string())?;
        Ok(device)
    }

    /// Bytes of all regions.
    pub fn flash_len(&self) -> u64 {
        let slots = if self.scratch.is_some() { 1 } else { 2 };
        [self.state, self.download, self.scratch.unwrap_or(0)].into_iter().map(u64::from).sum::<u64>()
            + slots * u64::from(self.slot)
    }

    /// The decoder's profile.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn profile(&self) -> Result<Profile, String> {
        let known = Profile::ALL.into_iter().find(|profile| profile.name() == self.profile);
        known.ok_or_else(|| format!("`profile` is `{}`; tiny, small, medium and host are known", self.profile))
    }

    /// Where the regions lie.
    pub fn layout(&self) -> Layout {
        match self.scratch {
            None => Layout::two(self.state, self.download, self.slot),
            Some(scratch) => Layout::one(self.state, self.download, scratch, self.slot),
        }
    }

    /// What planning an update in place needs; `None` with two slots.
    pub fn room(&self) -> Option<Room> {
        let block = self.block.unwrap_or(self.erase_size);
        let (write_size, erase_size) = (self.write_size, self.erase_size);
        self.scratch.map(|scratch| Room { block, scratch, write_size, erase_size })
    }

    /// The content of a flash with version `version` of `image` and the keys that the device trusts.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`] for an image that is longer than a slot.
    pub fn lay_down(&self, image: &[u8], version: u32, keys: [[u8; KEY_LEN]; 2]) -> Result<Vec<u8>, Refusal> {
        let layout = self.layout();
        let slot = layout.slot(0);
        let len = u32::try_from(image.len()).unwrap_or(u32::MAX);
        if len > slot.len || len == 0 {
            return Err(Refusal::NoRoom { region: "slot", requested: len, limit: slot.len });
        }
        let mut content = vec![0xff; self.flash_len() as usize];
        content[slot.offset as usize..][..image.len()].copy_from_slice(image);
        let first = Record::first(Image { len, version, id: Id::of(image) }, Keys { sequence: 0, slots: keys });
        self.with_flash(content, Format { layout: &layout, first })
    }

    /// The progress record in `content`; `None` when it holds none.
    ///
    /// # Errors
    /// [`Refusal::Layout`] when `content` is too short.
    pub fn record(&self, content: Vec<u8>) -> Result<Option<Record>, Refusal> {
        self.with_flash(content, Read { layout: &self.layout() })
    }

    fn with_flash<W: Work>(&self, content: Vec<u8>, work: W) -> Result<W::Out, Refusal> {
        match self.write_size {
            1 => work.run(Memory::<1>(content)),
            2 => work.run(Memory::<2>(content)),
            4 => work.run(Memory::<4>(content)),
            8 => work.run(Memory::<8>(content)),
            16 => work.run(Memory::<16>(content)),
            32 => work.run(Memory::<32>(content)),
            64 => work.run(Memory::<64>(content)),
            128 => work.run(Memory::<128>(content)),
            256 => work.run(Memory::<256>(content)),
            512 => work.run(Memory::<512>(content)),
            found => Err(Refusal::Layout { region: "write_size", found, limit: 512 }),
        }
    }
}

/// Something to do with a flash of any write size.
trait Work {
    type Out;

    fn run<const W: usize>(self, memory: Memory<W>) -> Result<Self::Out, Refusal>;
}

struct Format<'a> {
    layout: &'a Layout,
    first: Record,
}

impl Work for Format<'_> {
    type Out = Vec<u8>;

    fn run<const W: usize>(self, memory: Memory<W>) -> Result<Vec<u8>, Refusal> {
        let flash = RefCell::new(memory);
        let mut buffer = vec![0; least_buffer::<Memory<W>>()];
        Journal::format(&flash, self.layout, self.first, &mut buffer)?;
        Ok(flash.into_inner().0)
    }
}

struct Read<'a> {
    layout: &'a Layout,
}

impl Work for Read<'_> {
    type Out = Option<Record>;

    fn run<const W: usize>(self, memory: Memory<W>) -> Result<Option<Record>, Refusal> {
        let flash = RefCell::new(memory);
        Ok(Journal::open(&flash, self.layout)?.map(|journal| *journal.record()))
    }
}

/// A flash in memory. What it holds does not depend on the erase size.
struct Memory<const WRITE: usize>(Vec<u8>);

impl<const WRITE: usize> ErrorType for Memory<WRITE> {
    type Error = NorFlashErrorKind;
}

impl<const WRITE: usize> Memory<WRITE> {
    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let from = from as usize;
        self.0.get_mut(from..from + len).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl<const WRITE: usize> ReadNorFlash for Memory<WRITE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(self.part(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl<const WRITE: usize> NorFlash for Memory<WRITE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = WRITE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.part(from, (to - from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.part(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}
