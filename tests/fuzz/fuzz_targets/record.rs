//! Any flash: a state region, a download, slots and a scratch area that were never written by an updater, with entries
//! whose checks are right. Nothing panics, nothing outside the regions is touched, and what boots has the digest that
//! the record promises.
//!
//! Input: layout, the slots' content, entries of the state, entries of the download, scratch, then calls.
#![no_main]

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

use codec_core::container::digest::Id;
use codec_core::limits::{Profile, Tiny};
use host_trainer::release::in_place::Room;
use host_trainer::release::{Release, Settings, release};
use libfuzzer_sys::fuzz_target;
use tests::data::lines;
use tests::flash::SimFlash;
use tests::rig::{ATTEMPTS, PRODUCT, cut_up, key};
use update_core::boot::{Boot, boot};
use update_core::flash::log::{self, Entry};
use update_core::flash::{Layout, Partition, Region, Slots};
use update_core::keys::Keys;
use update_core::record::{Image, RECORD_LEN, Record, State};
use update_core::updater::{Config, Updater, least_buffer};

const ERASE: u32 = 256;
type Flash = SimFlash<4, { ERASE as usize }>;

const CONFIG: Config = Config { product: PRODUCT, profile: Profile::Tiny, attempts: ATTEMPTS };

const fn region(at: u32, len: u32) -> Region {
    Region { offset: at, len }
}

/// Between any two regions lies a block that nothing may touch.
const STATE: Region = region(ERASE, 2048);
const DOWNLOAD: Region = region(2 * ERASE + 2048, 2048);
const A: Region = region(3 * ERASE + 4096, 1536);
const B: Region = region(4 * ERASE + 4096 + 1536, 2560);
const LEN: u32 = 5 * ERASE + 4096 + 1536 + 2560;

fn images() -> &'static [Vec<u8>; 2] {
    static IMAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let old = lines(1000);
        let mut new = old.clone();
        new.splice(64..64, *b"something new");
        [old, new]
    })
}

/// Of both layouts: a delta and a whole one.
fn updates() -> &'static [[Release; 2]; 2] {
    static UPDATES: OnceLock<[[Release; 2]; 2]> = OnceLock::new();
    UPDATES.get_or_init(|| {
        let [old, new] = images();
        let room = Room { block: ERASE, scratch: B.len, write_size: 4, erase_size: ERASE };
        [None, Some(room)].map(|in_place| {
            [Some(&old[..]), None].map(|old| {
                let key = key(0);
                let (product, profile) = (PRODUCT, Profile::Tiny);
                let settings = Settings { product, version: 2, profile, key: (&key, 0), in_place, progress: None };
                release(new, old, &settings).expect("an update")
            })
        })
    })
}

fn image(choice: u8) -> Image {
    let [old, new] = images();
    let of = |image: &[u8], version| Image { len: image.len() as u32, version, id: Id::of(image) };
    match choice & 7 {
        0..=2 => of(old, 1),
        3..=5 => of(new, 2),
        6 => Image::NONE,
        _ => Image { len: u32::from(choice) << 24 | u32::from(choice), version: u32::MAX, id: Id([choice; 16]) },
    }
}

/// Lays entries into a partition: raw bytes, or entries whose check is right.
fn entries(
    part: &Partition<'_, Flash>,
    input: &mut impl FnMut() -> u8,
    mut payload: impl FnMut(&mut dyn FnMut() -> u8) -> (Entry, Vec<u8>),
) {
    let mut at = 0;
    let mut buffer = [0; 512];
    for _ in 0..input() % 24 {
        match input() % 8 {
            0 => {
                let bytes: Vec<u8> = (0..16).map(|_| input()).collect();
                let _ = part.write(at, &bytes);
                at = at.saturating_add(16);
            }
            1 => at = at.saturating_add(16 * u32::from(input() & 15)),
            _ => {
                let (entry, bytes) = payload(input);
                if at < part.len() {
                    let _ = log::append(part, &mut at, entry, &[&bytes], &mut buffer);
                }
            }
        }
    }
}

fn record(input: &mut dyn FnMut() -> u8) -> Vec<u8> {
    let number = |input: &mut dyn FnMut() -> u8| match input() {
        255 => u32::MAX,
        n => n.into(),
    };
    let sessions = updates().each_ref().map(|list| list.each_ref().map(|update| update.manifest.session()));
    let record = Record {
        state: State::from_number(input() % 9).unwrap_or(State::Idle),
        active: input() & 1,
        attempts: input(),
        progress: number(input),
        step: input() / 64,
        failure: 0,
        floor: number(input),
        session: sessions[usize::from(input() & 1)][usize::from(input() & 1)],
        keys: Keys { sequence: number(input), slots: [key(0).public(), key(1).public()] },
        images: [image(input()), image(input())],
    };
    let mut bytes = record.emit();
    if input() > 250 {
        bytes[usize::from(input()) % RECORD_LEN] = input();
    }
    bytes.to_vec()
}

