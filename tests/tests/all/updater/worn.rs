//! Flash that takes no more writes.

use update_core::flash::Region;

use super::{Device, images, updates};

fn wear(device: &Device, region: Region) {
    device.flash.borrow_mut().worn.push((region.offset, region.offset + region.len));
}

/// A record that cannot be written keeps no whole image from running.
#[test]
fn a_worn_record_boots() {
    for updates in updates() {
        let (old, new) = images();
        let device: Device = Device::new(updates.layout, old);
        device.install(&updates.delta).expect("an update");
        wear(&device, updates.layout.state);
        let booted = device.start();
        let image = booted.image.map(|(_, image)| image);
        // Without a record of the trial it must not be tried: nobody would count the attempts.
        let runs = if updates.layout.slots.is_one() { new } else { old };
        assert!(image.as_deref() == Some(runs));
        assert!(device.with(|u| u.confirm()).is_err());
        assert!(device.with(|u| u.offer(tests::rig::cut_up(&updates.back).0)).is_err());
        assert!(device.start().image.as_ref().map(|(_, image)| &image[..]) == Some(runs));
    }
}

/// Wherever a block is worn, the old image boots until the new one is whole.
#[test]
fn a_worn_block_anywhere() {
    let [two, _] = updates();
    let (old, new) = images();
    let len = Device::<4, 512, 1>::new(two.layout, old).flash.borrow().len() as u32;
    for offset in (0..len).step_by(512) {
        if (two.layout.slot(0).offset..two.layout.slot(1).offset).contains(&offset) {
            continue;
        }
        let device: Device = Device::new(two.layout, old);
        wear(&device, Region { offset, len: 512 });
        let done = device.drive(&two.delta).is_ok();
        let (version, image) = if done { (2, new) } else { (1, old) };
        device.runs(version, image);
        device.flash.borrow_mut().worn.clear();
        device.drive(&two.delta).unwrap_or_else(|error| panic!("{offset}: {error}"));
        device.runs(2, new);
    }
}
