//! Devices with one slot: steps, cycles, growth and shrinkage.

use codec_core::limits::Small;
use host_trainer::codec::CodecError;
use host_trainer::release::in_place::Room;
use host_trainer::release::{Release, Settings, release};
use tests::data::{noise, pair_named};
use tests::flash::{Forks, SimFlash, Torn, random};
use tests::rig::{self, PRODUCT, key};
use update_core::Error;
use update_core::flash::Layout;

use super::{Device, ERASE, WRITE, images};

fn room(scratch: u32) -> Room {
    Room { block: ERASE as u32, scratch, write_size: WRITE as u32, erase_size: ERASE as u32 }
}

fn layout(scratch: u32, slot: usize) -> Layout {
    Layout::one(2 * 1024, 64 * 1024, scratch, slot.next_multiple_of(ERASE) as u32)
}

fn try_update(new: &[u8], old: &[u8], scratch: u32) -> Result<Release, CodecError> {
    let key = key(0);
    let profile = codec_core::limits::Profile::Small;
    let in_place = Some(room(scratch));
    let settings = Settings { product: PRODUCT, version: 2, profile, key: (&key, 0), in_place, progress: None };
    release(new, (!old.is_empty()).then_some(old), &settings)
}

/// Updates and looks at the result; says how many steps it took.
fn change(name: &str, old: &[u8], new: &[u8], scratch: u32) -> usize {
    let update = try_update(new, old, scratch).unwrap_or_else(|error| panic!("{name}: {error}"));
    let device: Device =
        Device::new(layout(scratch, old.len().max(new.len())), if old.is_empty() { &[1] } else { old });
    device.drive(&update).unwrap_or_else(|error| panic!("{name}: {error}, {:?}", update.steps));
    device.runs(2, new);
    let steps = update.steps.len();
    println!("{name}, {scratch} bytes of scratch: {steps} steps, {} bytes", update.bytes.len());
    steps
}

#[test]
fn real_pairs_in_one_step_and_in_several() {
    for (name, scratches) in [("fw-espboot-c3 3.3.0", [24, 8, 4]), ("fw-espboot-c3 2.1.0", [24, 8, 3])] {
        let pair = pair_named(name);
        let steps = scratches.map(|k| change(&pair.name, pair.old(), &pair.new, k * 1024));
        assert!(steps[0] == 1 && steps.is_sorted(), "{steps:?}");
        assert!(name.contains("2.1.0") || steps == [1, 2, 6], "{steps:?}");
    }
}

#[test]
fn a_power_cut_at_each_operation_of_two_steps() {
    let (old, new) = images();
    let (scratch, update) = (4..40)
        .map(|blocks| (blocks * ERASE as u32, try_update(new, old, blocks * ERASE as u32)))
        .find_map(|(scratch, update)| update.ok().filter(|u| u.steps.len() == 2).map(|u| (scratch, u)))
        .expect("some scratch makes two steps");
    let layout = layout(scratch, new.len());
    let device: Device = Device::new(layout, old);
    let (to, forks) = std::sync::mpsc::sync_channel(1 << 16);
    device.flash.borrow_mut().forks = Some(Forks { to, ways: |_| Torn::ALL.to_vec() });
    device.drive(&update).expect("an update without a fault");
    drop(device);
    let mut cuts = 0;
    for fork in forks {
        let place = format!("{} {:?}", fork.number, fork.torn);
        let device = Device::of(fork.flash, layout);
        let (version, image) = device.start().image.unwrap_or_else(|| panic!("{place}: nothing boots"));
        assert!(version == 1 && image == old || version == 2 && image == new, "{place}: {version}");
        device.drive(&update).unwrap_or_else(|error| panic!("{place}: {error}"));
        device.runs(2, new);
        cuts += 1;
    }
    println!("two steps, {scratch} bytes of scratch: {cuts} cuts");
}

#[test]
fn shapes() {
    let (old, new) = images();
    let (half, rest) = old.split_at(2048);
    change("halves swapped", old, &[rest, half].concat(), 8 * 1024);
    change("blocks reversed", old, &old.chunks(ERASE).rev().flatten().copied().collect::<Vec<_>>(), 8 * 1024);
    change("growth", old, &[old, new].concat(), 8 * 1024);
    change("shrinkage", &[old, new].concat(), old, 8 * 1024);
    change("nothing but the version", old, old, 8 * 1024);
    for n in [1, 3, 4, 100, 511, 512, 513] {
        change("insertion at the start", old, &[&noise(n, 5)[..], old].concat(), 8 * 1024);
        change("deletion at the start", old, &old[n..], 8 * 1024);
    }
    change("whole file", &[], new, 8 * 1024);
    assert!(change("whole file, steps", &[], new, 3 * 1024) > 1);
    change("noise", old, &noise(4000, 9), 8 * 1024);
    assert!(change("noise, steps", old, &noise(4000, 9), 3 * 1024) > 1);
}

/// The container names no old image where that does not pay: then the device cannot look at it, either.
#[test]
fn a_delta_that_does_not_pay() {
    let (old, _) = images();
    change("to one byte", old, &old[..1], 8 * 1024);
    change("noise of one block", old, &noise(ERASE, 2), 8 * 1024);
}

