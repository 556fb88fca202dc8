//! The program as a user meets it: its files, its two outputs, its exit codes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use host_trainer::cli::exit;
use host_trainer::files::Scratch;
use host_trainer::layered::position_memory;

/// A folder to work in and the bundled pair.
struct Bench {
    folder: Scratch,
}

impl Bench {
    fn new() -> Self {
        Self { folder: Scratch::new("cli-test").expect("a scratch folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn run<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gmcf"));
        command.args(arguments).current_dir(self.path("")).stdin(Stdio::null());
        command.output().expect("gmcf starts")
    }

    fn compress(&self, old: &Path, new: &Path, out: &str) {
        let run = self.run(&[
            "compress".as_ref(),
            new.as_os_str(),
            "--old".as_ref(),
            old.as_os_str(),
            "-o".as_ref(),
            out.as_ref(),
        ]);
        assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    }
}

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dev").join(name)
}

fn old() -> PathBuf {
    bundled("fw-greatfet-stub/2021.2.1.bin")
}

fn new() -> PathBuf {
    bundled("fw-greatfet-stub/2024.0.0.bin")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a UTF-8 path").to_owned()
}

fn code(run: &Output) -> u8 {
    u8::try_from(run.status.code().expect("an exit code")).expect("a small exit code")
}

