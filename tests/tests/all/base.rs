//! Base models: small files with them, and everything that can be wrong with one.

use codec_core::Error;
use codec_core::container::digest::{BaseId, Id};
use codec_core::container::v2::{Header, Mode};
use codec_core::decoder::Status;
use codec_core::limits::{self, Profile};
use codec_core::neural::base::Base;
use codec_core::neural::shape::{Evoformer, Shape};
use host_trainer::base::{Resident, SHIPPED, Shipped};
use host_trainer::codec::{CodecError, Format, Options, apply, apply_within, compress, inspect};
use host_trainer::files::Scratch;
use host_trainer::train::neural::data::Example;
use host_trainer::train::neural::net::Net;
use host_trainer::train::neural::quantise;
use host_trainer::train::neural::run::{Settings, train};
use host_trainer::train::neural::{BaseArgs, BaseError, Keep, Watched, base};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;

const SCRIPT: &str = include_str!("../../golden/pump.js");

pub(crate) const CONFIG: &str = include_str!("../../golden/pump.json");

/// What a decoder says that lacks this model.
fn unknown(id: BaseId) -> Error {
    Error::Unknown { field: "base_id", found: u16::from_be_bytes(id.0).into() }
}

fn options<'a>(profile: Profile, base: Option<Resident<'a>>) -> Options<'a> {
    Options { profile, format: Format::V2, base, progress: None }
}

/// The bytes that the shipped models give: the network's integers are fixed by them, on every machine.
#[test]
fn golden_containers() {
    let golden = [
        ("nano", SCRIPT, "e241a1aff1771f6c41555f87b7a06dbd"),
        ("nano", CONFIG, "16f2daef7264022952757eb7c788957e"),
        ("micro", SCRIPT, "9ce0e3f95b786caf95f5fc55abc56435"),
        ("micro", CONFIG, "6f963c9db0ccf692dbec6da08b2f46c3"),
    ];
    let mut found = Vec::new();
    for (name, text, _) in golden {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name).unwrap();
        let options = options(shipped.least, Some(shipped.open().unwrap()));
        let made = compress(text.as_bytes(), None, &options).unwrap();
        let alone = compress(text.as_bytes(), None, &Options { base: None, ..options }).unwrap();
        println!("{name}: {} bytes, {} with the model, {} without", text.len(), made.bytes.len(), alone.bytes.len());
        assert!(made.bytes.len() * 10 < alone.bytes.len() * 8, "the model helps little");
        assert_eq!(apply(&[&made.bytes], None).unwrap(), text.as_bytes());
        assert_eq!(inspect(&made.bytes, None, None).unwrap().base_name, Some(name));
        found.push(Id::of(&made.bytes).to_string());
    }
    let wanted = golden.map(|(_, _, id)| id);
    assert_eq!(found, wanted);
}

#[test]
fn shipped_models_are_whole_and_fit() {
    for shipped in &SHIPPED {
        Resident::open(shipped.file).unwrap();
        let words = codec_core::neural::coder::Neural::new(shipped.open().unwrap().model).words();
        println!("{}: {words} words", shipped.name);
        assert!(words <= shipped.least.parameters().words as usize / 2, "{}: {words} words", shipped.name);
    }
    assert!(Shipped::of(Profile::Tiny).is_none());
    let names = [Profile::Small, Profile::Medium, Profile::Host].map(|profile| Shipped::of(profile).unwrap().name);
    assert_eq!(names, ["nano", "micro", "small"]);
}

/// As the decoder of a device gets them: byte by byte.
#[test]
fn chunking_does_not_matter() {
    let shipped = Shipped::of(Profile::Small).unwrap();
    let resident = shipped.open().unwrap();
    let made = compress(SCRIPT.as_bytes(), None, &options(Profile::Small, Some(resident))).unwrap().bytes;
    let mut decoder = Box::new(limits::Small::with_base(&[][..], resident.held()));
    let (mut rebuilt, mut at) = (Vec::new(), 0);
    loop {
        let mut byte = [0];
        let input = &made[at..made.len().min(at + 1)];
        let step = decoder.update(input, &mut byte).unwrap();
        at += step.consumed;
        rebuilt.extend_from_slice(&byte[..step.written]);
        match step.status {
            Status::Done => break,
            Status::NeedInput => assert!(at < made.len()),
            Status::NeedOutput => {}
        }
    }
    assert_eq!(rebuilt, SCRIPT.as_bytes());
}

