//! Any plan, any hints, any script: what the scripter writes the mover turns into the new image, with power cuts; what
//! it did not write is refused or does harm inside the slot and the scratch area only.
//!
//! Input: lengths and choices, the old image, edits that make the new one, shifts, then a plan or a script.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tests::flash::{SimFlash, Torn};
use update_core::Error;
use update_core::flash::{Partition, Region, Writer, crc32};
use update_core::inplace::mover::{Mover, Scratch, ScriptWriter, scratch_len};
use update_core::inplace::script::{Block, Operations, Scripter, Sink};
use update_core::inplace::{Change, Plan, Run};

const WRITE: usize = 4;
const ERASE: usize = 32;
type Flash = SimFlash<WRITE, ERASE>;

const SLOT: Region = Region { offset: ERASE as u32, len: 64 * ERASE as u32 };
const SCRATCH: Region = Region { offset: SLOT.offset + SLOT.len + ERASE as u32, len: 256 * ERASE as u32 };
const LEN: usize = (SCRATCH.offset + SCRATCH.len) as usize + ERASE;

/// Input that is read from its start on; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let n = n.min(self.0.len());
        self.0.split_off(..n).unwrap_or(&[])
    }
}

#[derive(Default)]
struct Counted(u32);

impl Sink for Counted {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0 += bytes.len() as u32;
        Ok(())
    }

    fn end_block(&mut self, block: Block) -> Result<(), Error> {
        assert_eq!(block.end, self.0);
        Ok(())
    }
}

fn script(plan: &Plan, old: &[u8], new: &[u8], hints: &[(usize, u32)], sink: &mut impl Sink) -> u32 {
    let mut scripter = Scripter::new(plan, old.len() as u32, new.len() as u32);
    let (mut source, mut at) = (old, 0);
    let default = [(7, 0)];
    let hints = if hints.is_empty() { &default[..] } else { hints };
    for &(n, shift) in hints.iter().cycle() {
        let n = n.min(new.len() - at);
        scripter.take(&mut source, &new[at..at + n], shift, sink).expect("room for what was counted");
        at += n;
        if at == new.len() {
            break;
        }
    }
    let long = scripter.take(&mut source, &[0], 0, sink);
    assert!(long.is_err(), "more than the new image was taken");
    scripter.len()
}

fn any_plan(input: &mut Input<'_>, block: u32, new_len: u32) -> Plan {
    let blocks = new_len.div_ceil(block) as u16;
    let (up, down) = (|a, b| Run { first: a, last: b }, |a, b| Run { first: b, last: a });
    let at = input.word() % blocks;
    let runs = match (input.byte() % 6, at) {
        (0, _) | (1..=3, 0) => vec![up(0, blocks - 1)],
        (1, at) => vec![up(at, blocks - 1), down(0, at - 1)],
        (2, at) => vec![down(at, blocks - 1), up(0, at - 1)],
        (3, at) => vec![up(0, at - 1), down(at, blocks - 1)],
        (4, _) if usize::from(blocks) <= 64 => {
            // Any order.
            let mut left: Vec<u16> = (0..blocks).collect();
            let mut runs = Vec::new();
            while !left.is_empty() {
                let block = left.swap_remove(usize::from(input.byte()) % left.len());
                runs.push(up(block, block));
            }
            runs
        }
        _ => vec![down(0, blocks - 1)],
    };
    Plan::new(block, 0, &runs, new_len).expect("each block once")
}

fn flash(old: &[u8]) -> RefCell<Flash> {
    let mut flash = Flash::new(LEN);
    flash.lay_down(SLOT.offset as usize, old);
    let (slot, scratch) = (SLOT.offset, SCRATCH.offset);
    flash.forbidden = vec![(0, slot), (slot + SLOT.len, scratch), (scratch + SCRATCH.len, LEN as u32)];
    RefCell::new(flash)
}

