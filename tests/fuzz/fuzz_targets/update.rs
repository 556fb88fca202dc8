//! Any sequence of calls, power cuts and rotten bits: what boots is whole and was signed; in the end a whole update
//! always helps, unless the record itself is gone.
//!
//! Input: layout, then calls.
#![no_main]

use std::cell::RefCell;
use std::sync::OnceLock;

use codec_core::container::digest::Id;
use codec_core::limits::{Profile, Tiny};
use host_trainer::release::in_place::Room;
use host_trainer::release::keys::SecretKey;
use host_trainer::release::{Release, Settings, release};
use libfuzzer_sys::fuzz_target;
use tests::data::lines;
use tests::flash::{SimFlash, Torn};
use tests::rig::{ATTEMPTS, PRODUCT, cut_up, factory, key};
use update_core::Error;
use update_core::boot::{Boot, boot};
use update_core::flash::Layout;
use update_core::manifest::{Manifest, Mode};
use update_core::record::State;
use update_core::updater::{Config, Updater};

const ERASE: usize = 256;
type Flash = SimFlash<4, ERASE>;

const CONFIG: Config = Config { product: PRODUCT, profile: Profile::Tiny, attempts: ATTEMPTS };
const TWO: Layout = Layout::two(2048, 3072, 2048);
const ONE: Layout = Layout::one(2048, 3072, 2560, 2048);
/// Calls of one input at most, and those of them that decode.
const MOST_CALLS: usize = 60;
const MOST_INSTALLS: usize = 8;

struct World {
    first: [Flash; 2],
    /// Updates of each layout; the last one needs no old image.
    updates: [Vec<Release>; 2],
    statements: Vec<Vec<u8>>,
    /// Everything that was ever signed.
    known: Vec<Id>,
}

fn images() -> [Vec<u8>; 3] {
    let a = lines(1200);
    let mut b = a.clone();
    b.splice(100..100, *b"inserted at the front");
    b[700..720].fill(b'-');
    let mut c = a[500..].to_vec();
    c.extend(&a[..600]);
    [a, b, c]
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let [a, b, c] = images();
        let room = |scratch| Room { block: ERASE as u32, scratch, write_size: 4, erase_size: ERASE as u32 };
        let updates = [None, Some(room(2560))].map(|in_place| {
            let make = |new: &[u8], old: Option<&[u8]>, version, slot: u8, in_place| {
                let key = key(slot);
                let (product, profile) = (PRODUCT, Profile::Tiny);
                let settings = Settings { product, version, profile, key: (&key, slot), in_place, progress: None };
                release(new, old, &settings).expect("an update")
            };
            // Two steps where there is one slot.
            let tight = in_place.map(|_| room(1536));
            vec![
                make(&b, Some(&a), 2, 0, in_place),
                make(&c, Some(&a), 3, 0, in_place),
                make(&c, Some(&b), 3, 1, tight),
                make(&a, Some(&b), 4, 0, in_place),
                make(&c, None, 5, 1, in_place),
                make(&b, None, 6, 0, in_place),
            ]
        });
        let statements = [
            key(1).rotate(PRODUCT, 1, 0, key(2).public()),
            key(0).rotate(PRODUCT, 1, 1, key(2).public()),
            key(2).rotate(PRODUCT, 2, 0, key(0).public()),
            key(2).rotate(PRODUCT, 2, 1, key(1).public()),
        ];
        World {
            first: [factory(TWO, &a), factory(ONE, &a)],
            updates,
            statements: statements.iter().map(|statement| statement.emit().to_vec()).collect(),
            known: [a, b, c].iter().map(|image| Id::of(image)).collect(),
        }
    })
}

struct Device {
    flash: RefCell<Flash>,
    layout: Layout,
    /// Update that was offered last, as sent.
    offered: Vec<u8>,
    /// Bits of the flash rotted.
    rotten: u32,
}

