//! Bits rot at any time, with and without a power cut. The device boots the old image or the new one, whole; or it
//! says that it has none, when the bit was one of the only whole image, and takes a whole update. `GMCF_ROT_SEEDS` is the
//! number of faults of each kind and layout.

use std::collections::BTreeMap;

use tests::flash::{Torn, random};
use update_core::record::State;

use super::{Device, Flash, Updates, images, moments, updates};

/// What became of the device before anything but the same update was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The new image runs after the update was sent again, if need be.
    New,
    /// The old image runs, and the update was refused: it needs another old image or the like.
    Old,
    /// Nothing to boot.
    Waits,
    /// No record at all.
    NoRecord,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    /// Operation before which each bit rots, and the bit.
    rots: [(u64, usize); 2],
    n_rots: usize,
    cut: Option<(u64, Torn)>,
}

fn seeds() -> u64 {
    std::env::var("GMCF_ROT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

/// Brings the fault about, and everything that follows.
fn suffer(updates: &Updates, first: &Flash, fault: &Fault, seed: u64) -> End {
    let (old, new) = images();
    let device = Device::of(first.clone(), updates.layout);
    {
        let mut flash = device.flash.borrow_mut();
        flash.rots = fault.rots[..fault.n_rots].to_vec();
        if let Some((at, torn)) = fault.cut {
            flash.cut_at(at, torn, seed);
        }
    }
    let right = |image: &Option<(u32, Vec<u8>)>| match image {
        Some((1 | 4, image)) => image == old,
        Some((2 | 3, image)) => image == new,
        Some(_) => false,
        None => true,
    };
    let mut end = End::Old;
    for _ in 0..4 {
        let driven = device.drive(&updates.delta);
        device.flash.borrow_mut().restart();
        let mut booted = match tests::rig::start(&device.flash, &updates.layout) {
            Ok(booted) => booted,
            Err(update_core::Error::NothingToBoot) => return End::NoRecord,
            Err(error) => panic!("seed {seed}, {fault:?}: {error}"),
        };
        // A bit may rot between the check of an image and its start; not again.
        if !right(&booted.image) {
            booted = device.start();
        }
        assert!(right(&booted.image), "seed {seed}, {fault:?}: {booted:?}");
        end = match booted.image {
            None => End::Waits,
            Some((2, _)) => End::New,
            Some(_) => End::Old,
        };
        if end == End::New && driven.is_ok() {
            break;
        }
    }
    // Whatever it was, a whole update helps. A trial that nobody confirmed ends first.
    for _ in 0..2 {
        if device.drive(&updates.whole).is_ok() {
            break;
        }
    }
    let booted = device.start();
    assert!(booted.image.is_some_and(|(v, image)| v == 3 && image == new), "seed {seed}, {fault:?}, {end:?}");
    end
}

/// Where bits rot: name of the region and whether a device may then have nothing to boot.
fn place(updates: &Updates, seed: &mut u64) -> (&'static str, usize) {
    let regions = updates.layout.regions();
    let (name, region) = regions[random(seed) as usize % regions.len()];
    // Most of it is in use; what is not tells little.
    let used = match name {
        "state" => region.len,
        "download" => 1024,
        "scratch" => region.len,
        _ => 4608,
    };
    (name, 8 * region.offset as usize + random(seed) as usize % (8 * used as usize))
}

fn sample(updates: &Updates, n_rots: usize, with_cut: bool) {
    let moments = moments(updates);
    let operations = moments.len() as u64;
    // The first operation at which blocks may have been replaced: the plan is needed from then on.
    let moving = moments.iter().position(|flash| {
        let device = Device::of(flash.clone(), updates.layout);
        device.state() == State::Moving
    });
    let first: Flash = Device::<4, 512, 1>::new(updates.layout, images().0).flash.into_inner();
    let mut counts: BTreeMap<(&str, End), u32> = BTreeMap::new();
    for number in 0..seeds() {
        let mut seed = number * 1000 + n_rots as u64 * 10 + u64::from(with_cut);
        random(&mut seed);
        let (name, bit) = place(updates, &mut seed);
        let (other, bit2) = place(updates, &mut seed);
        let mut at = || random(&mut seed) % operations;
        let rots = [(at(), bit), (at(), bit2)];
        let cut = with_cut.then(|| (at(), Torn::ALL[number as usize % 4]));
        let fault = Fault { rots, n_rots, cut };
        let end = suffer(updates, &first, &fault, number);
        let name = if n_rots == 1 || name == other { name } else { "two regions" };
        *counts.entry((name, end)).or_default() += 1;
        if n_rots > 1 {
            continue;
        }
        // What rots before is found when the script is read back, just before the state is recorded.
        let late = moving.is_some_and(|moving| rots[0].0 + 1 >= moving as u64);
        let may_wait = match name {
            "state" => false,
            // While blocks move, nothing of it is needed.
            "download" => false,
            "scratch" => late,
            "slot b" => false,
            _ => true,
        };
        assert!(end != End::NoRecord && (end != End::Waits || may_wait), "{number}: {fault:?} in {name}: {end:?}");
        assert!(end != End::Old || name.starts_with("slot"), "{number}: {fault:?} in {name}: {end:?}");
    }
    let kind = if updates.layout.slots.is_one() { "in place" } else { "two slots" };
    println!("{kind}, {n_rots} rotten bits, power cut: {with_cut}: {counts:?}");
}

#[test]
fn one_bit() {
    updates().iter().for_each(|updates| sample(updates, 1, false));
}

#[test]
fn one_bit_and_a_power_cut() {
    updates().iter().for_each(|updates| sample(updates, 1, true));
}

#[test]
fn two_bits() {
    updates().iter().for_each(|updates| sample(updates, 2, false));
}

#[test]
fn two_bits_and_a_power_cut() {
    updates().iter().for_each(|updates| sample(updates, 2, true));
}

/// While blocks move, the download is not needed; nor is the copy of the plan, while the download is there.
#[test]
fn either_plan_will_do() {
    let [_, one] = updates();
    let regions = one.layout.regions();
    let bits = |name: &str, len: usize| {
        let (_, region) = regions.iter().find(|(other, _)| *other == name).expect("a region of the layout");
        (8 * region.offset as usize..8 * (region.offset as usize + len)).step_by(64)
    };
    // All of the download; of the directory the entries before those of the blocks: two, and at least one of runs.
    let rotten = [bits("download", 8 * 1024), bits("scratch", 3 * 16)];
    let mut devices = 0;
    for flash in moments(one) {
        if Device::of(flash.clone(), one.layout).state() != State::Moving {
            continue;
        }
        for bits in &rotten {
            let mut flash = flash.clone();
            bits.clone().for_each(|bit| flash.rot(bit));
            Device::of(flash, one.layout).runs(2, images().1);
            devices += 1;
        }
    }
    assert!(devices > 20, "{devices}");
}