fn right(input: &mut Input<'_>) {
    let old_len = 1 + usize::from(input.word()) % 1500;
    let mut old = input.bytes(old_len / 8 + 1).repeat(9);
    old.iter_mut().enumerate().for_each(|(i, byte)| *byte = byte.wrapping_add((i / 50) as u8));
    old.truncate(old_len);
    let mut new = old.clone();
    for _ in 0..input.byte() % 8 {
        let at = usize::from(input.word()) % (new.len() + 1);
        let end = (at + usize::from(input.byte())).min(new.len());
        match input.byte() & 3 {
            0 => drop(new.drain(at..end)),
            1 => drop(new.splice(at..at, input.bytes(30).iter().copied())),
            2 => new[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(3)),
            _ => {
                let part: Vec<_> = new.drain(at..end).collect();
                new.extend(part);
            }
        }
    }
    if new.is_empty() {
        new.push(0);
    }
    new.truncate(SLOT.len as usize);
    let hints: Vec<_> = (0..input.byte() % 16)
        .map(|_| {
            let n = 1 + usize::from(input.byte());
            // Near zero, or anything.
            let shift = if input.byte() & 7 == 0 { u32::from(input.word()) << 16 | 1 } else { 0 };
            (n, shift.wrapping_add(i32::from(input.word() as i16 >> (input.byte() & 15)) as u32))
        })
        .collect();
    let block = ERASE as u32 * [1, 1, 2, 3][usize::from(input.byte() & 3)];
    let mut plan = any_plan(input, block, new.len() as u32);
    let parsed = Plan::parse(&plan.emit(), new.len() as u32);
    assert_eq!(parsed.as_ref(), Ok(&plan));
    for place in 0..plan.blocks() {
        let block = plan.block_at(place).expect("a block for each place");
        assert_eq!(plan.place_of(block.into()), Some(place));
    }
    plan.script_len = script(&plan, &old, &new, &hints, &mut Counted::default());
    if scratch_len(&plan, WRITE as u32, ERASE as u32).is_none_or(|len| len > SCRATCH.len) {
        return;
    }
    let flash = flash(&old);
    let slot = Partition::new(&flash, SLOT);
    let scratch = Scratch::new(Partition::new(&flash, SCRATCH), &plan).expect("it fits");
    let mut buffer = vec![0; 20 + 4 * usize::from(input.byte())];
    let change = Change { plan, old_len: old.len() as u32, new_len: new.len() as u32, is_last: old.len() % 2 == 0 };
    let plan = &change.plan;
    let mut sink = ScriptWriter::new(scratch, &change, &mut buffer).expect("a buffer that is large enough");
    assert_eq!(script(plan, &old, &new, &hints, &mut sink), plan.script_len);
    sink.finish().expect("the script fits");
    assert_eq!(Scratch::change(Partition::new(&flash, SCRATCH)).as_ref(), Ok(&change));
    let mut done = 0;
    // The power fails up to three times; the last mark may be lost each time.
    for cut in 0..4 {
        if cut < 3 {
            let mut flash = flash.borrow_mut();
            let at = flash.operations + u64::from(input.word()) % 200;
            flash.cut_at(at, Torn::ALL[usize::from(input.byte() & 3)], at);
        }
        let mut marks = vec![done];
        let mover = Mover::new(slot, scratch, &change);
        let result = mover.run(done, &mut buffer, |mark| {
            marks.push(mark);
            Ok(())
        });
        let off = flash.borrow().is_off();
        flash.borrow_mut().restart();
        if !off {
            result.expect("the blocks are replaced");
            break;
        }
        let lost = usize::from(input.byte() & 1).min(marks.len() - 1);
        done = marks[marks.len() - 1 - lost];
    }
    assert!(flash.borrow().content(SLOT.offset, new.len()) == new);
}

/// What no device writes into the directory, with a right check.
fn any_entries(input: &mut Input<'_>, scratch: &Partition<'_, Flash>) {
    for place in 0..24 {
        let values: Vec<u8> = (0..3).flat_map(|_| [input.byte() & 65, 0, input.byte() & 3, 0]).collect();
        let mut crc = crc32();
        crc.update(&values);
        scratch.write(16 * place, &[&values[..], &crc.finalize().to_le_bytes()].concat()).expect("erased");
    }
}

fn wrong(input: &mut Input<'_>) {
    let new_len = u32::from(input.word()) % (SLOT.len + 40);
    let len = usize::from(input.byte());
    let parsed = Plan::parse(input.bytes(len), new_len);
    let block = ERASE as u32 * u32::from(1 + input.byte() % 3);
    let plan = match parsed {
        Ok(plan) => {
            assert_eq!(Plan::parse(&plan.emit(), new_len).as_ref(), Ok(&plan));
            plan
        }
        Err(_) if new_len == 0 => return,
        Err(_) => {
            let mut plan = any_plan(input, block, new_len);
            plan.script_len = input.word().into();
            plan
        }
    };
    let flash = flash(&[0x5a; 900]);
    let region = Partition::new(&flash, SCRATCH);
    any_entries(input, &region);
    let _ = Scratch::change(region);
    let Ok(scratch) = Scratch::new(region, &plan) else { return };
    // Entries of the directory with a right check, and any script.
    let mut buffer = vec![0; 64];
    let change = Change { plan, old_len: input.word().into(), new_len, is_last: true };
    if let Ok(mut sink) = ScriptWriter::new(scratch, &change, &mut buffer) {
        for _ in 0..input.byte() {
            let bytes = input.bytes(40);
            if sink.push(bytes).is_err() {
                break;
            }
            let block = Block { end: input.word().into(), crc: input.word().into(), unchanged: input.byte() & 7 == 0 };
            if sink.end_block(block).is_err() {
                break;
            }
        }
        let _ = sink.finish();
    }
    let rest = input.0;
    let mut at = 0;
    let mut operations = Operations::new();
    while operations
        .next(|| {
            at += 1;
            rest.get(at - 1).copied().ok_or(Error::NothingToBoot)
        })
        .is_ok()
    {}
    let mover = Mover::new(Partition::new(&flash, SLOT), scratch, &change);
    let _ = mover.run(u32::from(input.byte()) / 8, &mut buffer, |_| Ok(()));
    let mut small = [0; 3];
    assert!(Writer::new(Partition::new(&flash, SLOT), 0, &mut small).is_err());
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    if input.byte() & 3 == 0 { wrong(&mut input) } else { right(&mut input) }
});
