//! The device's side of updates: nothing that comes from the flash or the link may brick it.
//!
//! - [`offers`]: what is refused, what goes on after a restart, in each state;
//! - [`payloads`]: payloads that are signed and wrong;
//! - [`trials`]: confirmed or rolled back; [`keys`]: how they replace each other;
//! - [`rounds`]: many updates one after the other; [`whole`]: devices that have nothing to boot;
//! - [`geometry`], [`layout`]: flashes and regions of all sizes;
//! - [`in_place`]: steps, cycles, growth and shrinkage with one slot;
//! - [`rot`], [`cuts`]: rotten bits and power cuts, alone and together; [`journal`]: the record; [`worn`]: flash that is at its end.

mod cuts;
mod geometry;
mod in_place;
mod journal;
mod keys;
mod layout;
mod offers;
mod payloads;
mod rot;
mod rounds;
mod trials;
mod whole;
mod worn;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use codec_core::limits::Small;
use host_trainer::release::Release;
use host_trainer::release::in_place::Room;
use tests::data::pair_named;
use tests::flash::{Forks, SimFlash, Torn};
use tests::rig::{self, BUFFER, Booted, config};
use update_core::Error;
use update_core::flash::Layout;
use update_core::record::State;
use update_core::updater::Updater;

const WRITE: usize = 4;
const ERASE: usize = 512;
type Flash = SimFlash<WRITE, ERASE>;

const DOWNLOAD: u32 = 8 * 1024;
const SCRATCH: u32 = 5 * 1024;
const SLOT: u32 = 8 * 1024;
const TWO: Layout = Layout::two(2 * 1024, DOWNLOAD, SLOT);
const ONE: Layout = Layout::one(2 * 1024, DOWNLOAD, SCRATCH, SLOT);

fn room() -> Room {
    Room { block: ERASE as u32, scratch: SCRATCH, write_size: WRITE as u32, erase_size: ERASE as u32 }
}

/// Start of a real image, and of the next version of it.
fn images() -> (&'static [u8], &'static [u8]) {
    let pair = pair_named("fw-espboot-c3 3.3.0");
    (&pair.old()[..4000], &pair.new[..4300])
}

/// What devices of both layouts are updated with.
struct Updates {
    layout: Layout,
    /// Version 2: the new image from the old one.
    delta: Release,
    /// Version 3: the new image, whatever the device has.
    whole: Release,
    /// Version 4: the old image, whatever the device has.
    back: Release,
}

/// For two slots, and for one.
fn updates() -> &'static [Updates; 2] {
    static UPDATES: OnceLock<[Updates; 2]> = OnceLock::new();
    UPDATES.get_or_init(|| {
        let (old, new) = images();
        [(TWO, None), (ONE, Some(room()))].map(|(layout, room)| Updates {
            layout,
            delta: rig::update(new, Some(old), 2, room),
            whole: rig::update(new, None, 3, room),
            back: rig::update(old, None, 4, room),
        })
    })
}

/// A device and its flash.
struct Device<const W: usize = WRITE, const E: usize = ERASE, const R: usize = 1> {
    flash: RefCell<SimFlash<W, E, R>>,
    layout: Layout,
}

impl<const W: usize, const E: usize, const R: usize> Device<W, E, R> {
    fn new(layout: Layout, image: &[u8]) -> Self {
        Self { flash: RefCell::new(rig::factory(layout, image)), layout }
    }

    fn of(flash: SimFlash<W, E, R>, layout: Layout) -> Self {
        Self { flash: RefCell::new(flash), layout }
    }

    /// Opens an updater, as after a restart.
    fn with<T>(&self, work: impl FnOnce(&mut Updater<'_, '_, SimFlash<W, E, R>>) -> T) -> T {
        let mut buffer = [0; BUFFER];
        work(&mut Updater::open(&self.flash, self.layout, config(), &mut buffer).expect("the device has a record"))
    }

    fn state(&self) -> State {
        self.with(|updater| updater.record().state)
    }

    fn start(&self) -> Booted {
        rig::start(&self.flash, &self.layout).expect("a device with power starts")
    }

    fn drive(&self, update: &Release) -> Result<Booted, Error> {
        rig::drive(&self.flash, &self.layout, update)
    }

    /// Receives and installs it.
    fn install(&self, update: &Release) -> Result<(), Error> {
        self.with(|updater| {
            rig::send(updater, update)?;
            updater.install(Small::new)
        })
    }

    /// Checks that `version` boots and holds `image`.
    fn runs(&self, version: u32, image: &[u8]) {
        let booted = self.start();
        assert!(booted.image.as_ref().is_some_and(|(v, i)| *v == version && i == image), "{booted:?}");
    }

    /// All the flash holds, and how many operations it took.
    fn all(&self) -> (u64, Vec<u8>) {
        let flash = self.flash.borrow();
        (flash.operations, flash.content(0, flash.len()).to_vec())
    }

    /// Lets the slot `index` change no more.
    fn protect(&self, index: u8) {
        let slot = self.layout.slot(index);
        self.flash.borrow_mut().forbidden = vec![(slot.offset, slot.offset + slot.len)];
    }
}

fn before(_: u64) -> Vec<Torn> {
    vec![Torn::Before]
}

/// The flash as it is before each operation of the update, until it is confirmed.
fn moments(updates: &Updates) -> Vec<Flash> {
    let (to, forks) = std::sync::mpsc::sync_channel(1 << 16);
    let device = Device::new(updates.layout, images().0);
    device.flash.borrow_mut().forks = Some(Forks { to, ways: before });
    device.drive(&updates.delta).expect("an update without a fault");
    drop(device);
    forks.iter().map(|fork| fork.flash).collect()
}

/// A device in each state that it can be in.
fn in_each_state(updates: &Updates) -> BTreeMap<State, Flash> {
    let mut found = BTreeMap::new();
    for flash in moments(updates) {
        let device = Device::of(flash, updates.layout);
        let state = device.state();
        found.insert(state, device.flash.into_inner());
    }
    let trial = Device::of(found[&State::Trial].clone(), updates.layout);
    trial.with(|updater| updater.confirm()).expect("a trial can be confirmed");
    found.insert(State::Confirmed, trial.flash.into_inner());
    if !updates.layout.slots.is_one() {
        let back = Device::of(found[&State::Ready].clone(), updates.layout);
        for _ in 0..=rig::ATTEMPTS {
            back.start();
        }
        found.insert(State::RolledBack, back.flash.into_inner());
    }
    let never = if updates.layout.slots.is_one() { State::RolledBack } else { State::Moving };
    assert!(State::ALL.iter().all(|state| found.contains_key(state) == (*state != never)), "{:?}", found.keys());
    found
}