impl Device {
    /// `None` when there is no record.
    fn with<T>(&self, work: impl FnOnce(&mut Updater<'_, '_, Flash>) -> T) -> Option<T> {
        let mut buffer = [0; 1024];
        match Updater::open(&self.flash, self.layout, CONFIG, &mut buffer) {
            Ok(mut updater) => Some(work(&mut updater)),
            Err(Error::NothingToBoot) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Boots and checks what runs.
    fn boot(&self) -> Option<Boot> {
        let found = match boot(&self.flash, &self.layout, ATTEMPTS, &mut [0; 1024]) {
            Ok(found) => found,
            Err(Error::NothingToBoot) => return None,
            Err(error) => panic!("{error}"),
        };
        if let Boot::Run { slot, image, .. } = found {
            let flash = self.flash.borrow();
            let content = flash.content(self.layout.slot(slot).offset, image.len as usize);
            assert_eq!(Id::of(content), image.id, "{found:?}");
            assert!(world().known.contains(&image.id), "{found:?}");
        }
        Some(found)
    }

    /// Restarts until it is clear what runs.
    fn settle(&self) {
        for _ in 0..3 {
            match self.boot() {
                Some(Boot::Resume) => drop(self.with(|updater| updater.install(Tiny::new))),
                _ => return,
            }
        }
    }

    fn call(&mut self, call: u8, input: &mut impl FnMut() -> u8, installs: &mut usize) {
        let world = world();
        let updates = &world.updates[usize::from(self.layout.slots.is_one())];
        match call % 16 {
            0..=2 => {
                let update = &updates[usize::from(input()) % updates.len()];
                let mut manifest = *cut_up(update).0;
                if call / 16 == 15 {
                    manifest[usize::from(input()) % 132] ^= 1 << (input() & 7);
                }
                if self.with(|updater| updater.offer(&manifest)).is_some_and(|offer| offer.is_ok()) {
                    self.offered = update.bytes.clone();
                }
            }
            // What is wanted, cut as the input says.
            3..=5 => {
                let len = 8 * usize::from(input());
                let payload = self.offered.get(132..).unwrap_or(&[]);
                self.with(|updater| {
                    let at = updater.info().received as usize;
                    let end = payload.len().min(at + len);
                    if let Some(bytes) = payload.get(at..end) {
                        let _ = updater.receive(at as u32, bytes);
                    }
                });
            }
            6 => {
                let bytes: Vec<u8> = (0..input() % 32).map(|_| input()).collect();
                let at = u32::from(input());
                self.with(|updater| updater.receive(updater.info().received.wrapping_add(at), &bytes));
            }
            7 | 8 if *installs < MOST_INSTALLS => {
                *installs += 1;
                self.with(|updater| updater.install(Tiny::new));
            }
            9 if *installs < MOST_INSTALLS => {
                *installs += 1;
                self.with(|updater| updater.prepare(Tiny::new));
            }
            10 => drop(self.with(|updater| updater.confirm())),
            11 => {
                let statement = &world.statements[usize::from(input()) % world.statements.len()];
                let len = statement.len() - usize::from(call / 16 == 15);
                self.with(|updater| updater.rotate(&statement[..len]));
            }
            12 => drop(self.boot()),
            // The next calls go on until the power fails.
            13 => {
                let mut flash = self.flash.borrow_mut();
                let at = flash.operations + u64::from(input());
                flash.cut_at(at, Torn::ALL[usize::from(input() & 3)], at + u64::from(call));
            }
            14 if self.rotten < 6 => {
                self.rotten += 1;
                let regions = self.layout.regions();
                let (_, region) = regions[usize::from(input() & 3)];
                let byte = (region.offset + (u32::from(input()) << 8 | u32::from(input())) % region.len) as usize;
                let mut flash = self.flash.borrow_mut();
                if call / 16 == 15 { flash.spoil(byte) } else { flash.rot(8 * byte + usize::from(call / 16 & 7)) }
            }
            _ => self.flash.borrow_mut().restart(),
        }
        if self.flash.borrow().is_off() {
            self.flash.borrow_mut().restart();
        }
    }

    /// Whatever happened, an update that needs nothing and that a key of the device signed makes it run.
    fn rescue(&self) {
        self.flash.borrow_mut().restart();
        self.settle();
        // A trial ends.
        for _ in 0..=ATTEMPTS {
            self.settle();
        }
        let Some(record) = self.with(|updater| *updater.record()) else {
            assert!(self.rotten > 1, "the record is gone");
            return;
        };
        let signer = (0..3).map(key).find_map(|key: SecretKey| {
            record.keys.slots.iter().position(|public| *public == key.public()).map(|slot| (slot as u8, key))
        });
        let Some((slot, key)) = signer else { panic!("a device without keys") };
        let updates = &world().updates[usize::from(self.layout.slots.is_one())];
        let whole = updates.last().expect("updates");
        let trial = self.with(|updater| updater.image().version).unwrap_or(0);
        let version = record.floor.max(trial) + 1;
        let manifest = Manifest { key: slot, version, ..whole.manifest };
        assert_eq!(manifest.mode == Mode::InPlace, self.layout.slots.is_one());
        let head = manifest.emit(&key.sign(&manifest.message()));
        let payload = cut_up(whole).1;
        self.with(|updater| {
            let at = updater.offer(&head).unwrap_or_else(|error| panic!("{error} in {:?}", updater.record()));
            updater.receive(at, &payload[at as usize..]).expect("all bytes");
            updater.install(Tiny::new).expect("a whole update");
        });
        let found = self.boot();
        assert!(matches!(found, Some(Boot::Run { image, trial: true, .. }) if image.id == manifest.image), "{found:?}");
        self.with(|updater| updater.confirm()).expect("a record").expect("it runs");
        assert_eq!(self.with(|updater| updater.record().state), Some(State::Confirmed));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let world = world();
    let layout = [TWO, ONE][usize::from(choice & 1)];
    let flash = RefCell::new(world.first[usize::from(choice & 1)].clone());
    let mut device = Device { flash, layout, offered: Vec::new(), rotten: 0 };
    let mut rest = rest.iter().copied();
    let mut installs = 0;
    for _ in 0..MOST_CALLS {
        let Some(call) = rest.next() else { break };
        device.call(call, &mut || rest.next().unwrap_or(0), &mut installs);
    }
    device.rescue();
});
