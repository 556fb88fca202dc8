//! One key replaces the other.

use codec_core::limits::Small;
use host_trainer::release::keys::SecretKey;
use tests::rig::{PRODUCT, cut_up, key, send};
use update_core::Error;
use update_core::keys::Rotation;
use update_core::manifest::Manifest;

use super::{Device, images, updates};

fn fresh() -> SecretKey {
    SecretKey::from_seed([0xf2; 32])
}

#[test]
fn each_key_replaces_the_other() {
    for updates in updates() {
        let device: Device = Device::new(updates.layout, images().0);
        let rotate = |statement: &Rotation| device.with(|u| u.rotate(&statement.emit()));
        let first = key(1).rotate(PRODUCT, 1, 0, fresh().public());
        let before = device.all();
        for (i, _) in first.emit().iter().enumerate() {
            let mut wrong = first.emit();
            wrong[i] ^= 1 << (i % 8);
            let error = device.with(|u| u.rotate(&wrong)).expect_err("a flipped bit");
            assert!(!matches!(error, Error::Flash { .. }), "{error}");
        }
        for len in [0, 1, 44, 107] {
            assert!(matches!(device.with(|u| u.rotate(&first.emit()[..len])), Err(Error::Malformed(_))));
        }
        assert!(matches!(rotate(&key(1).rotate(PRODUCT + 1, 1, 0, [1; 32])), Err(Error::WrongProduct { .. })));
        assert_eq!(rotate(&key(0).rotate(PRODUCT, 1, 0, [1; 32])), Err(Error::BadSignature { key: 1 }), "own slot");
        assert_eq!(rotate(&fresh().rotate(PRODUCT, 1, 0, [1; 32])), Err(Error::BadSignature { key: 1 }));
        assert_eq!(rotate(&key(1).rotate(PRODUCT, 0, 0, [1; 32])), Err(Error::Downgrade { least: 1, found: 0 }));
        assert!(device.all() == before, "nothing is written for what is refused");

        rotate(&first).expect("the other key signed it");
        let after = device.all();
        rotate(&first).expect("the same statement again");
        assert!(device.all() == after, "it changes nothing");
        let second = fresh().rotate(PRODUCT, 7, 1, key(0).public());
        rotate(&second).expect("the new key replaces the other one");
        assert_eq!(rotate(&first), Err(Error::Downgrade { least: 8, found: 1 }), "replay");
        let replaced = key(1).rotate(PRODUCT, 8, 0, key(1).public());
        assert_eq!(rotate(&replaced), Err(Error::BadSignature { key: 1 }));
        // Key 0 sits in slot 1 now: what it signs as key 0 is refused.
        let before = device.all();
        let refused = device.with(|u| u.offer(cut_up(&updates.delta).0));
        assert_eq!(refused, Err(Error::BadSignature { key: 0 }));
        assert!(device.all() == before);
        let mut update = updates.delta.clone();
        update.manifest = Manifest { key: 1, ..update.manifest };
        let head = update.manifest.emit(&key(0).sign(&update.manifest.message()));
        update.bytes[..head.len()].copy_from_slice(&head);
        device.drive(&update).expect("signed as key 1");
        device.runs(2, images().1);
    }
}

/// The key is replaced while the update arrives.
#[test]
fn what_a_replaced_key_signed_is_not_installed() {
    for updates in updates() {
        let device: Device = Device::new(updates.layout, images().0);
        device.with(|u| send(u, &updates.delta)).expect("all bytes");
        device.with(|u| u.rotate(&key(1).rotate(PRODUCT, 1, 0, fresh().public()).emit())).expect("a statement");
        device.protect(0);
        assert_eq!(device.with(|u| u.install(Small::new)), Err(Error::BadSignature { key: 0 }));
        device.runs(1, images().0);
    }
}

/// A statement that comes in the middle of an update changes nothing but the key.
#[test]
fn keys_change_in_each_state() {
    for updates in updates() {
        for (state, flash) in super::in_each_state(updates) {
            let device = Device::of(flash, updates.layout);
            let before = device.with(|u| *u.record());
            device.with(|u| u.rotate(&key(0).rotate(PRODUCT, 1, 1, fresh().public()).emit())).expect("a statement");
            let after = device.with(|u| *u.record());
            assert_eq!((before.state, before.images, before.progress), (after.state, after.images, after.progress));
            assert_eq!(after.keys.slots[1], fresh().public(), "{}", state.name());
            device.drive(&updates.whole).or_else(|_| device.drive(&updates.whole)).map_or_else(
                |error| assert!(matches!(error, Error::WrongState { .. }), "{}: {error}", state.name()),
                |_| device.runs(3, images().1),
            );
        }
    }
}