#[test]
fn devices_without_the_model_refuse() {
    let [nano, micro] = [0, 1].map(|i| SHIPPED[i].open().unwrap());
    let made = compress(SCRIPT.as_bytes(), None, &options(Profile::Small, Some(nano))).unwrap().bytes;
    let mut out = [0; 16];
    let mut without = Box::new(limits::Small::new(&[][..]));
    assert_eq!(without.update(&made, &mut out), Err(unknown(nano.id)));
    let mut other = Box::new(limits::Small::with_base(&[][..], micro.held()));
    assert_eq!(other.update(&made, &mut out), Err(unknown(nano.id)));
    assert_eq!(out, [0; 16]);
    // A model that no one ships, named by hand.
    let (header, len) = Header::parse(&made).unwrap();
    let no_one = BaseId([1, 2]);
    let lie = Header { base: Some(no_one), ..header }.emit().unwrap();
    let lie = [&lie[..], &made[len..]].concat();
    let refused = Err(CodecError::Refused(unknown(no_one)));
    assert_eq!(apply(&[&lie], None), refused);
    assert_eq!(apply_within(&[&lie], None, 1 << 20, Some(nano)), refused);
    assert_eq!(unknown(no_one).to_string(), "the container needs the base model 0102, which is not here");
}

#[test]
fn models_too_large_for_the_profile_are_refused() {
    let micro = SHIPPED[1].open().unwrap();
    let refused = compress(SCRIPT.as_bytes(), None, &options(Profile::Small, Some(micro))).err();
    let Some(CodecError::Refused(Error::OverBudget { field: "base", requested, limit })) = refused else {
        panic!("{refused:?}");
    };
    assert!(requested > limit);
}

#[test]
fn headers_with_a_model_are_coded_and_not_primed() {
    let nano = SHIPPED[0].open().unwrap();
    let made = compress(SCRIPT.as_bytes(), None, &options(Profile::Small, Some(nano))).unwrap().bytes;
    assert_eq!(Header::parse(&made).unwrap().0.mode, Mode::Coded);
    for flags in [made[1] & !8, made[1] | 16] {
        let mut lie = made.clone();
        lie[1] = flags;
        assert_eq!(Header::parse(&lie), Err(Error::Unknown { field: "flags", found: flags.into() }));
    }
}

/// A damaged model is told by its digest, a cut one by its length; neither makes the reader panic.
#[test]
fn damaged_models_are_refused() {
    let file = SHIPPED[0].file;
    for len in (0..200).chain((200..file.len()).step_by(997)) {
        assert!(Base::open(&file[..len]).is_err(), "{len}");
    }
    let (_, start) = Header::parse(file).unwrap();
    for at in (start..start + 64).chain((start + 64..file.len()).step_by(4999)) {
        let mut damaged = file.to_vec();
        damaged[at] ^= 0x55;
        assert!(Resident::open(&damaged).is_err(), "{at}");
    }
}

/// A device does not hash its model for every container. Whatever stands in it, decoding ends, and with another file
/// than was promised it says so.
#[test]
fn whatever_a_model_holds_decoding_ends() {
    let nano = SHIPPED[0].open().unwrap();
    let made = compress(CONFIG.as_bytes(), None, &options(Profile::Small, Some(nano))).unwrap().bytes;
    let (_, start) = Header::parse(SHIPPED[0].file).unwrap();
    // Magic and sizes stay; of what follows the shifts are the only bytes that can be out of range.
    let layers = start + 12;
    let mut read = 0;
    for fill in [0u8, 1, 0x7f, 0x80, 0xff] {
        let kept = |step: usize| {
            let mut file = SHIPPED[0].file.to_vec();
            file[layers..].iter_mut().enumerate().filter(|(i, _)| i % step != 0).for_each(|(_, byte)| *byte = fill);
            file
        };
        for step in [2, 3, 101, 5003, usize::MAX] {
            let file = kept(step);
            let Ok((model, id)) = Base::open(&file) else { continue };
            read += 1;
            let own = Resident { model, id, adapter: None };
            let rebuilt = apply_within(&[&made], None, 1 << 20, Some(own));
            assert!(rebuilt.is_err(), "filled with {fill}, every {step}th kept");
            let again = compress(CONFIG.as_bytes(), None, &options(Profile::Small, Some(own))).unwrap();
            assert!(again.bytes.len() <= CONFIG.len() + 26);
        }
    }
    assert!(read >= 5, "{read}");
}

