//! Adapters: families of files with them, and everything that can be wrong with one.

use codec_core::Error;
use codec_core::container::digest::{BaseId, Id};
use codec_core::container::v2::Header;
use codec_core::limits::{self, Profile};
use codec_core::neural::adapter::{Adapter, MAGIC, base_of, identity};
use codec_core::neural::base::Base;
use host_trainer::base::{Resident, SHIPPED, Shipped};
use host_trainer::codec::{CodecError, Format, Options, apply, apply_within, compress};
use host_trainer::fit::adapter::{Family, fit};
use proptest::prelude::*;

/// Settings of sensors, alike and yet each its own, with words that the base model has not seen.
fn configs(count: usize) -> Vec<Vec<u8>> {
    let words = ["quorvex", "blintar", "zephgum", "wrondil", "fjoskap", "yttrobe", "mexqual", "druvnik"];
    let mut state = 77u32;
    let mut next = move |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % n
    };
    let line = |next: &mut dyn FnMut(usize) -> usize| {
        let (a, b) = (words[next(8)], words[next(8)]);
        format!("<<{a}~{b}>> := |{}|{}| @@{}\n", next(1000), words[next(8)], next(64))
    };
    (0..count).map(|_| (0..12 + next(8)).map(|_| line(&mut next)).collect::<String>().into_bytes()).collect()
}

fn nano() -> (&'static Shipped, Base<'static>, BaseId) {
    let shipped = &SHIPPED[0];
    let (base, id) = Base::open(shipped.file).unwrap();
    (shipped, base, id)
}

fn family<'a>(files: &'a [Vec<u8>], held_out: &'a [Vec<u8>]) -> Family<'a> {
    Family { files, held_out, base: SHIPPED[0].file, profile: Profile::Small, seed: 1, threads: 2 }
}

fn options(base: Resident<'_>) -> Options<'_> {
    Options { profile: Profile::Small, format: Format::V2, base: Some(base), progress: None }
}

fn unknown(id: BaseId) -> Error {
    Error::Unknown { field: "base_id", found: u16::from_be_bytes(id.0).into() }
}

/// From a folder's files to an adapter, to containers and back; what is told is what is.
#[test]
fn a_family_becomes_shorter() {
    let files = configs(30);
    let (fitted, held_out) = files.split_at(24);
    let outcome = fit(family(fitted, held_out), &|_, _, _| {}).unwrap();
    outcome.rows.iter().for_each(|row| println!("{row:?}"));
    let (none, best) = (&outcome.rows[0], &outcome.rows[outcome.best]);
    assert!(best.total() < none.total() && best.held_out < none.held_out, "{best:?}");
    let file = outcome.file.unwrap();
    assert_eq!(file.len() as u64, best.adapter);
    // The same again, whatever the threads.
    let again = fit(Family { threads: 1, ..family(fitted, held_out) }, &|_, _, _| {}).unwrap();
    assert!(again.file.as_ref() == Some(&file) && again.rows == outcome.rows);

    let content = apply(&[&file], None).unwrap();
    let adapted = Resident::with_adapter(SHIPPED[0].file, &content).unwrap();
    let plain = SHIPPED[0].open().unwrap();
    let mut sent = 0;
    for new in fitted {
        let made = compress(new, None, &options(adapted)).unwrap().bytes;
        sent += made.len() as u64;
        assert_eq!(apply_within(&[&made], None, 1 << 20, Some(adapted)).unwrap(), *new);
        if Header::parse(&made).unwrap().0.base.is_some() {
            let refused = Err(CodecError::Refused(unknown(adapted.id)));
            assert_eq!(apply(&[&made], None), refused);
            assert_eq!(apply_within(&[&made], None, 1 << 20, Some(plain)), refused);
        }
    }
    assert_eq!(sent, best.files);
}

/// What cannot shrink is no family: nothing is sent.
#[test]
fn random_bytes_have_no_adapter() {
    let mut state = 5u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let files: Vec<Vec<u8>> = (0..6).map(|_| (0..700).map(|_| byte()).collect()).collect();
    let outcome = fit(family(&files, &[]), &|_, _, _| {}).unwrap();
    assert!(outcome.best == 0 && outcome.file.is_none() && outcome.rows.len() > 3, "{outcome:?}");
}

/// An adapter with all its sections, of numbers that look like nothing.
fn whole(flags: u8) -> Vec<u8> {
    let (_, base, id) = nano();
    let shape = base.shape();
    let mut state = 9u32;
    let mut codes = |n: usize, most: i32| -> Vec<u8> {
        let mut code = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i32 % (2 * most + 1) - most) as i8 as u8
        };
        (0..n).map(|_| code()).collect()
    };
    let mut content = [&MAGIC[..], &id.0, &[flags]].concat();
    if flags & 1 != 0 {
        content.push(5);
        content.extend(codes(1760, 4));
    }
    if flags & 2 != 0 {
        content.extend([6, 5]);
        content.extend(codes(2 * (shape.hidden * (shape.layers + 1) + 256), 3));
    }
    for (flag, rank, rows, columns) in [(4, 3, shape.hidden, shape.inputs()), (8, 2, 256, shape.hidden)] {
        if flags & flag != 0 {
            content.extend([rank as u8, 7, 7]);
            content.extend(codes(rank * (rows + columns), 9));
        }
    }
    content
}

fn parse(content: &[u8]) -> Result<Adapter<'_>, Error> {
    let (_, base, id) = nano();
    Adapter::parse(content, base.shape(), id)
}

