//! Plans updates for devices with one slot.

use std::collections::BTreeMap;

use codec_core::container::v2::Header;
use codec_core::decoder::{Rebuild, Status};
use codec_core::limits;
use codec_core::predict::MAX_STEP;
use update_core::Error as Refusal;
use update_core::inplace::mover::scratch_len;
use update_core::inplace::script::{Block, Scripter, Sink};
use update_core::inplace::steps::Steps;
use update_core::inplace::{MAX_RUNS, Plan, Run};

use super::order;
use crate::codec::{self, CodecError, Options};
use crate::fit::encode::with_big_stack;

/// What the flash of a device with one slot is like, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Blocks that are replaced at once: a multiple of the erase size.
    pub block: u32,
    /// Length of the scratch region.
    pub scratch: u32,
    /// The flash's write size.
    pub write_size: u32,
    /// The flash's erase size.
    pub erase_size: u32,
}

/// What a step takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Bytes of its container.
    pub container: usize,
    /// Bytes of its plan.
    pub plan: usize,
    /// Bytes of its script.
    pub script: u32,
    /// Bytes of scratch.
    pub scratch: u32,
    /// Blocks of the image, and those of them that are replaced.
    pub blocks: (u32, u32),
}

/// Most steps of an update.
const MAX_STEPS: usize = 64;

/// A unit of the new image: how many bytes, and what to add to their offset to find their like in the old one.
type Unit = (usize, u32);

/// The units in which a device rebuilds `new`.
fn trace(container: &[u8], old: &[u8]) -> Result<Vec<Unit>, codec_core::Error> {
    with_big_stack(|| {
        let mut decoder = Box::new(limits::Host::new(old));
        let (mut rest, mut units, mut unit) = (container, Vec::new(), [0; MAX_STEP]);
        loop {
            let (step, shift) = decoder.trace(rest, &mut unit)?;
            rest = &rest[step.consumed..];
            if step.written > 0 {
                units.push((step.written, shift));
            }
            match step.status {
                Status::Done => return Ok(units),
                Status::NeedInput if rest.is_empty() => Rebuild::finish(&*decoder)?,
                _ => {}
            }
        }
    })
}

/// Counts what a script takes, block by block.
#[derive(Default)]
struct Counted(Vec<Block>);

impl Sink for Counted {
    fn push(&mut self, _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }

    fn end_block(&mut self, block: Block) -> Result<(), Refusal> {
        self.0.push(block);
        Ok(())
    }
}

fn script(plan: &Plan, old: &[u8], new: &[u8], units: &[Unit]) -> Result<Vec<Block>, Refusal> {
    let mut scripter = Scripter::new(plan, old.len() as u32, new.len() as u32);
    let (mut counted, mut at, mut old) = (Counted::default(), 0, old);
    for &(len, shift) in units {
        scripter.take(&mut old, &new[at..at + len], shift, &mut counted)?;
        at += len;
    }
    Ok(counted.0)
}

/// Bytes that each new block copies from other blocks.
fn needs(old: &[u8], new: &[u8], units: &[Unit], block: usize) -> order::Needs {
    let mut needs = vec![BTreeMap::new(); new.len().div_ceil(block)];
    let mut at = 0usize;
    for &(len, shift) in units {
        for place in at..at + len {
            let source = (place as u32).wrapping_add(shift) as usize;
            if old.get(source) == Some(&new[place]) && source / block != place / block {
                *needs[place / block].entry(source / block).or_default() += 1;
            }
        }
        at += len;
    }
    needs
}

/// A step, and where the operations of each of its blocks end.
struct Step {
    plan: Plan,
    container: Vec<u8>,
    blocks: Vec<Block>,
}

impl Step {
    fn scratch(&self, room: &Room) -> Option<u32> {
        scratch_len(&self.plan, room.write_size, room.erase_size)
    }

    /// Bytes on the air.
    fn len(&self) -> usize {
        self.container.len() + self.plan.emit().len()
    }

    fn no_room(&self, room: &Room) -> CodecError {
        let (requested, limit) = (self.scratch(room).unwrap_or(u32::MAX), room.scratch);
        Refusal::NoRoom { region: "scratch", requested, limit }.into()
    }

    fn fits(&self, room: &Room) -> bool {
        self.scratch(room).is_some_and(|len| len <= room.scratch)
    }
}

/// The step from `old` to `new` whose order makes the shortest script.
fn step(new: &[u8], old: &[u8], room: &Room, options: &Options<'_>) -> Result<Step, CodecError> {
    let container = codec::compress(new, (!old.is_empty()).then_some(old), options)?.bytes;
    // An old image that the container does not name, the device does not look at.
    let (header, _) = Header::parse(&container)?;
    let old = if header.old.is_some() { old } else { &[] };
    let units = trace(&container, old)?;
    let n = new.len().div_ceil(room.block as usize);
    let last = u16::try_from(n.saturating_sub(1)).map_err(|_| CodecError::TooLarge {
        what: "the new file in blocks",
        len: n as u64,
        limit: 1 << 16,
    })?;
    let mut orders = vec![vec![Run { first: 0, last }], vec![Run { first: last, last: 0 }]];
    let planned = order::runs(&order::greedy(&needs(old, new, &units, room.block as usize)));
    if planned.len() <= MAX_RUNS {
        orders.push(planned);
    }
    let mut best: Option<Step> = None;
    for runs in orders {
        let mut plan = Plan::new(room.block, 0, &runs, new.len() as u32)?;
        let blocks = script(&plan, old, new, &units)?;
        plan.script_len = blocks.last().map_or(0, |block| block.end);
        // A longer plan must pay for itself on the air, not only in scratch.
        if best.as_ref().is_none_or(|best| plan.script_len < best.plan.script_len) {
            best = Some(Step { plan, container: container.clone(), blocks });
        }
    }
    best.ok_or_else(|| CodecError::Internal("no order at all".into()))
}

