//! Many updates one after the other: the halves of the record change places, the download is used again.

use tests::rig;
use update_core::record::State;

use super::{Device, images, room, updates};

#[test]
fn ten_updates_back_and_forth() {
    for updates in updates() {
        let (a, b) = images();
        let device: Device = Device::new(updates.layout, a);
        let room = updates.layout.slots.is_one().then(room);
        for version in 2..12 {
            let (from, to) = if version % 2 == 0 { (a, b) } else { (b, a) };
            let update = rig::update(to, (version % 5 != 0).then_some(from), version, room);
            let booted = device.drive(&update).unwrap_or_else(|error| panic!("version {version}: {error}"));
            assert!(booted.trial);
            device.runs(version, to);
            assert_eq!(device.state(), State::Confirmed);
            assert_eq!(device.with(|u| u.record().floor), version);
        }
        let (words, blocks) = device.flash.borrow().wear;
        println!("ten updates: {words} words written, {blocks} blocks erased");
    }
}
