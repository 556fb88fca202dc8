//! The C interface: `libgmcf.a` as cargo builds it for this machine, linked into C programs and run.

mod device;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use codec_core::Error;
use host_trainer::codec::Profile;
use tests::data::{Pair, folder, pair_named, pairs, read};
use tests::device::decode;

/// The profile of `examples/apply.c`.
const PROFILE: Profile = Profile::Medium;
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// The crate of the C interface.
fn codec_c() -> PathBuf {
    folder().parent().expect("the repository").join("codec-c")
}

/// A folder for what one test makes.
fn scratch(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-api").join(test);
    fs::create_dir_all(&path).unwrap();
    path
}

fn run(program: impl AsRef<OsStr>, set: impl FnOnce(&mut Command) -> &mut Command) -> Output {
    let program = program.as_ref();
    let mut command = Command::new(program);
    set(&mut command);
    command.output().unwrap_or_else(|error| panic!("{} (is it installed?): {error}", program.display()))
}

/// Runs a program that must succeed.
fn succeed(program: impl AsRef<OsStr>, set: impl FnOnce(&mut Command) -> &mut Command) {
    let output = run(program, set);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{}{}", output.status, text[0], text[1]);
}

/// Cargo in the workspace of the C interface, which is not this one.
fn cargo(task: &str) {
    succeed(env!("CARGO"), |command| {
        let target = scratch("target");
        command
            .args([task, "--release", "--locked", "--all-features", "--target-dir"])
            .arg(target)
            .current_dir(codec_c())
    });
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        cargo("build");
        scratch("target").join("release/libgmcf.a")
    })
}

/// A C program of the crate's, compiled and linked.
fn program(source: &str, test: &str) -> PathBuf {
    let program = scratch(test).join("program");
    succeed("cc", |command| {
        command.args(["-std=c99", "-O1"]).args(WARNINGS).arg("-I").arg(codec_c().join("include"));
        command.arg(codec_c().join(source)).arg(library()).arg("-o").arg(&program)
    });
    program
}

/// The example of the README, and a folder with an update in it.
struct Apply {
    program: PathBuf,
    folder: PathBuf,
}

impl Apply {
    fn new(test: &str) -> Self {
        Self { program: program("examples/apply.c", test), folder: scratch(test) }
    }

    /// Applies `container` to `old` with so many bytes at a time.
    fn run(&self, old: Option<&[u8]>, container: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
        let [old_path, update, new] = ["old", "update", "new"].map(|name| self.folder.join(name));
        fs::write(&update, container).unwrap();
        fs::write(&old_path, old.unwrap_or_default()).unwrap();
        let old_path = if old.is_some() { old_path.as_os_str() } else { OsStr::new("-") };
        // The decoder must be made in the memory lent for it, not on the stack: it is four times as large.
        let output = run("sh", |command| {
            command.args(["-c", "ulimit -s 64 && exec \"$@\"", "sh"]).args([self.program.as_os_str(), old_path]);
            command.args([&update, &new]).arg(bytes.to_string())
        });
        let errors = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => {
                let new = fs::read(new).unwrap();
                assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{} bytes will come\n", new.len()));
                Ok(new)
            }
            Some(1) => {
                assert!(!new.exists());
                Err(errors)
            }
            _ => panic!("{}: {errors}", output.status),
        }
    }

    /// The refusal in C must be that of the decoder in Rust.
    fn refuses(&self, old: Option<&[u8]>, container: &[u8], words: impl Fn(Error) -> String) {
        let expected = words(decode(PROFILE, old.unwrap_or_default(), container, 1 << 20).refusal());
        for bytes in [4096, 1] {
            assert_eq!(self.run(old, container, bytes), Err(format!("error {expected}\n")));
        }
    }
}

#[test]
fn numbers_and_words_of_the_errors() {
    cargo("test");
}

#[test]
fn header_is_clean_for_c99_and_cpp17() {
    let header = codec_c().join("include/gmcf.h");
    for (compiler, language, standard) in [("cc", "c", "c99"), ("c++", "c++", "c++17")] {
        succeed(compiler, |command| {
            command.args(["-fsyntax-only", "-x", language, &format!("-std={standard}")]).args(WARNINGS).arg(&header)
        });
    }
}