/// The payload of an update in place, and what its steps take.
///
/// # Errors
/// Those of [`codec::compress`]; [`CodecError::Release`] when the scratch region is too small for any step.
pub fn payload(
    new: &[u8],
    old: &[u8],
    room: &Room,
    options: &Options<'_>,
) -> Result<(Vec<u8>, Vec<StepReport>), CodecError> {
    if room.erase_size == 0 || room.write_size == 0 || room.block == 0 || !room.block.is_multiple_of(room.erase_size) {
        return Err(Refusal::Layout { region: "block", found: room.block, limit: room.erase_size }.into());
    }
    let first = step(new, old, room, options)?;
    let steps = if first.fits(room) {
        vec![first]
    } else {
        let cuts = [Cut::Planned, Cut::Upwards].map(|cut| several(new, old, &first, cut, room, options));
        let [a, b] = cuts;
        match (a, b) {
            (Ok(a), Ok(b)) => {
                let len = |steps: &[Step]| steps.iter().map(Step::len).sum::<usize>();
                if len(&b) < len(&a) { b } else { a }
            }
            (Ok(steps), Err(_)) | (Err(_), Ok(steps)) => steps,
            (Err(error), Err(_)) => return Err(error),
        }
    };
    let mut payload = vec![steps.len() as u8];
    let mut reports = Vec::new();
    for step in &steps {
        let plan = step.plan.emit();
        payload.extend_from_slice(&plan);
        payload.extend_from_slice(&step.container);
        reports.push(StepReport {
            container: step.container.len(),
            plan: plan.len(),
            script: step.plan.script_len,
            scratch: step.scratch(room).unwrap_or(u32::MAX),
            blocks: (step.plan.blocks(), step.blocks.iter().filter(|block| !block.unchanged).count() as u32),
        });
    }
    Ok((payload, reports))
}

/// The containers of an update's steps; at least one.
///
/// # Errors
/// [`CodecError::Refused`], [`CodecError::Release`] when `payload` is none of an update in place.
pub fn containers(payload: &[u8]) -> Result<Vec<&[u8]>, CodecError> {
    let from = |at: u32| payload.get(at as usize..).unwrap_or_default();
    let read = |at, buf: &mut [u8]| {
        let have = buf.len().min(from(at).len());
        buf[..have].copy_from_slice(&from(at)[..have]);
        Ok(have)
    };
    let mut steps = Steps::new(read, 0)?;
    let (mut containers, mut rest) = (Vec::new(), payload);
    while let Some(place) = steps.advance()? {
        let (need, have) = (place.container_len.into(), from(place.container).len() as u64);
        let container;
        (container, rest) = from(place.container)
            .split_at_checked(place.container_len as usize)
            .ok_or(codec_core::Error::Truncated { field: "payload", need, have })?;
        containers.push(container);
    }
    if !rest.is_empty() {
        return Err(codec_core::Error::OutOfRange { field: "payload", found: rest.len() as u64, limit: 0 }.into());
    }
    Ok(containers)
}

/// Which blocks go into the first of several steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Those that come first in the plan of the whole change: what the others need stays.
    Planned,
    /// The lowest: there is one seam only between what is new and what is old.
    Upwards,
}

/// Steps that each fit the scratch region; `whole` is the change in one, which does not.
fn several(
    new: &[u8],
    old: &[u8],
    whole: &Step,
    cut: Cut,
    room: &Room,
    options: &Options<'_>,
) -> Result<Vec<Step>, CodecError> {
    let (first, mut current) = partial(new, old, whole, cut, room, options)?;
    let mut steps = vec![first];
    while steps.len() < MAX_STEPS {
        let rest = step(new, &current, room, options)?;
        if rest.fits(room) {
            steps.push(rest);
            return Ok(steps);
        }
        let (some, image) = partial(new, &current, &rest, cut, room, options)?;
        steps.push(some);
        current = image;
    }
    Err(whole.no_room(room))
}

/// A step that replaces as many blocks as the scratch region has room for, and the image that it makes.
fn partial(
    new: &[u8],
    current: &[u8],
    whole: &Step,
    cut: Cut,
    room: &Room,
    options: &Options<'_>,
) -> Result<(Step, Vec<u8>), CodecError> {
    let block = room.block as usize;
    // Where the script of the whole change says that the room ends; then less and less.
    let fixed = whole.scratch(room).unwrap_or(u32::MAX).saturating_sub(whole.plan.script_len);
    let mut budget = room.scratch.saturating_sub(fixed);
    while budget > 0 {
        let (mut image, mut used, mut changed) = (current.to_vec(), 0, false);
        for place in 0..whole.plan.blocks() {
            let number = match cut {
                Cut::Planned => whole.plan.block_at(place).map_or(place as usize, usize::from),
                Cut::Upwards => place as usize,
            };
            let before = number.checked_sub(1).map_or(0, |before| whole.blocks[before].end);
            used += whole.blocks[number].end - before;
            if used > budget {
                break;
            }
            let (start, end) = (number * block, ((number + 1) * block).min(new.len()));
            if image.len() < end {
                image.resize(end, 0xff);
            }
            changed |= image[start..end] != new[start..end];
            image[start..end].copy_from_slice(&new[start..end]);
        }
        if !changed {
            break;
        }
        let step = step(&image, current, room, options)?;
        if step.fits(room) {
            return Ok((step, image));
        }
        budget = budget / 4 * 3;
    }
    Err(whole.no_room(room))
}
