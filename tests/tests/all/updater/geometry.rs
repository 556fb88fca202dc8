//! A whole update with power cuts on flashes of all sizes.

use std::cell::RefCell;

use host_trainer::release::in_place::Room;
use tests::flash::Torn;
use tests::rig;
use update_core::flash::{Layout, Region, Slots};

use super::{Device, images};

/// Power cuts of each geometry and layout, spread over the update.
const CUTS: u64 = 60;

fn region(at: &mut u32, least: u32, erase: u32) -> Region {
    let region = Region { offset: *at, len: least.next_multiple_of(erase) };
    *at += region.len;
    region
}

fn cuts<const W: usize, const E: usize, const R: usize>(layout: Layout, room: Option<Room>) {
    let (old, new) = images();
    let update = rig::update(new, Some(old), 2, room);
    let whole = Device::<W, E, R>::new(layout, old);
    whole.drive(&update).unwrap_or_else(|error| panic!("{W}, {E}, {R}: {error}"));
    whole.runs(2, new);
    let operations = whole.flash.borrow().operations;
    let first = Device::<W, E, R>::new(layout, old).flash.into_inner();
    for i in 0..operations.min(CUTS) {
        let number = i * operations / operations.min(CUTS);
        let torn = Torn::ALL[(i % 4) as usize];
        let place = format!("{W}, {E}, {R}: {number} of {operations}, {torn:?}");
        let device = Device { flash: RefCell::new(first.clone()), layout };
        device.flash.borrow_mut().cut_at(number, torn, i);
        let _ = device.drive(&update);
        assert!(device.flash.borrow().is_off(), "{place}");
        device.flash.borrow_mut().restart();
        let (version, image) = device.start().image.unwrap_or_else(|| panic!("{place}: nothing boots"));
        assert!(version == 1 && image == old || version == 2 && image == new, "{place}: {version}");
        device.drive(&update).unwrap_or_else(|error| panic!("{place}: {error}"));
        device.runs(2, new);
    }
}

fn run<const W: usize, const E: usize, const R: usize>(blocks: &[u32]) {
    let erase = E as u32;
    let half = Layout::HALF.next_multiple_of(erase);
    let mut at = 0;
    let state = region(&mut at, 2 * half, erase);
    let download = region(&mut at, 8 * 1024, 1024u32.next_multiple_of(erase));
    let below = at;
    let slots = [region(&mut at, 5000, erase), region(&mut at, 5000, erase)];
    cuts::<W, E, R>(Layout { state, download, slots: Slots::Two(slots) }, None);
    for &block in blocks {
        at = below;
        let slot = region(&mut at, 5000, erase);
        let directory = (32 * W as u32).next_multiple_of(erase);
        let scratch = region(&mut at, 2 * block + directory + 4096, erase);
        let room = Room { block, scratch: scratch.len, write_size: W as u32, erase_size: erase };
        cuts::<W, E, R>(Layout { state, download, slots: Slots::One { slot, scratch } }, Some(room));
    }
}

#[test]
fn bytes() {
    run::<1, 128, 1>(&[512]);
    run::<1, 256, 2>(&[256, 1024]);
    run::<1, 4096, 1>(&[4096]);
}

#[test]
fn words() {
    run::<4, 128, 4>(&[128]);
    run::<4, 512, 64>(&[1024]);
    run::<4, 1024, 3>(&[2048]);
    run::<4, 65536, 1>(&[65536]);
}

#[test]
fn double_words() {
    run::<8, 1024, 8>(&[1024]);
    run::<8, 2048, 1>(&[2048, 8192]);
}

#[test]
fn lines() {
    run::<16, 2048, 16>(&[2048]);
    run::<16, 4096, 4>(&[4096]);
    run::<32, 128, 32>(&[1024]);
    run::<32, 8192, 1>(&[8192]);
}

#[test]
fn pages() {
    run::<256, 256, 1>(&[512]);
    run::<256, 4096, 1>(&[4096]);
    run::<256, 65536, 64>(&[65536]);
    run::<264, 2112, 1>(&[2112, 4224]);
    run::<264, 264, 8>(&[528]);
}

#[test]
fn pages_that_records_hardly_fit() {
    run::<512, 512, 1>(&[512]);
    run::<512, 1024, 1>(&[1024]);
}
