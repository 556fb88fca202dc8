//! The progress record under rot.

use tests::flash::random;
use tests::rig::BUFFER;
use update_core::record::{Journal, State};

use super::{Device, TWO, images};

/// The first record is all that a new device has.
#[test]
fn no_two_bits_lose_the_first_record() {
    let device: Device = Device::new(TWO, images().0);
    let first = device.flash.into_inner();
    let mut seed = 3;
    for _ in 0..3000 {
        let mut flash = first.clone();
        // In what has been written, of each half.
        let mut bit = || random(&mut seed) as usize % 2 * 8192 + random(&mut seed) as usize % (8 * 320);
        (0..2).for_each(|_| flash.rot(bit()));
        Device::of(flash, TWO).runs(1, images().0);
    }
}

/// A record that has rotted away, both copies, has left its marks: they do not count for the next one, whose number
/// must be another.
#[test]
fn marks_of_a_lost_record_do_not_count() {
    let mut buffer = [0; BUFFER];
    for changes in 0..8 {
        let device: Device = Device::new(TWO, images().0);
        let mut journal = Journal::open(&device.flash, &TWO).expect("a layout").expect("a record");
        for i in 0..changes {
            journal.change(&mut buffer, |record| record.attempts = i + 1).expect("a change");
        }
        let before = device.flash.borrow().content(0, 2048).to_vec();
        journal.change(&mut buffer, |record| record.state = State::Receiving).expect("a change");
        for done in [3, 9] {
            journal.mark(done, &mut buffer).expect("a mark");
        }
        let after = device.flash.borrow().content(0, 2048).to_vec();
        // The two copies are the first two entries that are new; the marks are shorter.
        let new: Vec<_> = (0..2048).step_by(16).filter(|&at| before[at..at + 16] != after[at..at + 16]).collect();
        let heads: Vec<_> = new.iter().filter(|&&at| after[at + 12] == 1 && after[at + 13] == 136).collect();
        assert_eq!(heads.len(), 2);
        heads.iter().for_each(|&&at| device.flash.borrow_mut().rot(8 * at));
        let mut journal = Journal::open(&device.flash, &TWO).expect("a layout").expect("a record");
        assert_eq!((journal.record().state, journal.record().progress), (State::Idle, 0));
        journal.change(&mut buffer, |record| record.state = State::Receiving).expect("a change");
        let journal = Journal::open(&device.flash, &TWO).expect("a layout").expect("a record");
        assert_eq!((journal.record().state, journal.record().progress), (State::Receiving, 0), "{changes}");
    }
}