/// A folder of a user's own files.
fn plant() -> Scratch {
    let folder = Scratch::new("base").unwrap();
    for i in 0..40 {
        let sub = folder.join(&format!("plant-{}", i % 8));
        std::fs::create_dir_all(&sub).unwrap();
        let text =
            CONFIG.replace("pump-7", &format!("valve-{i}")).replace("bme280", ["sht31", "scd41", "bme680"][i % 3]);
        std::fs::write(sub.join(format!("{i}.json")), text).unwrap();
    }
    folder
}

/// Training on it; the model goes into the same folder.
fn args(plant: &Scratch, epochs: usize) -> BaseArgs {
    BaseArgs {
        folders: vec![plant.join("")],
        updates: None,
        output: plant.join("own.gmcf"),
        size: "nano".into(),
        epochs,
        seed: 1,
        threads: 1,
        curve: None,
        checkpoint: None,
    }
}

/// A user's own model, from a folder of files to a container and back.
#[test]
fn a_model_of_ones_own() {
    a_model_of("nano");
}

#[test]
fn an_evoformer_of_ones_own() {
    a_model_of("nano-evoformer");
}

fn a_model_of(size: &str) {
    let plant = plant();
    let args = BaseArgs { size: size.into(), ..args(&plant, 6) };
    let outcome = base(&args, &|_| {}).unwrap();
    assert!(outcome.held_back.0 > 0 && outcome.learned > 10_000, "{outcome:?}");
    // Files so alike cost a few bytes in all.
    assert!((outcome.integer - outcome.float).abs() < 1.0 + 0.02 * outcome.float, "{outcome:?}");
    let file = std::fs::read(&args.output).unwrap();
    let own = Resident::open(&file).unwrap();
    let made = compress(CONFIG.as_bytes(), None, &options(Profile::Small, Some(own))).unwrap();
    let alone = compress(CONFIG.as_bytes(), None, &options(Profile::Small, None)).unwrap();
    println!("{} bytes with a model of one's own, {} without", made.bytes.len(), alone.bytes.len());
    assert!(made.bytes.len() * 2 < alone.bytes.len());
    assert_eq!(apply(&[&made.bytes], None), Err(CodecError::Refused(unknown(own.id))));
    assert_eq!(apply_within(&[&made.bytes], None, 1 << 20, Some(own)).unwrap(), CONFIG.as_bytes());
}

/// A run that is killed twice, with checkpoint, curve and model among the files that it learns from, makes the model of
/// a run that is not.
#[test]
fn an_interrupted_run_makes_the_same_model() {
    let plant = plant();
    let whole = BaseArgs { curve: Some(plant.join("whole.svg")), ..args(&plant, 2) };
    let held_back = Mutex::new(Vec::new());
    let expected = base(&whole, &|watched| {
        if let Watched::Network(progress) = watched {
            held_back.lock().unwrap().push(progress.held_back);
        }
    })
    .unwrap();
    let held_back = held_back.into_inner().unwrap();
    let measured: Vec<f64> = held_back.iter().copied().flatten().collect();
    assert_eq!(held_back.first(), Some(&None));
    assert!(
        measured.len() > held_back.len() / 2 && measured[0] > 4.0 && *measured.last().unwrap() < 4.0,
        "{measured:?}"
    );
    let model = std::fs::read(&whole.output).unwrap();
    let svg = std::fs::read(plant.join("whole.svg")).unwrap();
    std::fs::remove_file(&whole.output).unwrap();

    let keep = Keep { path: plant.join("run.ckpt"), every: Duration::ZERO };
    // The curve of the whole run lies among the files as well, and is no file of this run.
    std::fs::remove_file(plant.join("whole.svg")).unwrap();
    let cut = BaseArgs { curve: Some(plant.join("cut.svg")), checkpoint: Some(keep.clone()), ..args(&plant, 2) };
    let mut from = 0;
    for end in [0.3, 0.8] {
        let resumed = Mutex::new(0);
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            base(&cut, &|watched| match watched {
                Watched::Resumed(progress) => *resumed.lock().unwrap() = progress.seen,
                Watched::Network(progress) if progress.seen as f64 > progress.all as f64 * end => {
                    resume_unwind(Box::new(progress.seen))
                }
                _ => {}
            })
        }));
        assert_eq!(*resumed.lock().unwrap(), from, "it goes on where it stopped");
        from = *stopped.unwrap_err().downcast::<u64>().unwrap();
        assert!(std::fs::read_to_string(plant.join("cut.svg")).unwrap().contains("held back"));
        assert!(!cut.output.exists());
    }
    let outcome = base(&cut, &|_| {}).unwrap();
    assert!(std::fs::read(&cut.output).unwrap() == model, "another model");
    assert_eq!(outcome.float.to_bits(), expected.float.to_bits());
    assert!(std::fs::read(plant.join("cut.svg")).unwrap() == svg, "another curve");

    // The file is of this run, and of no other.
    for (other, field) in [
        (BaseArgs { seed: 2, ..cut.clone() }, "seed: 1 there, 2 now"),
        (BaseArgs { size: "micro".into(), ..cut.clone() }, "size: nano there, micro now"),
        (BaseArgs { epochs: 3, ..cut.clone() }, "epochs: 2 there, 3 now"),
    ] {
        let Err(BaseError::Input { path, what, hint }) = base(&other, &|_| panic!("it trains")) else {
            panic!("{field}: no error")
        };
        assert!(path == keep.path && what.contains(field) && hint.contains("delete it"), "{what}");
    }
    std::fs::write(plant.join("plant-3/new.json"), CONFIG).unwrap();
    let error = base(&cut, &|_| panic!("it trains")).unwrap_err().to_string();
    assert!(error.contains("files to learn from") || error.contains("files held back"), "{error}");
}