fn stderr(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn stdout(run: &Output) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn a_file_comes_back_and_nothing_else_is_left() {
    let bench = Bench::new();
    bench.compress(&old(), &new(), "up.gmcf");
    let run = bench.run(&["apply", "up.gmcf", "--old", &text(&old()), "-o", "back"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert_eq!(fs::read(bench.path("back")).unwrap(), fs::read(new()).unwrap());
    let mut names: Vec<_> =
        fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["back", "up.gmcf"]);
    assert!(run.stderr.is_empty(), "no bars, no colours in a pipe: {}", stderr(&run));
    assert!(!stdout(&run).contains('\x1b'));
}

#[test]
fn the_records_of_both_sides_agree() {
    let bench = Bench::new();
    let (old, new) = (text(&old()), text(&new()));
    let record = |run: &Output| -> serde_json::Value { serde_json::from_slice(&run.stdout).expect("one JSON value") };
    let made = record(&bench.run(&["compress", &new, "--old", &old, "-o", "up.gmcf", "--json"]));
    let applied =
        record(&bench.run(&["apply", "up.gmcf", "--old", &old, "-o", "back", "--json", "--to-version", "2024.0.0"]));
    for field in [
        "from_version",
        "to_version",
        "original_model_size",
        "new_model_size",
        "delta_size",
        "is_delta",
        "compression_ratio",
        "is_lossless",
        "original_hash",
        "new_hash",
    ] {
        assert_eq!(made[field], applied[field], "{field}");
    }
    assert_eq!(made["from_version"], "2021.2.1");
    assert_eq!(made["content_name"], "fw-greatfet-stub");
    assert_eq!(made["is_lossless"], true);
    assert_eq!(made["is_delta"], true);
    assert_eq!(made["delta_size"], fs::metadata(bench.path("up.gmcf")).unwrap().len());
}

#[test]
fn inspect_accounts_for_every_byte() {
    let bench = Bench::new();
    bench.compress(&old(), &new(), "up.gmcf");
    let run = bench.run(&["inspect", "up.gmcf", "--old", &text(&old()), "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let size = fs::metadata(bench.path("up.gmcf")).unwrap().len();
    assert_eq!(report["container_size"], size);
    let parts = report["parts"].as_array().unwrap();
    let sum: f64 = parts.iter().map(|part| part["bytes"].as_f64().unwrap()).sum();
    assert!((sum - size as f64).abs() < 1.0, "{sum} of {size}");
}

#[test]
fn chains_apply_and_squash() {
    let bench = Bench::new();
    let version = |number: u32| bundled(&format!("fw-built-rust/v{number}.bin"));
    bench.compress(&version(1), &version(2), "a.gmcf");
    bench.compress(&version(2), &version(3), "b.gmcf");
    let old = text(&version(1));
    let run = bench.run(&["apply", "a.gmcf", "b.gmcf", "--old", &old, "-o", "chain"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert_eq!(fs::read(bench.path("chain")).unwrap(), fs::read(version(3)).unwrap());

    let run = bench.run(&["apply", "b.gmcf", "a.gmcf", "--old", &old, "-o", "wrong"]);
    assert!([exit::REFUSED, exit::IDENTITY].contains(&code(&run)), "{}", stderr(&run));
    assert!(!bench.path("wrong").exists());

    let run = bench.run(&["squash", "a.gmcf", "b.gmcf", "--old", &old, "-o", "c.gmcf"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let run = bench.run(&["apply", "c.gmcf", "--old", &old, "-o", "squashed"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert_eq!(fs::read(bench.path("squashed")).unwrap(), fs::read(version(3)).unwrap());
}

#[test]
fn random_bytes_are_stored_and_the_program_says_so() {
    let bench = Bench::new();
    let random = bundled("rand-512/r1.bin");
    let run = bench.run(&["compress", &text(&random), "-o", "r.gmcf"]);
    assert_eq!(code(&run), exit::OK);
    assert!(stderr(&run).contains("did not compress"), "{}", stderr(&run));
    let size = fs::metadata(bench.path("r.gmcf")).unwrap().len();
    assert!(size <= 512 + 40, "{size}");
}

#[test]
fn a_container_that_does_without_the_old_file_says_so() {
    let bench = Bench::new();
    let (old, new) = (text(&bundled("fw-espboot-c3/2.1.0.bin")), text(&bundled("rand-512/r1.bin")));
    let run = bench.run(&["compress", &new, "--old", &old, "-o", "whole.gmcf", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert!(stderr(&run).contains("does not use the old image `"), "{}", stderr(&run));
    let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(record["is_delta"], false);
    // In the middle of a chain it is refused; the note says where it may stand.
    bench.compress(&PathBuf::from(&old), &bundled("fw-espboot-c3/3.3.0.bin"), "delta.gmcf");
    let run = bench.run(&["apply", "delta.gmcf", "whole.gmcf", "--old", &old, "-o", "out"]);
    assert_eq!(code(&run), exit::REFUSED);
    let run = bench.run(&["apply", "whole.gmcf", "--old", &old, "-o", "out", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(record["is_delta"], false);
}

#[test]
fn a_limit_on_the_rebuilt_file_is_kept() {
    let bench = Bench::new();
    bench.compress(&old(), &new(), "up.gmcf");
    let old = text(&old());
    let size = fs::metadata(new()).unwrap().len();
    let apply =
        |limit: u64| bench.run(&["apply", "up.gmcf", "--old", &old, "-o", "out", "--max-size", &limit.to_string()]);
    let run = apply(size - 1);
    assert_eq!(code(&run), exit::REFUSED);
    for part in ["`new_len`", &size.to_string(), &(size - 1).to_string(), "--max-size"] {
        assert!(stderr(&run).contains(part), "{part} is missing: {}", stderr(&run));
    }
    assert!(!bench.path("out").exists());
    assert_eq!(code(&apply(size)), exit::OK);
}

/// Random bytes as a position memory: they come back, and cost what they are and no less.
#[test]
fn a_position_memory_is_applied_and_inspected() {
    let bench = Bench::new();
    let content = fs::read(bundled("rand-512/r1.bin")).unwrap();
    let codes: Vec<i8> =
        content.iter().flat_map(|byte| (0..8).map(move |k| (byte >> k & 1).cast_signed() - 1)).collect();
    let memory = position_memory(&codes, None, 8, 1, 2.0, &content).unwrap();
    fs::write(bench.path("memory.gmcf"), &memory).unwrap();
    let run = bench.run(&["apply", "memory.gmcf", "-o", "back", "--max-size", "512", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert_eq!(fs::read(bench.path("back")).unwrap(), content);
    let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(record["is_delta"], false);

    let run = bench.run(&["inspect", "memory.gmcf", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["mode"], "position memory of 8 x 1 bits a byte, natural code");
    assert_eq!(report["container_size"], memory.len());
    assert!(report["parts"][0]["bytes"].as_f64().unwrap() >= 512.0, "{report}");
    assert_eq!(report["parts"][0]["name"], "memory");
    let run = bench.run(&["inspect", "memory.gmcf"]);
    assert!(stdout(&run).contains("rebuilds      512 bytes"), "{}", stdout(&run));

    let run = bench.run(&["apply", "memory.gmcf", "-o", "out", "--max-size", "511"]);
    assert_eq!(code(&run), exit::REFUSED);
    assert!(stderr(&run).contains("`new_len`") && stderr(&run).contains("--max-size"), "{}", stderr(&run));
    assert!(!bench.path("out").exists());
}

#[test]
fn a_pipe_works_from_end_to_end() {
    let bench = Bench::new();
    let content = fs::read(bundled("txt-cp-neopixel/neopixel_py/6.4.2.py")).unwrap();
    let through = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gmcf"))
            .args(arguments)
            .current_dir(bench.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("gmcf starts");
        child.stdin.take().expect("a pipe").write_all(input).expect("gmcf reads");
        child.wait_with_output().expect("gmcf ends").stdout
    };
    let container = through(&["compress", "-", "-o", "-"], &content);
    assert_eq!(through(&["apply", "-", "-o", "-"], &container), content);
}

#[test]
fn every_failure_has_its_code_and_writes_nothing() {
    let bench = Bench::new();
    bench.compress(&old(), &new(), "up.gmcf");
    let whole = fs::read(bench.path("up.gmcf")).unwrap();
    fs::write(bench.path("short.gmcf"), &whole[..whole.len() / 2]).unwrap();
    fs::write(bench.path("zip.gmcf"), b"PK\x03\x04 this is no GMCF file at all").unwrap();
    fs::write(bench.path("empty.gmcf"), b"").unwrap();
    let (old, new) = (text(&old()), text(&new()));
    let cases: [(&[&str], u8, &str); 9] = [
        (&["apply", "up.gmcf", "-o", "out"], exit::IDENTITY, "--old"),
        (&["apply", "up.gmcf", "--old", &new, "-o", "out"], exit::IDENTITY, "wrong old image"),
        (&["apply", "short.gmcf", "--old", &old, "-o", "out"], exit::REFUSED, "short.gmcf"),
        (&["apply", "zip.gmcf", "--old", &old, "-o", "out"], exit::REFUSED, "not a GMCF file"),
        (&["apply", "empty.gmcf", "--old", &old, "-o", "out"], exit::REFUSED, "empty.gmcf"),
        (&["apply", "missing.gmcf", "-o", "out"], exit::INPUT, "missing.gmcf"),
        (&["apply", "up.gmcf", "--old", &old, "-o", "no/folder/out"], exit::INPUT, "create the folder"),
        (&["compress", "up.gmcf", "-o", "-", "--json"], exit::USAGE, "standard output"),
        (&["bench", "."], exit::INPUT, "PAIRS.tsv"),
    ];
    for (arguments, expected, word) in cases {
        let run = bench.run(arguments);
        assert_eq!(code(&run), expected, "{arguments:?}: {}", stderr(&run));
        assert!(stderr(&run).contains(word), "{arguments:?}: {}", stderr(&run));
        assert!(run.stdout.is_empty());
        assert!(!bench.path("out").exists());
    }
}

#[test]
fn a_failed_apply_leaves_the_target_as_it_was() {
    let bench = Bench::new();
    bench.compress(&old(), &new(), "up.gmcf");
    fs::write(bench.path("slot"), b"what runs today").unwrap();
    let run = bench.run(&["apply", "up.gmcf", "--old", &text(&new()), "-o", "slot"]);
    assert_eq!(code(&run), exit::IDENTITY);
    assert_eq!(fs::read(bench.path("slot")).unwrap(), b"what runs today");
}

#[test]
fn help_teaches() {
    let bench = Bench::new();
    let run = bench.run(&["--help"]);
    assert_eq!(code(&run), exit::OK);
    for word in ["Examples:", "Exit codes:", "gmcf apply", "compress"] {
        assert!(stdout(&run).contains(word), "{word}");
    }
    assert!(!stdout(&run).contains('\x1b'), "no colours in a pipe");
    assert_eq!(code(&bench.run(&["no-such-thing"])), exit::USAGE);
}

#[test]
fn without_arguments_the_bundled_update_is_shown() {
    let bench = Bench::new();
    let run = Command::new(env!("CARGO_BIN_EXE_gmcf")).current_dir(bench.path("")).output().unwrap();
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    for word in ["fw-greatfet 2021.2.1 -> 2024.0.0", "What they are spent on", "all 119,700 bytes are the same"] {
        assert!(stdout(&run).contains(word), "{word} is missing in\n{}", stdout(&run));
    }
}

#[test]
fn the_bench_reports_as_json() {
    let bench = Bench::new();
    let corpus = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data"));
    let run = bench.run(&["bench", &corpus, "--family", "fw-espboot-c3", "--profiles", "tiny,small", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["pairs"].as_array().unwrap().len(), 2);
    assert_eq!(report["pairs"][0]["ours"].as_array().unwrap().len(), 2);
    assert_eq!(report["pairs"][0]["kind"], "near");
}

/// A family of settings: an adapter is fitted, a file travels with it, and only with it comes back.
#[test]
fn an_adapter_shortens_a_family() {
    let bench = Bench::new();
    fs::create_dir(bench.path("family")).unwrap();
    let settings = |i: u32| -> String {
        (0..24).map(|k| format!("zwqx_kj{k:02}vv = <{:05}|qz-{}>\n", (i + 3) * (k + 7) * 37, (i * k) % 10)).collect()
    };
    for i in 0..40 {
        fs::write(bench.path(&format!("family/{i:02}.conf")), settings(i)).unwrap();
    }
    let fitted = bench.run(&["fit", "family", "-o", "family.gmcf", "--json"]);
    assert_eq!(code(&fitted), exit::OK, "{}", stderr(&fitted));
    let record: serde_json::Value = serde_json::from_slice(&fitted.stdout).unwrap();
    assert_eq!(record["files"], 40);
    assert!(record["written"].is_string(), "{record}");

    fs::write(bench.path("next.conf"), settings(40)).unwrap();
    let len = |name: &str| fs::metadata(bench.path(name)).unwrap().len();
    for (out, adapter) in [("plain.gmcf", &[][..]), ("adapted.gmcf", &["--adapter", "family.gmcf"])] {
        let made = bench.run(&[&["compress", "next.conf", "-o", out], adapter].concat());
        assert_eq!(code(&made), exit::OK, "{}", stderr(&made));
    }
    assert!(len("adapted.gmcf") < len("plain.gmcf"));
    let alone = bench.run(&["apply", "adapted.gmcf", "-o", "alone.conf"]);
    assert_eq!(code(&alone), exit::REFUSED, "{}", stderr(&alone));
    assert!(!bench.path("alone.conf").exists());
    let applied = bench.run(&["apply", "adapted.gmcf", "--adapter", "family.gmcf", "-o", "back.conf"]);
    assert_eq!(code(&applied), exit::OK, "{}", stderr(&applied));
    assert_eq!(fs::read_to_string(bench.path("back.conf")).unwrap(), settings(40));
}
