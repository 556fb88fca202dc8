//! What is refused changes nothing; what is taken goes on after a restart.

use codec_core::Error as E;
use codec_core::limits::Small;
use host_trainer::release::Release;
use tests::rig::{PRODUCT, cut_up, send, signed};
use update_core::Error;
use update_core::manifest::{MANIFEST_LEN, Manifest, Mode};
use update_core::record::State;

use super::{Device, Flash, Updates, images, in_each_state, updates};

/// Offers that no device takes in any state, and whether the error is the right one.
type Refused = (&'static str, [u8; MANIFEST_LEN], fn(&Error) -> bool);

fn refused(updates: &Updates) -> Vec<Refused> {
    let good = updates.back.manifest;
    let head = |manifest: Manifest| {
        let key = tests::rig::key(manifest.key);
        manifest.emit(&key.sign(&manifest.message()))
    };
    let other = if updates.layout.slots.is_one() { Mode::Slots } else { Mode::InPlace };
    let mut list: Vec<Refused> = vec![
        ("another product", head(Manifest { product: PRODUCT ^ 1, ..good }), |e| {
            matches!(e, Error::WrongProduct { expected: PRODUCT, .. })
        }),
        ("version 0", head(Manifest { version: 0, ..good }), |e| matches!(e, Error::Downgrade { found: 0, .. })),
        ("the first version", head(Manifest { version: 1, ..good }), |e| {
            matches!(e, Error::Downgrade { found: 1, .. })
        }),
        ("another mode", head(Manifest { mode: other, ..good }), |e| {
            matches!(e, Error::Malformed(E::OutOfRange { field: "mode", .. }))
        }),
        ("too large for the slot", head(Manifest { image_len: super::SLOT + 1, ..good }), |e| {
            matches!(e, Error::NoRoom { region: "slot", limit: super::SLOT, .. })
        }),
        ("empty", head(Manifest { image_len: 0, ..good }), |e| matches!(e, Error::NoRoom { region: "slot", .. })),
        ("too large for the download", head(Manifest { payload_len: super::DOWNLOAD, ..good }), |e| {
            matches!(e, Error::NoRoom { region: "download", .. })
        }),
        ("much too large", head(Manifest { payload_len: u32::MAX, ..good }), |e| {
            matches!(e, Error::NoRoom { region: "download", .. })
        }),
        ("signed by the other key", good.emit(&tests::rig::key(1).sign(&good.message())), |e| {
            matches!(e, Error::BadSignature { key: 0 })
        }),
    ];
    let bytes = cut_up(&updates.back).0;
    for i in 0..MANIFEST_LEN {
        let mut flipped = *bytes;
        flipped[i] ^= 1 << (i % 8);
        list.push(("a flipped bit", flipped, |e| matches!(e, Error::BadSignature { .. } | Error::Malformed(_))));
    }
    list
}

#[test]
fn nothing_is_written_for_what_is_refused() {
    for updates in updates() {
        let list = refused(updates);
        for (state, flash) in in_each_state(updates) {
            let device = Device::of(flash, updates.layout);
            let before = device.all();
            for (name, manifest, right) in &list {
                let error = device.with(|updater| updater.offer(manifest)).expect_err(name);
                let busy = state == State::Trial && error == Error::WrongState { state: state as u8 };
                assert!(right(&error) || busy, "{name}, {}: {error}", state.name());
            }
            assert!(device.all() == before, "{}", state.name());
        }
    }
}

#[test]
fn without_keys_nothing_is_taken() {
    use std::cell::RefCell;
    use update_core::keys::Keys;
    use update_core::record::{Image, Journal, Record};

    let [two, _] = updates();
    let device: Device = Device::new(two.layout, images().0);
    let flash: RefCell<Flash> = device.flash;
    let image = Image { len: 1, version: 0, id: codec_core::container::digest::Id([1; 16]) };
    Journal::format(&flash, &two.layout, Record::first(image, Keys::none()), &mut [0; 2048]).expect("a record");
    let device = Device::of(flash.into_inner(), two.layout);
    let before = device.all();
    for key in [0, 1] {
        let update = signed(Manifest { key, ..two.whole.manifest }, cut_up(&two.whole).1);
        let error = device.with(|updater| updater.offer(cut_up(&update).0));
        assert_eq!(error, Err(Error::NoKey { key }));
    }
    assert!(device.all() == before);
}

#[test]
fn receiving_goes_on_after_a_restart_at_every_piece() {
    for updates in updates() {
        let (manifest, payload) = cut_up(&updates.whole);
        for piece in [1, 37, 112, 200] {
            let device: Device = Device::new(updates.layout, images().0);
            let mut at = 0;
            let mut restarts = 0;
            while at < payload.len() {
                let end = payload.len().min(at + piece * 4);
                at = device.with(|updater| {
                    let from = updater.offer(manifest).expect("an offer that was taken before") as usize;
                    assert!(from <= at && at - from < 112, "{from} of {at}");
                    for (i, bytes) in payload[from..end].chunks(piece).enumerate() {
                        updater.receive((from + i * piece) as u32, bytes).expect("the next bytes");
                    }
                    assert!(end - updater.stored() as usize <= 112);
                    end
                });
                restarts += 1;
                // With one byte at a time, what is pending is lost in each restart.
                if piece == 1 && restarts > 30 {
                    break;
                }
            }
            assert!(restarts > 1);
            device.drive(&updates.whole).unwrap_or_else(|error| panic!("{piece}: {error}"));
            device.runs(3, images().1);
        }
    }
}

#[test]
fn bytes_that_do_not_continue_or_go_too_far_are_refused() {
    let [two, _] = updates();
    let device: Device = Device::new(two.layout, images().0);
    let (manifest, payload) = cut_up(&two.delta);
    device.with(|updater| {
        assert_eq!(updater.receive(0, &payload[..1]), Err(Error::WrongState { state: State::Idle as u8 }));
        assert_eq!(updater.offer(manifest), Ok(0));
        updater.receive(0, &payload[..50]).expect("the first bytes");
        for found in [0, 49, 51, u32::MAX] {
            assert_eq!(updater.receive(found, &payload[50..60]), Err(Error::Gap { found, expected: 50 }));
        }
        let mut long = payload[50..].to_vec();
        long.push(0);
        assert!(matches!(updater.receive(50, &long), Err(Error::NoRoom { region: "payload", .. })));
        assert!(matches!(updater.install(Small::new), Err(Error::Malformed(E::Truncated { field: "payload", .. }))));
        assert_eq!(updater.record().state, State::Receiving);
        updater.receive(50, &payload[50..]).expect("the rest");
        updater.install(Small::new).expect("all is there");
        assert_eq!(updater.record().state, State::Ready);
        assert_eq!(updater.install(Small::new), Ok(()));
    });
}

/// What each state makes of an offer: the update that it is about, again; another one instead.
#[test]
fn offered_again_or_another_instead() {
    for updates in updates() {
        let one_slot = updates.layout.slots.is_one();
        for (state, flash) in in_each_state(updates) {
            let again = Device::of(flash.clone(), updates.layout);
            let offer = |device: &Device, update: &Release| device.with(|updater| updater.offer(cut_up(update).0));
            let len = updates.delta.manifest.payload_len;
            let found = offer(&again, &updates.delta);
            match state {
                State::Idle | State::RolledBack => assert_eq!(found, Ok(0)),
                State::Receiving => assert!(found.is_ok_and(|at| at > 0 && at <= len), "{found:?}"),
                State::Decoding | State::Moving | State::Verifying | State::Ready => assert_eq!(found, Ok(len)),
                State::Trial if one_slot => assert_eq!(found, Err(Error::Downgrade { least: 3, found: 2 })),
                State::Trial => assert_eq!(found, Err(Error::WrongState { state: state as u8 })),
                State::Confirmed => assert_eq!(found, Err(Error::Downgrade { least: 3, found: 2 })),
            }
            let other = Device::of(flash, updates.layout);
            let found = offer(&other, &updates.back);
            let busy = if one_slot {
                [State::Moving, State::Verifying, State::Ready].contains(&state)
            } else {
                state == State::Trial
            };
            if busy {
                assert_eq!(found, Err(Error::WrongState { state: state as u8 }));
                continue;
            }
            assert_eq!(found, Ok(0), "{}", state.name());
            other.drive(&updates.back).unwrap_or_else(|error| panic!("{}: {error}", state.name()));
            other.runs(4, images().0);
        }
    }
}

/// The same payload under a later version is another update.
#[test]
fn another_version_of_the_same_payload() {
    for updates in updates() {
        let later = signed(Manifest { version: 9, ..updates.delta.manifest }, cut_up(&updates.delta).1);
        for state in [State::Receiving, State::Decoding, State::Verifying, State::Ready] {
            let device = Device::of(in_each_state(updates).remove(&state).expect("each state"), updates.layout);
            match device.with(|updater| updater.offer(cut_up(&later).0)) {
                Ok(at) => assert_eq!(at, 0, "{}", state.name()),
                Err(error) => {
                    assert!(updates.layout.slots.is_one() && matches!(error, Error::WrongState { .. }), "{error}");
                    continue;
                }
            }
            device.drive(&later).unwrap_or_else(|error| panic!("{}: {error}", state.name()));
            device.runs(9, images().1);
        }
    }
}

#[test]
fn a_flipped_payload_is_refused_before_a_slot_is_touched() {
    for updates in updates() {
        let (manifest, payload) = cut_up(&updates.delta);
        for at in (0..payload.len()).step_by(payload.len() / 12) {
            let device: Device = Device::new(updates.layout, images().0);
            let slots = device.layout.regions()[2..].iter().map(|(_, r)| (r.offset, r.offset + r.len)).collect();
            device.flash.borrow_mut().forbidden = slots;
            let mut wrong = payload.to_vec();
            wrong[at] ^= 0x10;
            device.with(|updater| {
                assert_eq!(updater.offer(manifest), Ok(0));
                updater.receive(0, &wrong).expect("nobody can tell yet");
                let error = Error::DigestMismatch { field: "payload" };
                assert_eq!(updater.install(Small::new), Err(error));
                assert_eq!((updater.record().state, updater.record().failure), (State::Confirmed, error.code()));
                assert!(matches!(updater.install(Small::new), Err(Error::WrongState { .. })));
            });
            device.runs(1, images().0);
            device.flash.borrow_mut().forbidden.clear();
            device.drive(&updates.delta).expect("the right bytes");
            device.runs(2, images().1);
        }
    }
}

/// A download region that is just large enough for an update takes it; restarts that waste room make it start anew.
#[test]
fn the_download_region_may_be_just_large_enough() {
    use update_core::flash::Layout;

    let [two, _] = updates();
    let (_, payload) = cut_up(&two.whole);
    let layout = |download: u32| Layout::two(2048, download, super::SLOT);
    let fits = |download: u32, len: usize| {
        let device: Device = Device::new(layout(download), images().0);
        let update = signed(two.whole.manifest, &payload.iter().copied().cycle().take(len).collect::<Vec<_>>());
        let (offered, sent) = device.with(|updater| (updater.offer(cut_up(&update).0), send(updater, &update)));
        assert_eq!(offered.is_ok(), sent.is_ok(), "{download}, {len}: {offered:?}, {sent:?}");
        sent.is_ok()
    };
    for download in [1024, 2048, 3072] {
        let most = (1..download as usize).rev().find(|&len| fits(download, len)).expect("some length fits");
        assert!(most as u32 > download * 3 / 4 - 132, "{most} of {download}");
    }
    // So often interrupted that the region is used up.
    let (manifest, payload) = cut_up(&two.whole);
    let download = (1..).map(|k| k * 1024).find(|&download| fits(download, payload.len())).expect("some region");
    let device: Device = Device::new(layout(download), images().0);
    let mut failed = 0;
    for _ in 0..40 {
        let sent = device.with(|updater| {
            let at = updater.offer(manifest)? as usize;
            updater.receive(at as u32, &payload[at..payload.len().min(at + 150)])
        });
        failed += usize::from(sent.is_err());
    }
    assert!(failed > 0, "the region was never full");
    device.drive(&two.whole).or_else(|_| device.drive(&two.whole)).expect("a download that starts anew");
    device.runs(3, images().1);
}