#[test]
fn too_little_scratch_is_named() {
    let (old, new) = images();
    for scratch in [0, ERASE as u32, 2 * ERASE as u32, 3 * ERASE as u32] {
        match try_update(new, old, scratch) {
            Err(CodecError::Release(Error::NoRoom { region: "scratch", requested, limit })) => {
                assert!(limit == scratch && requested > scratch);
            }
            other => panic!("{scratch}: {:?}", other.map(|u| u.steps)),
        }
    }
    // The device has less than the host was told.
    let update = try_update(new, old, 8 * 1024).expect("an update");
    let device: Device = Device::new(layout(1024, new.len()), old);
    device.protect(0);
    let error = device.install(&update).expect_err("too little scratch");
    assert!(matches!(error, Error::NoRoom { region: "scratch", limit: 1024, .. }), "{error}");
    device.runs(1, old);
    // Its blocks are larger than the plan's.
    let device = Device::<WRITE, 4096, 1>::new(Layout::one(8192, 65536, 16384, 8192), old);
    device.protect(0);
    assert_eq!(device.install(&update), Err(Error::Layout { region: "block", found: ERASE as u32, limit: 4096 }));
    device.runs(1, old);
}

/// Random edits, random scratch, one power cut each.
#[test]
fn random_edits() {
    let pair = pair_named("fw-nodepixel");
    let mut seed = 11;
    let mut below = |limit: usize| random(&mut seed) as usize % limit.max(1);
    let mut steps = [0; 4];
    for round in 0..60 {
        let from = below(8000);
        let old = &pair.old()[from..from + 1 + below(5000)];
        let mut new = old.to_vec();
        for _ in 0..1 + below(6) {
            let at = below(new.len());
            let end = (at + 1 + below(900)).min(new.len());
            match below(4) {
                0 => drop(new.drain(at..end)),
                1 => drop(new.splice(at..at, noise(below(300), round))),
                2 => {
                    let part: Vec<_> = new.drain(at..end).collect();
                    let to = below(new.len() + 1);
                    new.splice(to..to, part);
                }
                _ => new[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
            }
            if new.is_empty() {
                new.push(1);
            }
        }
        let scratch = (4 + below(4)) as u32 * ERASE as u32;
        let update = match try_update(&new, old, scratch) {
            Ok(update) => update,
            Err(CodecError::Release(Error::NoRoom { region: "scratch", .. })) => continue,
            Err(error) => panic!("{round}: {error}"),
        };
        steps[update.steps.len().min(3)] += 1;
        let layout = layout(scratch, old.len().max(new.len()));
        let whole: Device = Device::new(layout, old);
        whole.drive(&update).unwrap_or_else(|error| panic!("{round}: {error}"));
        whole.runs(2, &new);
        let operations = whole.flash.borrow().operations as usize;
        let mut flash: SimFlash<WRITE, ERASE> = rig::factory(layout, old);
        flash.cut_at(below(operations) as u64, Torn::ALL[below(4)], round);
        let device = Device::of(flash, layout);
        let _ = device.drive(&update);
        device.flash.borrow_mut().restart();
        device.drive(&update).unwrap_or_else(|error| panic!("{round}: {error}"));
        device.runs(2, &new);
    }
    println!("updates of one, two, more steps: {:?}", &steps[1..]);
    assert!(steps[1..].iter().all(|&n| n > 0), "{steps:?}");
}

/// Blocks that stay as they are stand between those that are replaced, and the mark of the one before is lost while the
/// next one is being assembled: it must still be there. One rotten bit and one power cut, wherever they fall.
#[test]
fn the_block_before_is_still_there() {
    let old = noise(10 * ERASE, 1);
    // Every second block takes bytes of its own old content, so that it cannot be made twice.
    let mut new = old.clone();
    for block in (0..10).step_by(2) {
        new[block * ERASE..(block + 1) * ERASE].rotate_left(7);
    }
    let update = try_update(&new, &old, 8 * 1024).expect("an update");
    let layout = layout(8 * 1024, new.len());
    let device: Device = Device::new(layout, &old);
    let (to, forks) = std::sync::mpsc::sync_channel(1 << 16);
    device.flash.borrow_mut().forks = Some(Forks { to, ways: |_| vec![Torn::Before, Torn::Noise] });
    device.drive(&update).expect("an update without a fault");
    drop(device);
    let mut lost = 0;
    for fork in forks {
        // The last entry of the journal rots, whatever it is.
        let mut flash = fork.flash;
        let state = flash.content(layout.state.offset, layout.state.len as usize);
        let last = |half: &[u8]| half.iter().rposition(|&byte| byte != 0xff);
        let (a, b) = state.split_at(state.len() / 2);
        for at in [last(a), last(b).map(|at| at + a.len())].into_iter().flatten() {
            flash.rot(8 * (at & !15));
            let device = Device::of(flash.clone(), layout);
            flash.rot(8 * (at & !15));
            let booted = device.start();
            let place = format!("{} {:?}", fork.number, fork.torn);
            assert!(booted.image.is_some(), "{place}");
            device.drive(&update).unwrap_or_else(|error| panic!("{place}: {error}"));
            device.runs(2, &new);
            lost += 1;
        }
    }
    assert!(lost > 50);
}

#[test]
fn a_device_that_runs_from_its_slot_prepares_and_resumes() {
    use update_core::boot::{Boot, boot};
    use update_core::record::State;

    let (old, new) = images();
    let update = try_update(new, old, 8 * 1024).expect("an update");
    let device: Device = Device::new(layout(8 * 1024, new.len()), old);
    device.protect(0);
    device.with(|updater| {
        rig::send(updater, &update).expect("all bytes");
        updater.prepare(Small::new).expect("the slot is not touched");
        updater.prepare(Small::new).expect("once more does nothing");
    });
    assert_eq!(device.state(), State::Moving);
    device.flash.borrow_mut().forbidden.clear();
    let mut buffer = [0; rig::BUFFER];
    assert_eq!(boot(&device.flash, &device.layout, 3, &mut buffer), Ok(Boot::Resume));
    device.with(|updater| updater.install(Small::new)).expect("the blocks are replaced");
    device.runs(2, new);
}
