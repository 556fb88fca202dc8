//! Devices that have nothing to boot take an update that needs no old image.

use update_core::boot::{Boot, boot};
use update_core::flash::Slots;

use super::{Device, Flash, images, in_each_state, updates};

fn boots(device: &Device) -> Boot {
    boot(&device.flash, &device.layout, tests::rig::ATTEMPTS, &mut [0; tests::rig::BUFFER]).expect("a record")
}

/// Lets every slot rot, in each state, by a bit or by words that cannot be read.
#[test]
fn rotten_slots() {
    for updates in updates() {
        let slots: Vec<_> = match updates.layout.slots {
            Slots::Two(slots) => slots.to_vec(),
            Slots::One { slot, .. } => vec![slot],
        };
        for (state, flash) in in_each_state(updates) {
            let ways: [fn(&mut Flash, usize); 2] = [|flash, at| flash.rot(8 * at), |flash, at| flash.spoil(at)];
            for (way, rot) in ways.into_iter().enumerate() {
                let device = Device::of(flash.clone(), updates.layout);
                slots.iter().for_each(|slot| rot(&mut device.flash.borrow_mut(), slot.offset as usize + 5));
                let place = format!("{}, way {way}", state.name());
                let booted = device.start();
                assert!(booted.image.is_none(), "{place}: {booted:?}");
                assert_eq!(boots(&device), Boot::Wait, "{place}");
                let booted = device.drive(&updates.whole).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert!(booted.image.is_some_and(|(_, image)| image == images().1), "{place}");
                device.runs(3, images().1);
            }
        }
    }
}

/// One of two slots rots: the other one boots, whatever the state.
#[test]
fn one_rotten_slot_of_two() {
    let [two, _] = updates();
    let (old, new) = images();
    let Slots::Two(slots) = two.layout.slots else { panic!("two slots") };
    // With both slots filled.
    let device: Device = Device::new(two.layout, old);
    device.drive(&two.delta).expect("an update");
    let both = device.flash.into_inner();
    for (slot, version, image) in [(0, 2, new), (1, 1, old)] {
        let device = Device::of(both.clone(), two.layout);
        device.flash.borrow_mut().rot(8 * slots[slot].offset as usize);
        device.runs(version, image);
        device.drive(&two.back).expect("a whole update");
        device.runs(4, old);
    }
}

/// What is not finished in the download does not keep a whole update away.
#[test]
fn a_rotten_download_is_sent_again() {
    for updates in updates() {
        for (state, flash) in in_each_state(updates) {
            for at in [0, 200, 400] {
                let device = Device::of(flash.clone(), updates.layout);
                device.flash.borrow_mut().rot(8 * (updates.layout.download.offset as usize + at));
                let place = format!("{}, byte {at}", state.name());
                for _ in 0..3 {
                    if device.drive(&updates.delta).is_ok() {
                        break;
                    }
                }
                if device.start().image.is_none() {
                    // The plan is gone while blocks are being replaced.
                    assert_eq!(state, update_core::record::State::Moving, "{place}");
                    assert_eq!(boots(&device), Boot::Wait, "{place}");
                    device.drive(&updates.whole).unwrap_or_else(|error| panic!("{place}: {error}"));
                    device.runs(3, images().1);
                    continue;
                }
                device.runs(2, images().1);
            }
        }
    }
}