/// A model that learned from updates is of use where old and new differ in the same way again.
#[test]
fn a_model_learns_from_updates() {
    let plant = plant();
    let changed =
        |text: &str| text.replace("\"interval\"", "\"sampling_interval_ms\"").replace("bme280", "scd41-precise");
    let updates = Scratch::new("updates").unwrap();
    let mut pairs = "class\tsplit\tfamily\told\tnew\told_bytes\tnew_bytes\n".to_owned();
    for i in 0..60 {
        let old = CONFIG.replace("pump-7", &format!("valve-{i}"));
        for (name, text) in [("old", old.clone()), ("new", changed(&old))] {
            std::fs::write(updates.join(&format!("{i}.{name}")), text).unwrap();
        }
        pairs += &format!("C\ttrain\tvalves\t{i}.old\t{i}.new\t0\t0\n");
    }
    std::fs::write(updates.join("PAIRS.tsv"), pairs).unwrap();
    let bytes = |updates| {
        let args = BaseArgs { updates, ..args(&plant, 6) };
        let learned = base(&args, &|_| {}).unwrap().learned;
        let file = std::fs::read(&args.output).unwrap();
        let own = Resident::open(&file).unwrap();
        let new = changed(CONFIG);
        let made = compress(new.as_bytes(), Some(CONFIG.as_bytes()), &options(Profile::Small, Some(own))).unwrap();
        let rebuilt = apply_within(&[&made.bytes], Some(CONFIG.as_bytes()), 1 << 20, Some(own)).unwrap();
        assert_eq!(rebuilt, new.as_bytes());
        (learned, made.bytes.len())
    };
    let (files, with) = (bytes(None), bytes(Some(updates.join(""))));
    println!("bytes learned, bytes of an update: {files:?} from files, {with:?} from updates as well");
    assert!(with.0 > files.0 && with.1 < files.1, "{files:?} {with:?}");

    let nowhere = BaseArgs { updates: Some(plant.join("nowhere")), ..args(&plant, 1) };
    let error = base(&nowhere, &|_| panic!("it trains")).unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("cannot read"), "{error}");
}

/// What cannot work is told before hours are spent on it.
#[test]
fn training_that_cannot_end_well_does_not_start() {
    let plant = plant();
    let good = args(&plant, 1);
    let refused = |args: &BaseArgs| base(args, &|_| panic!("it trains")).unwrap_err().to_string();
    let text = refused(&BaseArgs { size: "huge".into(), ..good.clone() });
    assert!(
        text.contains("`huge`")
            && text.contains("nano, nano-evoformer, nano-gru, nano-gru-wide, micro, micro-evoformer, small"),
        "{text}"
    );
    let output = plant.join("missing/own.gmcf");
    let text = refused(&BaseArgs { output, ..good.clone() });
    assert!(text.contains("missing/own.gmcf") && text.contains("cannot write"), "{text}");
    let text = refused(&BaseArgs { curve: Some(plant.join("missing/a.svg")), ..good.clone() });
    assert!(text.contains("a.svg"), "{text}");
    let keep = Keep { path: good.output.clone(), every: Duration::ZERO };
    let text = refused(&BaseArgs { checkpoint: Some(keep), ..good.clone() });
    assert!(text.contains("two things"), "{text}");
    let text = refused(&BaseArgs { folders: vec![plant.join("nowhere")], ..good.clone() });
    assert!(text.contains("nowhere") && text.contains("cannot read"), "{text}");

    let other = Scratch::new("base").unwrap();
    let few = |files: &[(&str, &str)]| {
        files.iter().for_each(|(name, text)| std::fs::write(other.join(name), text).unwrap());
        refused(&BaseArgs { folders: vec![other.join("")], output: other.join("own.gmcf"), ..good.clone() })
    };
    assert!(few(&[]).contains("no file in it"));
    assert!(few(&[("a", CONFIG)]).contains("too few files (1)"));
    std::fs::remove_file(other.join("a")).unwrap();
    assert!(few(&[("a", ""), ("b", ""), ("c", "")]).contains("too few files (3)"));
    assert!(few(&[("a", "1"), ("b", "2"), ("c", "3")]).contains("too little to learn from (2 bytes)"));
}