/// Each section alone, and all together, change what a file costs, and the device's decoder follows.
#[test]
fn every_section_is_heard() {
    let new = crate::base::CONFIG.as_bytes();
    let mut lengths = Vec::new();
    for flags in [0, 1, 2, 4, 8, 15] {
        let content = whole(flags);
        let adapted = Resident::with_adapter(SHIPPED[0].file, &content).unwrap();
        let made = compress(new, None, &options(adapted)).unwrap().bytes;
        assert_eq!(Header::parse(&made).unwrap().0.base, Some(adapted.id), "{flags}");
        let mut decoder = Box::new(limits::Small::with_base(&[][..], adapted.held()));
        let mut rebuilt = vec![0; new.len()];
        let step = decoder.update(&made, &mut rebuilt).unwrap();
        assert!(step.written == new.len() && rebuilt == new, "{flags}");
        lengths.push(Id::of(&made[Header::parse(&made).unwrap().1..]).to_string());
    }
    lengths.sort();
    lengths.dedup();
    assert_eq!(lengths.len(), 6);
}

/// Both files as a device holds them, read in place.
#[test]
fn golden_adapter() {
    let path = crate::golden::golden().join("base/adapter.gmcf");
    if std::env::var_os("GMCF_BLESS").is_some_and(|value| value == "1") {
        let content = whole(15);
        let header = Header::parse(SHIPPED[0].file).unwrap().0;
        let len = content.len() as u32;
        let header = Header { new_len: len, payload_len: len, digest: Id::of(&content), ..header }.emit().unwrap();
        std::fs::write(&path, [&header[..], &content].concat()).unwrap();
    }
    let file = std::fs::read(&path).unwrap();
    let (_, _, id) = Adapter::open(SHIPPED[0].file, &file).unwrap();
    let (header, start) = Header::parse(&file).unwrap();
    let adapted = Resident::with_adapter(SHIPPED[0].file, &file[start..]).unwrap();
    let base = Header::parse(SHIPPED[0].file).unwrap().0.digest;
    assert_eq!((adapted.id, identity(&base, &header.digest)), (id, id));
    assert_eq!(apply(&[&file], None).unwrap(), file[start..]);
    let made = compress(crate::base::CONFIG.as_bytes(), None, &options(adapted)).unwrap().bytes;
    assert_eq!(Header::parse(&made).unwrap().0.base, Some(id));
    assert_eq!((id.to_string(), Id::of(&made).to_string()), (GOLDEN.0.into(), GOLDEN.1.into()));
}

/// Bytes before the first section: magic, base_id, flags.
const HEAD: usize = 7;

/// The pair's identity, and that of a container with it.
const GOLDEN: (&str, &str) = ("d75a", "55900386ccc508b857739db8f8af4169");

#[test]
fn adapters_of_others_are_refused_by_name() {
    let content = whole(15);
    let micro = &SHIPPED[1];
    let (_, _, id) = nano();
    let refused = Resident::with_adapter(micro.file, &content).unwrap_err();
    assert_eq!(refused, Error::Unknown { field: "adapter.base_id", found: u16::from_be_bytes(id.0).into() });
    assert!(refused.to_string().contains("not to this one"), "{refused}");
    assert_eq!(base_of(&content), Ok(id));
    assert!(matches!(base_of(SHIPPED[0].file), Err(Error::BadMagic { .. })));
    // A stored model is no adapter, and a delta is no stored adapter.
    assert!(Adapter::open(SHIPPED[0].file, SHIPPED[1].file).is_err());
}

#[test]
fn damaged_adapters_are_refused_by_name() {
    let content = whole(15);
    for len in 0..content.len() {
        assert!(matches!(parse(&content[..len]), Err(Error::Truncated { .. })), "{len}");
    }
    assert_eq!(parse(&[&content[..], &[0]].concat()).err(), Some(Error::Corrupt { field: "adapter" }));
    let shape = *nano().1.shape();
    let gain = HEAD + 1 + 1760;
    let low = gain + 2 + 2 * (shape.hidden * (shape.layers + 1) + 256);
    for (at, value, field, limit) in [
        (HEAD - 1, 16, "adapter.flags", 15),
        (HEAD, 9, "mix.shift", 8),
        (gain, 0, "gain.factor_shift", 1),
        (gain, 23, "gain.factor_shift", 22),
        (gain + 1, 9, "gain.bias_shift", 8),
        (low, 0, "low.rank", 1),
        (low, 9, "low.rank", 8),
        (low + 1, 23, "low.down_shift", 22),
        (low + 2, 0, "low.up_shift", 1),
    ] {
        let mut lie = content.clone();
        lie[at] = value;
        assert_eq!(parse(&lie).err(), Some(Error::OutOfRange { field, found: value.into(), limit }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in an adapter, it is refused, or a file with it comes back.
    #[test]
    fn hostile_adapters_do_no_harm(
        flags in 0u8..=15,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        fill in prop::option::of(any::<u8>()),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut content = whole(flags);
        if let Some(fill) = fill {
            content[HEAD..].iter_mut().skip(4).for_each(|byte| *byte = fill);
        }
        for (at, value) in changes {
            let at = at.index(content.len());
            content[at] = value;
        }
        if let Some(cut) = cut {
            content.truncate(cut.index(content.len()));
        }
        if let Ok(adapted) = Resident::with_adapter(SHIPPED[0].file, &content) {
            let new = &crate::base::CONFIG.as_bytes()[..200];
            let made = compress(new, None, &options(adapted)).unwrap().bytes;
            prop_assert_eq!(apply_within(&[&made], None, 1 << 20, Some(adapted)).unwrap(), new);
        }
    }
}
