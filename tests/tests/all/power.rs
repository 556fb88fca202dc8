//! The power fails at every flash operation of an update; the device boots the old image or the new one, whole, and a
//! retry finishes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use host_trainer::release::Release;
use host_trainer::release::in_place::Room;
use tests::data::pair_named;
use tests::flash::{Fork, Forks, SimFlash, Torn};
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
fn ways(number: u64) -> Vec<Torn> {
    vec![Torn::Noise, [Torn::Before, Torn::After, Torn::Unreadable][number as usize % 3]]
}

/// Cuts the power at every operation of the update, and tries it again. Returns how many cuts there were.
fn cut_everywhere(layout: Layout, old: &[u8], new: &[u8], update: &Release) -> usize {
    let (to, forks) = sync_channel::<Fork<WRITE, ERASE, 1>>(4);
    // The workers own it: when all have failed, nobody waits for them.
    let forks = Arc::new(Mutex::new(forks));
    let cuts = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
            .map(|_| {
                let (forks, cuts) = (Arc::clone(&forks), &cuts);
                scope.spawn(move || {
                    loop {
                        let fork = forks.lock().expect("no other worker has failed").recv();
                        let Ok(Fork { number, torn, flash }) = fork else { break };
                        retry(flash, &layout, old, new, update, &format!("{number} {torn:?}"));
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        drop(forks);
        let mut flash: Flash = factory(layout, old);
        flash.forks = Some(Forks { to, ways });
        let flash = RefCell::new(flash);
        let booted = drive(&flash, &layout, update).expect("an update without a power cut");
        assert!(booted == Booted { image: Some((2, new.to_vec())), trial: true }, "{booted:?}");
        // The workers end when nobody can send any more.
        drop(flash);
        for worker in workers {
            worker.join().expect("every cut is survived");
        }
    });
    cuts.into_inner()
}

/// The power is back: the old image or the new one boots, and the update can be finished.
fn retry(flash: Flash, layout: &Layout, old: &[u8], new: &[u8], update: &Release, place: &str) {
    let flash = RefCell::new(flash);
    let booted = start(&flash, layout).unwrap_or_else(|error| panic!("{place}: {error}"));
    let (version, image) = booted.image.unwrap_or_else(|| panic!("{place}: nothing boots"));
    assert!(version == 1 && image == old || version == 2 && image == new, "{place}: version {version} is not whole");
    let booted = drive(&flash, layout, update).unwrap_or_else(|error| panic!("{place}, retry: {error}"));
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