/// A C++ program links the same names.
#[test]
fn cpp_links() {
    let folder = scratch("cpp");
    let [source, program] = ["main.cpp", "program"].map(|name| folder.join(name));
    fs::write(&source, "#include <gmcf.h>\nint main() { return gmcf_decoder_finish(nullptr) != GMCF_ERROR_NULL; }\n")
        .unwrap();
    succeed("c++", |command| {
        command.arg("-std=c++17").args(WARNINGS).arg("-I").arg(codec_c().join("include"));
        command.arg(source).arg(library()).arg("-o").arg(&program)
    });
    succeed(program, |command| command);
}

#[test]
fn applies_every_bundled_update() {
    let apply = Apply::new("bundled");
    let check = |pair: &Pair, profile, bytes| {
        let new = apply.run(pair.old.as_deref(), pair.container(profile), bytes);
        assert!(new.as_ref() == Ok(&pair.new), "{}, {profile:?}, {bytes} at a time: {:?}", pair.name, new.err());
    };
    for pair in pairs() {
        check(pair, Profile::Small, 4096);
        check(pair, Profile::Tiny, 100);
    }
    for name in ["fw-espboot-c3 2.1.0", "fw-nodepixel", "txt-cp-neopixel", "rand-512"] {
        check(pair_named(name), PROFILE, 1);
    }
}

#[test]
fn refuses_with_number_and_words() {
    let apply = Apply::new("refusals");
    let pair = pair_named("fw-espboot-c3 2.1.0");
    let old = pair.old();
    let container = pair.container(Profile::Small);
    apply.refuses(None, container, |error| {
        assert_eq!(error, Error::OldMissing);
        "-8: the old image is needed".into()
    });
    apply.refuses(Some(&pair.new), container, |error| {
        let Error::WrongOld { expected, found } = error else { panic!("{error}") };
        let [found, expected] = [found, expected].map(|id| format!("{:08x}", u32::from_be_bytes(id)));
        format!("-9: wrong old image, found {found}, expected {expected}")
    });
    apply.refuses(Some(&old[1..]), container, |error| {
        let Error::Storage { offset, len } = error else { panic!("{error}") };
        format!("-16: old image unreadable, offset {offset}, bytes {len}")
    });
    for len in [1, 20, container.len() - 1] {
        apply.refuses(Some(old), &container[..len], |error| {
            let Error::Truncated { field, need, have } = error else { panic!("{error}") };
            format!("-1: the update ends early: `{field}`, found {have}, needed {need}")
        });
    }
    apply.refuses(Some(old), pair.container(Profile::Host), |error| {
        let Error::OverBudget { field: "words", requested, limit } = error else { panic!("{error}") };
        format!("-6: over budget: `words`, found {requested}, limit {limit}")
    });
    apply.refuses(Some(old), b"PK\x03\x04", |error| {
        assert_eq!(error, Error::BadMagic { found: *b"P\0\0\0", seen: 1 });
        "-2: not a GMCF file, found 50".into()
    });
    let mut other = container.to_vec();
    *other.last_mut().unwrap() ^= 1;
    apply.refuses(Some(old), &other, |error| match error {
        Error::Corrupt { field } => format!("-15: damaged: `{field}`"),
        Error::DigestMismatch { expected, found } => {
            let [found, expected] = [found, expected].map(|id| format!("{:08x}", u32::from_be_bytes(id)));
            format!("-10: digest mismatch, found {found}, expected {expected}")
        }
        other => panic!("{other}"),
    });
}

#[test]
fn wrong_arguments_are_refused() {
    let program = program("tests/misuse.c", "misuse");
    let old = scratch("misuse").join("old");
    fs::write(&old, read("dev/fw-espboot-c3/2.1.0.bin")).unwrap();
    succeed(program, |command| command.arg(folder().join("golden/riscv.gmcf")).arg(old));
}

/// The README shows parts of programs that are compiled and run above, not something like them.
#[test]
fn readme_shows_the_tested_programs() {
    let readme = fs::read_to_string(codec_c().join("README.md")).unwrap();
    let examples =
        ["examples/apply.c", "examples/device.c"].map(|name| fs::read_to_string(codec_c().join(name)).unwrap());
    let mut shown = [0; 2];
    for part in readme.split("```c\n").skip(1).map(|part| part.split("```").next().unwrap()) {
        let found = examples.iter().position(|example| example.contains(part));
        shown[found.unwrap_or_else(|| panic!("in none of the examples:\n{part}"))] += 1;
    }
    assert!(shown[0] >= 2 && shown[1] >= 2, "{shown:?}");
}
