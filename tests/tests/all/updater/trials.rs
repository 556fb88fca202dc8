//! A new image is confirmed, or rolled back.

use tests::rig::{ATTEMPTS, cut_up};
use update_core::Error;
use update_core::record::State;

use super::{Device, images, updates};

#[test]
fn confirmed_it_stays() {
    for updates in updates() {
        let (old, new) = images();
        let device: Device = Device::new(updates.layout, old);
        device.install(&updates.delta).expect("an update");
        assert!(matches!(device.with(|u| u.confirm()), Err(Error::WrongState { .. })), "it has not run yet");
        assert!(device.start().trial);
        device.with(|u| u.confirm()).expect("it runs");
        let before = device.all();
        device.with(|u| u.confirm()).expect("once more does nothing");
        for _ in 0..2 * ATTEMPTS {
            assert!(!device.start().trial);
            device.runs(2, new);
        }
        assert!(device.all() == before, "nothing is written once it is confirmed");
        for version in 0..=2 {
            let manifest = update_core::manifest::Manifest { version, ..updates.whole.manifest };
            let again = tests::rig::signed(manifest, cut_up(&updates.whole).1);
            let refused = device.with(|u| u.offer(cut_up(&again).0));
            assert_eq!(refused, Err(Error::Downgrade { least: 3, found: version }));
        }
        assert!(device.all() == before);
    }
}

#[test]
fn not_confirmed_it_is_rolled_back_and_may_come_again() {
    let [two, _] = updates();
    let (old, new) = images();
    let device: Device = Device::new(two.layout, old);
    for round in 0..2 {
        device.install(&two.delta).expect("an update");
        for boot in 0..ATTEMPTS {
            assert!(device.start().trial, "boot {boot} of round {round}");
            device.runs_nothing_but(new);
            let refused = device.with(|u| u.offer(cut_up(&two.back).0));
            assert_eq!(refused, Err(Error::WrongState { state: State::Trial as u8 }));
        }
        device.runs(1, old);
        assert_eq!(device.state(), State::RolledBack);
        assert!(matches!(device.with(|u| u.confirm()), Err(Error::WrongState { .. })));
    }
    device.drive(&two.delta).expect("offered again");
    device.runs(2, new);
    assert_eq!(device.state(), State::Confirmed);
}

impl Device {
    /// Checks what the slot on trial holds without another boot.
    fn runs_nothing_but(&self, image: &[u8]) {
        let slot = self.layout.slot(self.with(|u| u.record().target(&self.layout)));
        assert!(self.flash.borrow().content(slot.offset, image.len()) == image);
    }
}

/// With one slot there is nothing to roll back to: a better image may come before this one is confirmed.
#[test]
fn one_slot_takes_a_better_image_during_the_trial() {
    let [_, one] = updates();
    let device: Device = Device::new(one.layout, images().0);
    device.install(&one.delta).expect("an update");
    for _ in 0..2 * ATTEMPTS {
        assert!(device.start().trial);
    }
    device.drive(&one.back).expect("a better image");
    device.runs(4, images().0);
    assert_eq!(device.state(), State::Confirmed);
}

/// The image on trial rots: the one before boots.
#[test]
fn a_trial_that_rots_is_rolled_back() {
    let [two, _] = updates();
    let (old, new) = images();
    for boots in 0..ATTEMPTS {
        let device: Device = Device::new(two.layout, old);
        device.install(&two.delta).expect("an update");
        (0..boots).for_each(|_| assert!(device.start().trial));
        device.flash.borrow_mut().rot(8 * (two.layout.slot(1).offset as usize + 17));
        device.runs(1, old);
        assert_eq!(device.state(), State::RolledBack);
        device.drive(&two.delta).expect("offered again");
        device.runs(2, new);
    }
}