/// The integers of an Evoformer, its rows, windows and pairs included: a small model that lies beside the golden vectors, and what
/// it makes of two files.
#[test]
fn golden_containers_of_an_evoformer() {
    let path = crate::golden::golden().join("base/evoformer.gmcf");
    if std::env::var_os("GMCF_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, small_evoformer()).unwrap();
    }
    let file = std::fs::read(&path).unwrap();
    let base = Resident::open(&file).unwrap();
    let golden = [(SCRIPT, "cf39b8b53c12e4268b7642d5977cd849"), (CONFIG, "7ca5723408f15c886554b0a9212118d1")];
    let found = golden.map(|(text, _)| {
        let made = compress(text.as_bytes(), None, &options(Profile::Small, Some(base))).unwrap().bytes;
        let alone = compress(text.as_bytes(), None, &options(Profile::Small, None)).unwrap().bytes;
        println!("{} bytes, {} without", made.len(), alone.len());
        assert!(made.len() < alone.len());
        assert_eq!(apply_within(&[&made], None, 1 << 20, Some(base)).unwrap(), text.as_bytes());
        Id::of(&made).to_string()
    });
    assert_eq!(found, golden.map(|(_, id)| id));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the layers of an Evoformer hold, the model is refused, or a file with it comes back: no sum overflows, no
    /// place is left.
    #[test]
    fn hostile_evoformers_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
        heading in prop::option::of((0usize..24, any::<u8>())),
        fill in prop::option::of(any::<u8>()),
        len in 1usize..80,
    ) {
        let file = std::fs::read(crate::golden::golden().join("base/evoformer.gmcf")).unwrap();
        let mut content = file[Header::parse(&file).unwrap().1..].to_vec();
        if let Some(fill) = fill {
            // All weights, factors and biases at once, behind the sizes.
            content[24..].fill(fill);
        }
        for (at, value) in changes {
            let at = 24 + at.index(content.len() - 24);
            content[at] = value;
        }
        if let Some((at, value)) = heading {
            content[at] = value;
        }
        if let Ok(model) = Base::parse(&content) {
            let hostile = Resident { model, id: Id::of(&content).base(), adapter: None };
            let new = &CONFIG.as_bytes()[..len];
            match compress(new, None, &options(Profile::Small, Some(hostile))) {
                Ok(made) => prop_assert_eq!(apply_within(&[&made.bytes], None, 1 << 20, Some(hostile)).unwrap(), new),
                Err(refused) => prop_assert!(
                    matches!(refused, CodecError::Refused(Error::OverBudget { field: "base", .. })),
                    "{:?}",
                    refused
                ),
            }
        }
    }
}

/// A model that has learned some of the words of the two files.
fn small_evoformer() -> Vec<u8> {
    let evoformer = Evoformer { blocks: 2, channels: 16, heads: 2, window_log2: 3, pair: 8, outer: 4, transition: 24 };
    let shape = Shape {
        gram_log2: 5,
        gram_dim: 4,
        hidden: 24,
        layers: 0,
        state: 0,
        state_dim: 0,
        evoformer,
        ring_log2: 10,
        index_log2: 8,
    };
    let net = Net::new(shape);
    let mut parameters = net.init(1);
    let words = |text: &str, i: usize| {
        text.replace("pump", &format!("unit{i}")).replace(' ', if i.is_multiple_of(2) { " " } else { "  " })
    };
    let texts = (0..24).map(|i| words([SCRIPT, CONFIG][i % 2], i).into_bytes());
    let examples: Vec<Example> = texts.map(|text| Example::new(text, &shape)).collect();
    let settings = Settings { epochs: 8, lanes: 4, steps: 16, rate: 6e-3, ..Settings::default() };
    train(&net, &mut parameters, &examples, &settings, |_| {});
    quantise::seal(&quantise::layers(&net, &parameters), &quantise::untrained_mix()).unwrap()
}
