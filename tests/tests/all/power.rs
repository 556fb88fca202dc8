//! The power fails at every flash operation of an update; the device boots the old image or the new one, whole, and a
//! retry finishes.

use std::cell::RefCell;
use std::thread;

use host_trainer::release::Release;
use host_trainer::release::in_place::Room;
use tests::data::pair_named;
use tests::flash::{SimFlash, Torn};
use tests::rig::{Booted, drive, factory, start, update};
use update_core::flash::Layout;

const WRITE: usize = 4;
const ERASE: usize = 4096;
type Flash = SimFlash<WRITE, ERASE>;

const STATE: u32 = 2 * 4096;
const DOWNLOAD: u32 = 16 * 4096;
const SLOT: u32 = 40 * 4096;
const SCRATCH: u32 = 20 * 4096;

/// Real updates: the family whose name starts so.
const PAIRS: [&str; 3] = ["fw-greatfet 2021", "fw-built-rust v2", "fw-espboot-c3 2.1.0"];

fn two() -> Layout {
    Layout::two(STATE, DOWNLOAD, SLOT)
}

fn one() -> Layout {
    Layout::one(STATE, DOWNLOAD, SCRATCH, SLOT)
}

fn room() -> Room {
    Room { block: ERASE as u32, scratch: SCRATCH, write_size: WRITE as u32, erase_size: ERASE as u32 }
}

/// Ways in which operation `number` is torn here: always noise, and the other three in turn.
fn ways(number: u64) -> [Torn; 2] {
    [Torn::Noise, [Torn::Before, Torn::After, Torn::Unreadable][number as usize % 3]]
}

/// Cuts the power at every operation of the update. Returns how many cuts there were.
fn cut_everywhere(layout: Layout, old: &[u8], new: &[u8], update: &Release) -> usize {
    let first: Flash = factory(layout, old);
    let whole = RefCell::new(first.clone());
    let booted = drive(&whole, &layout, update).expect("an update without a power cut");
    assert!(booted == Booted { image: Some((2, new.to_vec())), trial: true }, "{booted:?}");
    let operations = whole.borrow().operations;
    let cuts: Vec<(u64, Torn)> = (0..operations).flat_map(|n| ways(n).map(|torn| (n, torn))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (first, cuts) = (&first, &cuts);
            scope.spawn(move || {
                for &(number, torn) in cuts.iter().skip(worker).step_by(workers) {
                    let flash = RefCell::new(first.clone());
                    flash.borrow_mut().cut_at(number, torn, number * 4 + torn as u64);
                    cut(&flash, &layout, old, new, update, number + 1 == operations, &format!("{number} {torn:?}"));
                }
            });
        }
    });
    cuts.len()
}

/// The power fails, comes back, and the update is tried again.
fn cut(flash: &RefCell<Flash>, layout: &Layout, old: &[u8], new: &[u8], update: &Release, last: bool, place: &str) {
    let failed = drive(flash, layout, update);
    // The second copy of the last record may be missed.
    assert!(flash.borrow().is_off() && (failed.is_err() || last), "{place}: {failed:?}");
    flash.borrow_mut().restart();
    let booted = start(flash, layout).unwrap_or_else(|error| panic!("{place}: {error}"));
    let (version, image) = booted.image.unwrap_or_else(|| panic!("{place}: nothing boots"));
    assert!(version == 1 && image == old || version == 2 && image == new, "{place}: version {version} is not whole");
    let booted = drive(flash, layout, update).unwrap_or_else(|error| panic!("{place}, retry: {error}"));
    assert!(booted.image.is_some_and(|(_, image)| image == new), "{place}");
}

#[test]
fn two_slots() {
    for name in PAIRS {
        let pair = pair_named(name);
        let update = update(&pair.new, pair.old.as_deref(), 2, None);
        let cuts = cut_everywhere(two(), pair.old(), &pair.new, &update);
        println!("{}: {cuts} cuts, two slots", pair.name);
    }
}

#[test]
fn in_place() {
    for name in PAIRS {
        let pair = pair_named(name);
        let update = update(&pair.new, pair.old.as_deref(), 2, Some(room()));
        let whole = tests::rig::update(&pair.new, pair.old.as_deref(), 2, None);
        println!(
            "{}: {} bytes in place, {} for two slots, {:?}",
            pair.name,
            update.bytes.len(),
            whole.bytes.len(),
            update.steps
        );
        let cuts = cut_everywhere(one(), pair.old(), &pair.new, &update);
        println!("{}: {cuts} cuts, in place", pair.name);
    }
}