fn boots(flash: &RefCell<Flash>, layout: &Layout) {
    let Ok(Boot::Run { slot, image, .. }) = boot(flash, layout, ATTEMPTS, &mut [0; 512]) else { return };
    let flash = flash.borrow();
    assert_eq!(Id::of(flash.content(layout.slot(slot).offset, image.len as usize)), image.id);
}

fuzz_target!(|bytes: &[u8]| {
    let rest = Cell::new(bytes);
    let mut input = || {
        let (byte, after) = rest.get().split_first().unwrap_or((&0, &[]));
        rest.set(after);
        *byte
    };
    let choice = input();
    let one = choice & 1;
    let slots = if one == 1 { Slots::One { slot: A, scratch: B } } else { Slots::Two([A, B]) };
    let layout = Layout { state: STATE, download: DOWNLOAD, slots };
    let mut flash = Flash::new(LEN as usize);
    for slot in [A, B] {
        match input() & 3 {
            0 => flash.lay_down(slot.offset as usize, &images()[0]),
            1 => flash.lay_down(slot.offset as usize, &images()[1]),
            2 => {
                let part: Vec<u8> = (0..64).map(|_| input()).collect();
                flash.lay_down(slot.offset as usize, &part.repeat(20));
            }
            _ => {}
        }
    }
    let guards = [STATE, DOWNLOAD, A, B].map(|region| (region.offset - ERASE, region.offset));
    flash.forbidden = guards.to_vec();
    flash.forbidden.push((LEN - ERASE, LEN));
    let flash = RefCell::new(flash);
    let state = Partition::new(&flash, STATE);
    for half in 0..2 {
        entries(&state.part(half * 1024, 1024), &mut input, |input| {
            let session = u32::from(input() % 8);
            if input() & 3 == 0 {
                let number = if input() == 255 { u32::MAX } else { u32::from(input() % 16) };
                return (Entry { session, number, kind: 2, len: 0 }, Vec::new());
            }
            let bytes = record(input);
            (Entry { session, number: 0, kind: 1, len: bytes.len() as u8 }, bytes)
        });
    }
    let update = &updates()[usize::from(one)][usize::from(choice >> 1 & 1)];
    let download = Partition::new(&flash, DOWNLOAD);
    let mut offset = 0;
    for sector in 0..2 {
        entries(&download.part(sector * 1024, 1024), &mut input, |input| {
            // The next piece of a real update, or of one that lies.
            let len = if input() & 3 == 0 { usize::from(input()) % 120 } else { 112 };
            let mut piece: Vec<u8> = update.bytes.iter().skip(offset).take(len).copied().collect();
            if input() > 240 {
                let at = usize::from(input()) % piece.len().max(1);
                piece.resize(piece.len().max(1), 0);
                piece[at] ^= input();
            }
            let number = offset as u32 + u32::from(input() > 250);
            offset += piece.len();
            (Entry { session: update.manifest.session(), number, kind: 3, len: piece.len() as u8 }, piece)
        });
    }
    boots(&flash, &layout);
    for _ in 0..24 {
        let mut buffer = vec![0xa5; least_buffer::<Flash>() + 8 * usize::from(choice >> 2)];
        let Ok(mut updater) = Updater::open(&flash, layout, CONFIG, &mut buffer) else { return };
        let (manifest, payload) = cut_up(update);
        updater.info();
        let _ = match input() % 10 {
            0 | 1 => updater.install(Tiny::new),
            2 => updater.prepare(Tiny::new),
            3 => updater.confirm(),
            4 => updater.offer(manifest).map(drop),
            5 => {
                let at = updater.info().received as usize;
                updater.receive(at as u32, payload.get(at..).unwrap_or(&[]))
            }
            6 => updater.receive(input().into(), &[0; 40]),
            7 => updater.rotate(&key(1).rotate(PRODUCT, input().into(), 0, key(2).public()).emit()),
            _ => {
                boots(&flash, &layout);
                Ok(())
            }
        };
        if rest.get().is_empty() {
            break;
        }
    }
    boots(&flash, &layout);
});
