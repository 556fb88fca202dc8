//! Layouts and buffers that cannot be, by name.

use std::cell::RefCell;

use codec_core::limits::Small;
use tests::flash::SimFlash;
use tests::rig::{config, factory, send, start};
use update_core::Error;
use update_core::flash::{Layout, Region, Slots};
use update_core::updater::{Updater, least_buffer};

use super::{Device, Flash, ONE, TWO, images, updates};

const K: u32 = 1024;

fn check(layout: &Layout, len: u32) -> Result<(), Error> {
    layout.check(&Flash::new(len as usize))
}

#[test]
fn wrong_layouts_are_named() {
    assert_eq!(check(&TWO, 26 * K), Ok(()));
    assert_eq!(check(&ONE, 23 * K), Ok(()));
    let region = |offset, len| Region { offset, len };
    let refused = |layout: Layout, len: u32, name: &str, what: (u32, u32)| {
        let Err(Error::Layout { region, found, limit }) = check(&layout, len) else { panic!("{layout:?}") };
        assert_eq!((region, (found, limit)), (name, what), "{layout:?}");
    };
    let two = |a, b| Layout { slots: Slots::Two([a, b]), ..TWO };
    // Outside.
    refused(TWO, 25 * K + 512, "slot b", (8 * K, 25 * K + 512));
    refused(ONE, 22 * K, "slot", (8 * K, 22 * K));
    refused(Layout { download: region(100 * K, K), ..TWO }, 26 * K, "download", (K, 26 * K));
    refused(Layout { download: region(u32::MAX - 511, K), ..TWO }, 26 * K, "download", (K, 26 * K));
    // Not on erase blocks.
    refused(Layout { state: region(4, 2 * K), ..TWO }, 26 * K, "state", (4, 512));
    refused(Layout { state: region(0, 2 * K + 4), ..TWO }, 26 * K, "state", (2 * K + 4, 512));
    refused(two(region(10 * K + 256, 2 * K), region(18 * K, K)), 26 * K, "slot a", (10 * K + 256, 512));
    // Without anything.
    refused(Layout { download: region(2 * K, 0), ..TWO }, 26 * K, "download", (0, 512));
    // Over one another.
    refused(Layout { download: region(K, 2 * K), ..TWO }, 26 * K, "download", (K, 2 * K));
    refused(two(region(10 * K, 8 * K), region(10 * K, 8 * K)), 26 * K, "slot b", (10 * K, 18 * K));
    refused(two(region(10 * K, 8 * K), region(17 * K + 512, 8 * K)), 26 * K, "slot b", (17 * K + 512, 18 * K));
    refused(two(region(12 * K, 2 * K), region(11 * K, 8 * K)), 26 * K, "slot b", (11 * K, 14 * K));
    let one = Slots::One { slot: region(10 * K, 8 * K), scratch: region(9 * K, 2 * K) };
    refused(Layout { slots: one, ..TWO }, 26 * K, "scratch", (9 * K, 10 * K));
    // Too small, or no two halves.
    for len in [512, K, K + 512] {
        refused(Layout { state: region(0, len), ..TWO }, 26 * K, "state", (len, 2 * K));
    }
    refused(
        Layout { state: region(0, 2 * K + 512), download: region(3 * K, K), ..TWO },
        26 * K,
        "state",
        (2 * K + 512, 2 * K),
    );
}

/// Every way in refuses such a layout before the flash is touched.
#[test]
fn wrong_layouts_are_refused_everywhere() {
    let wrong = Layout { state: Region { offset: 0, len: K }, ..TWO };
    let device: Device = Device::new(TWO, images().0);
    let before = device.all();
    let error = Error::Layout { region: "state", found: K, limit: 2 * K };
    let mut buffer = [0; 2048];
    assert_eq!(Updater::open(&device.flash, wrong, config(), &mut buffer).err(), Some(error));
    assert_eq!(update_core::boot::boot(&device.flash, &wrong, 3, &mut buffer), Err(error));
    assert!(device.all() == before);
}

/// Flash without any record: errors, no panic.
#[test]
fn no_record_at_all() {
    let flash = RefCell::new(Flash::new(26 * 1024));
    let mut buffer = [0; 2048];
    assert_eq!(update_core::boot::boot(&flash, &TWO, 3, &mut buffer), Err(Error::NothingToBoot));
    assert_eq!(Updater::open(&flash, TWO, config(), &mut buffer).err(), Some(Error::NothingToBoot));
}

/// A record, its head and its copy in whole writes.
#[test]
fn large_writes_need_a_larger_state() {
    let flash = SimFlash::<1024, 1024>::new(64 * 1024);
    let layout = Layout::two(2 * K, 8 * K, 8 * K);
    assert_eq!(layout.check(&flash), Err(Error::Layout { region: "state", found: 2 * K, limit: 4 * K }));
    assert_eq!(Layout::two(4 * K, 8 * K, 8 * K).check(&flash), Ok(()));
}

fn least<const W: usize, const E: usize>() {
    type F<const W: usize, const E: usize> = SimFlash<W, E>;
    let (old, new) = images();
    let [two, one] = updates();
    let slot = 8192u32.next_multiple_of(E as u32);
    let state = 2 * 1024u32.next_multiple_of(E as u32);
    let download = 8192u32.next_multiple_of(1024u32.next_multiple_of(E as u32));
    let flash = RefCell::new(factory::<W, E, 1>(Layout::two(state, download, slot), old));
    let layout = Layout::two(state, download, slot);
    let len = least_buffer::<F<W, E>>();
    let mut buffer = vec![0; len];
    let short = Updater::open(&flash, layout, config(), &mut buffer[1..]).err();
    assert_eq!(short, Some(Error::NoRoom { region: "buffer", requested: len as u32, limit: len as u32 - 1 }));
    let mut updater = Updater::open(&flash, layout, config(), &mut buffer).expect("the least buffer");
    send(&mut updater, &two.delta).expect("all bytes");
    updater.install(Small::new).expect("the least buffer does");
    drop(updater);
    assert!(start(&flash, &layout).is_ok_and(|booted| booted.image.is_some_and(|(_, image)| image == new)));
    if (W, E) != (4, 512) {
        return;
    }
    let flash = RefCell::new(factory::<W, E, 1>(ONE, old));
    let mut updater = Updater::open(&flash, ONE, config(), &mut buffer).expect("the least buffer");
    send(&mut updater, &one.delta).expect("all bytes");
    updater.install(Small::new).expect("the least buffer does in place");
}

#[test]
fn the_least_buffer_is_enough() {
    least::<1, 256>();
    least::<4, 512>();
    least::<32, 4096>();
    least::<256, 4096>();
    least::<264, 2112>();
}
