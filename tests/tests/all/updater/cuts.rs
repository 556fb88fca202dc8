//! The power fails twice: in the update, and in what goes on after it.

use tests::flash::{Torn, random};

use super::{Device, Flash, images, moments, updates};

/// Samples of each layout.
const SAMPLES: u64 = 300;

#[test]
fn two_power_cuts() {
    let (old, new) = images();
    for updates in updates() {
        let operations = moments(updates).len() as u64;
        let first: Flash = Device::<4, 512, 1>::new(updates.layout, old).flash.into_inner();
        let (mut seed, mut second) = (29, 0);
        for sample in 0..SAMPLES {
            let device = Device::of(first.clone(), updates.layout);
            let mut torn = || Torn::ALL[random(&mut seed) as usize % 4];
            let (a, b) = (torn(), torn());
            let at = sample * operations / SAMPLES;
            device.flash.borrow_mut().cut_at(at, a, sample);
            let _ = device.drive(&updates.delta);
            let later = device.flash.borrow().operations + random(&mut seed) % (operations - at);
            device.flash.borrow_mut().restart();
            device.flash.borrow_mut().cut_at(later, b, sample + 1);
            let _ = device.drive(&updates.delta);
            second += u64::from(device.flash.borrow().is_off());
            device.flash.borrow_mut().restart();
            let place = format!("sample {sample}: {a:?} at {at}, {b:?} at {later}");
            let (version, image) = device.start().image.unwrap_or_else(|| panic!("{place}: nothing boots"));
            assert!(version == 1 && image == old || version == 2 && image == new, "{place}: {version}");
            device.drive(&updates.delta).unwrap_or_else(|error| panic!("{place}: {error}"));
            device.runs(2, new);
        }
        println!("{SAMPLES} cuts in an update, {second} of them with a second one in what followed");
        assert!(second > SAMPLES / 2);
    }
}
