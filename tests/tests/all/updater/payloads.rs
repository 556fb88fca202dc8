//! Payloads that are signed and wrong: refused, and the running image is as it was.

use codec_core::Error as E;
use codec_core::container::digest::Id;
use codec_core::container::v2::Header;
use host_trainer::codec::{Profile, compress};
use host_trainer::release::Release;
use tests::craft::container;
use tests::data::{noise, options};
use tests::rig::{cut_up, signed};
use update_core::Error;
use update_core::inplace::{Plan, Run};
use update_core::manifest::Manifest;
use update_core::record::State;

use super::{Device, ERASE, ONE, Updates, images, updates};

fn v2(new: &[u8], old: &[u8], profile: Profile) -> Vec<u8> {
    compress(new, Some(old), &options(profile, host_trainer::codec::Format::V2)).expect("a container").bytes
}

/// `container` as the layout wants it: alone, or as the only step with the plan of `like`.
fn payload(updates: &Updates, container: &[u8]) -> Vec<u8> {
    if !updates.layout.slots.is_one() {
        return container.to_vec();
    }
    let plan = &cut_up(&updates.delta).1[1..1 + updates.delta.steps[0].plan];
    [&[1], plan, container].concat()
}

/// The container alone.
fn inner(updates: &Updates) -> &[u8] {
    let payload = cut_up(&updates.delta).1;
    if updates.layout.slots.is_one() { &payload[1 + updates.delta.steps[0].plan..] } else { payload }
}

/// Installs it, which must fail, and then the right one.
fn refuse(updates: &Updates, name: &str, update: &Release, right: impl Fn(Error) -> bool) {
    let (old, new) = images();
    let device: Device = Device::new(updates.layout, old);
    device.protect(0);
    let error = device.install(update).expect_err(name);
    assert!(right(error), "{name}: {error}");
    assert_eq!(device.state(), State::Confirmed, "{name}: {error}");
    device.runs(1, old);
    device.flash.borrow_mut().forbidden.clear();
    device.drive(&updates.delta).unwrap_or_else(|error| panic!("after {name}: {error}"));
    device.runs(2, new);
}

#[test]
fn signed_and_wrong() {
    let (old, new) = images();
    for updates in updates() {
        let manifest = Manifest { version: 2, ..updates.delta.manifest };
        let of = |container: &[u8]| signed(manifest, &payload(updates, container));
        let good = inner(updates);
        let other = of(&v2(new, &noise(old.len(), 3), Profile::Small));
        refuse(updates, "wrong old image", &other, |e| matches!(e, Error::Malformed(E::WrongOld { .. })));
        let longer = of(&v2(new, &[old, &noise(9000, 1)].concat(), Profile::Small));
        refuse(updates, "longer old image", &longer, |e| matches!(e, Error::Malformed(_)));
        let costly = of(&v2(new, old, Profile::Medium));
        refuse(updates, "over budget", &costly, |e| matches!(e, Error::Malformed(_)));
        for len in [0, 1, good.len() / 2, good.len() - 1] {
            refuse(updates, "cut short", &of(&good[..len]), |e| matches!(e, Error::Malformed(_)));
        }
        let long = of(&[good, &[0]].concat());
        refuse(updates, "too long", &long, |e| matches!(e, Error::Malformed(_)));
        let mut flipped = good.to_vec();
        *flipped.last_mut().expect("not empty") ^= 1;
        refuse(updates, "wrong content", &of(&flipped), |e| matches!(e, Error::Malformed(_)));
        if updates.layout.slots.is_one() {
            // What the manifest says of the image is checked last, when the old one is gone.
            continue;
        }
        let short = signed(Manifest { image_len: new.len() as u32 - 1, ..manifest }, good);
        refuse(updates, "longer than signed", &short, |e| matches!(e, Error::NoRoom { region: "image", .. }));
        let long = signed(Manifest { image_len: new.len() as u32 + 1, ..manifest }, good);
        refuse(updates, "shorter than signed", &long, |e| e == Error::DigestMismatch { field: "image" });
        let named = signed(Manifest { image: Id::of(old), ..manifest }, good);
        refuse(updates, "another image", &named, |e| e == Error::DigestMismatch { field: "image" });
    }
}

/// Plans that no host makes.
#[test]
fn signed_and_wrong_plans() {
    let (_, new) = images();
    let [_, one] = updates();
    let good = inner(one);
    let blocks = new.len().div_ceil(ERASE) as u16;
    let up = [Run { first: 0, last: blocks - 1 }];
    let len = new.len() as u32;
    let script = one.delta.steps[0].script;
    let of = |plan: &[u8], steps: u8| signed(one.delta.manifest, &[&[steps], plan, good].concat());
    let plan = |block: u32, script_len: u32| {
        let runs = [Run { first: 0, last: (len.div_ceil(block) - 1) as u16 }];
        Plan::new(block, script_len, &runs, len).expect("a plan").emit().to_vec()
    };
    let whole = Plan::new(ERASE as u32, script, &up, len).expect("a plan").emit().to_vec();
    let right = |e| matches!(e, Error::Malformed(_) | Error::Layout { .. } | Error::NoRoom { .. });
    refuse(one, "no step", &of(&whole, 0), right);
    for script_len in [0, 1, script - 1, script + 4000, u32::MAX] {
        refuse(one, "wrong length of the script", &of(&plan(ERASE as u32, script_len), 1), right);
    }
    for block in [1, ERASE as u32 / 2, ERASE as u32 + 4, 1 << 20, 1 << 31] {
        refuse(one, "wrong blocks", &of(&plan(block, script), 1), right);
    }
    for (at, byte) in [(8, 0), (8, 2), (8, 65), (8, 255), (9, 1), (11, 200), (12, 1), (0, 0)] {
        let mut wrong = whole.clone();
        wrong[at] = byte;
        refuse(one, &format!("plan[{at}] = {byte}"), &of(&wrong, 1), |e| !matches!(e, Error::Flash { .. }));
    }
    // The image after the last step is not the one that was signed: the slot is lost, and takes a whole update.
    let named = signed(Manifest { image: Id([7; 16]), ..one.delta.manifest }, cut_up(&one.delta).1);
    let device: Device = Device::new(ONE, images().0);
    assert_eq!(device.install(&named), Err(Error::DigestMismatch { field: "image" }));
    assert!(device.start().image.is_none());
    device.drive(&one.whole).expect("a whole update");
    device.runs(3, new);
}

/// A header that promises more than the slot has.
#[test]
fn signed_headers_that_lie() {
    for updates in updates() {
        for new_len in [0, 1, super::SLOT + 1, 1 << 30] {
            let (header, len) = Header::parse(inner(updates)).expect("our own header");
            let lie = container(Header { new_len, ..header }, &inner(updates)[len..]);
            let update = signed(updates.delta.manifest, &payload(updates, &lie));
            refuse(updates, "a lie about the length", &update, |e| !matches!(e, Error::Flash { .. }));
            let lie = container(Header { old: None, ..header }, &noise(300, u64::from(new_len)));
            let update = signed(updates.delta.manifest, &payload(updates, &lie));
            refuse(updates, "noise", &update, |e| !matches!(e, Error::Flash { .. }));
        }
    }
}
