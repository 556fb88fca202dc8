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

/// Random bytes: every position memory holds them, none for less than they are, and what is written comes back.
#[test]
fn one_random_file_is_fitted_and_comes_back() {
    let bench = Bench::new();
    let random = bundled("rand-512/r1.bin");
    for base in ["none", "auto"] {
        let run = bench.run(&["fit", &text(&random), "--base", base, "--backend", "cpu", "-o", "r.gmcf", "--json"]);
        assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
        let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        let candidates = record["candidates"].as_array().unwrap();
        let memories = candidates.iter().filter(|c| c["name"].as_str().unwrap().starts_with("memory"));
        assert_eq!(memories.clone().count(), 17, "four dimensions at four widths, and the stored file: {record}");
        assert!(
            candidates.iter().all(|c| c["exact"] == true && c["bits_per_byte"].as_f64().unwrap() > 8.0),
            "{record}"
        );
        assert!(memories.clone().all(|c| c["codes"].as_u64().unwrap() >= 512));
        let size = fs::metadata(bench.path("r.gmcf")).unwrap().len();
        assert!((512..=512 + 40).contains(&size), "{size}");
        assert_eq!(candidates[0]["bytes"], size);
        assert_eq!(candidates[0]["name"], record["written"]);
        let quick: Vec<_> = candidates.iter().filter(|c| c["quick"] == true).collect();
        assert!(!quick.is_empty() && quick.iter().all(|c| c["bytes"].as_u64().unwrap() > 3 * size), "{record}");
        let run = bench.run(&["apply", "r.gmcf", "-o", "back"]);
        assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
        assert_eq!(fs::read(bench.path("back")).unwrap(), fs::read(&random).unwrap());
    }
}

#[test]
fn the_residual_wins_where_something_is_known() {
    let bench = Bench::new();
    let new = text(&bundled("txt-cp-neopixel/neopixel_py/6.4.2.py"));
    let run = bench.run(&["fit", &new, "-o", "t.gmcf", "--backend", "cpu"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert!(stdout(&run).lines().any(|line| line.starts_with("residual") && line.ends_with("< written")), "{run:?}");
    let compressed = bench.run(&["compress", &new, "-o", "c.gmcf"]);
    assert_eq!(code(&compressed), exit::OK, "{}", stderr(&compressed));
    assert_eq!(fs::read(bench.path("t.gmcf")).unwrap(), fs::read(bench.path("c.gmcf")).unwrap());

    let (old, new) = (text(&old()), text(&self::new()));
    let run = bench.run(&["fit", &new, "--old", &old, "-o", "up.gmcf"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert!(stdout(&run).contains("against the old file"), "{}", stdout(&run));
    let run = bench.run(&["apply", "up.gmcf", "--old", &old, "-o", "back"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert_eq!(fs::read(bench.path("back")).unwrap(), fs::read(&new).unwrap());
}

/// The environment has no GPU, or the test sees to that there is no driver to be found: then one error says so.
#[test]
fn a_gpu_that_is_not_there_is_one_error() {
    let bench = Bench::new();
    let random = text(&bundled("rand-512/r1.bin"));
    for arguments in [&["fit", &random, "-o", "r.gmcf"][..], &["experiment", "eternity", "--bytes", "16"]] {
        let run = bench.run(&[arguments, &["--backend", "cuda"]].concat());
        if code(&run) == exit::OK {
            continue; // A GPU is there.
        }
        assert_eq!(code(&run), exit::INPUT, "{}", stderr(&run));
        assert_eq!(stderr(&run).lines().filter(|line| line.starts_with("error:")).count(), 1);
        assert!(stderr(&run).contains("no CUDA device") && stderr(&run).contains("--backend cpu"), "{}", stderr(&run));
        assert!(run.stdout.is_empty() && !bench.path("r.gmcf").exists());
        let run = bench.run(&["gpu-check"]);
        assert_eq!(code(&run), exit::INPUT, "{}", stderr(&run));
        assert!(stderr(&run).starts_with("error: no CUDA device") && stderr(&run).lines().count() == 1);
    }
}

/// Weights of which all have changed by a little: every adapter can be written, and the shortest file is.
#[test]
fn weights_are_fitted_compressed_inspected_and_come_back() {
    let bench = Bench::new();
    let weights = |tune: f32| -> Vec<u8> {
        (0..3000).flat_map(|i| ((i as f32 * 0.37).sin() + tune * ((i * i) as f32).cos()).to_le_bytes()).collect()
    };
    fs::write(bench.path("base"), weights(0.0)).unwrap();
    fs::write(bench.path("tuned"), weights(1e-3)).unwrap();
    let run = bench.run(&["fit", "tuned", "--old", "base", "--weights", "f32", "-o", "up.gmcf", "--json"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let record: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let candidates = record["candidates"].as_array().unwrap();
    let named =
        |name: &str| candidates.iter().filter(|c| c["name"].as_str().unwrap().contains(name)).collect::<Vec<_>>();
    let adapters = [named("bitdelta"), named("sparse 2:4"), named("differences alone")].concat();
    assert_eq!(adapters.len(), 5, "{record}");
    assert!(adapters.iter().all(|c| c["exact"] == true && c["can_be_written"] == true), "{record}");
    assert!(record["written"].as_str().unwrap().starts_with("weights"), "{record}");
    let residual = named("residual")[0]["bytes"].as_u64().unwrap();
    let size = fs::metadata(bench.path("up.gmcf")).unwrap().len();
    assert!(candidates[0]["bytes"] == size && size < residual, "{record}");
    for kind in ["f32", "i16"] {
        let arguments = ["compress", "tuned", "--old", "base", "--weights", kind, "-o", "c.gmcf"];
        let run = bench.run(&arguments);
        assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
        let run = bench.run(&["apply", "c.gmcf", "--old", "base", "-o", "back"]);
        assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
        assert_eq!(fs::read(bench.path("back")).unwrap(), weights(1e-3), "{kind}");
        let same = fs::read(bench.path("c.gmcf")).unwrap() == fs::read(bench.path("up.gmcf")).unwrap();
        assert_eq!(same, kind == "f32");
    }
    let run = bench.run(&["inspect", "up.gmcf", "--old", "base"]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    assert!(stdout(&run).contains("delta, weights") && stdout(&run).contains("differences"), "{}", stdout(&run));
    let run = bench.run(&["apply", "up.gmcf", "--old", "tuned", "-o", "back"]);
    assert_eq!(code(&run), exit::IDENTITY, "{}", stderr(&run));

    fs::write(bench.path("longer"), weights(0.0).repeat(2)).unwrap();
    let run = bench.run(&["fit", "tuned", "--old", "longer", "--weights", "f32", "-o", "out"]);
    assert_eq!(code(&run), exit::USAGE, "{}", stderr(&run));
    assert!(stderr(&run).contains("12,000 and 24,000 bytes"), "{}", stderr(&run));
}

#[test]
fn fit_says_what_does_not_go_together() {
    let bench = Bench::new();
    fs::create_dir(bench.path("family")).unwrap();
    fs::write(bench.path("file"), "x").unwrap();
    for (arguments, word) in [
        (&["fit", "family", "--old", "file", "-o", "out"][..], "--old does not go with a folder"),
        (&["fit", "family", "--adapters", "-o", "out"], "--adapters does not go with a folder"),
        (&["fit", "file", "--hold-out", "10", "-o", "out"], "--hold-out does not go with a file"),
        (&["fit", "file", "--adapters", "--base", "none", "-o", "out"], "needs a base model"),
    ] {
        let run = bench.run(arguments);
        assert_eq!(code(&run), exit::USAGE, "{arguments:?}: {}", stderr(&run));
        assert!(stderr(&run).contains(word), "{arguments:?}: {}", stderr(&run));
        assert!(!bench.path("out").exists());
    }
}

#[test]
fn the_experiment_measures_what_adapters_hold() {
    let bench = Bench::new();
    fs::write(bench.path("given"), b"given bytes").unwrap();
    let run = bench.run(&[
        "experiment",
        "eternity",
        "given",
        "--bytes",
        "128",
        "--iterations",
        "40",
        "--backend",
        "cpu",
        "--json",
        "--svg",
        "e.svg",
    ]);
    assert_eq!(code(&run), exit::OK, "{}", stderr(&run));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let data = report["data"].as_array().unwrap();
    assert_eq!((data.len(), &data[0]["bytes"], &data[1]["bytes"]), (2, &128.into(), &11.into()));
    let low_rank = data[0]["low_rank"].as_array().unwrap();
    assert_eq!(low_rank.len(), 15);
    for adapter in low_rank.iter().filter(|adapter| adapter["rank"] == 1 || adapter["start"] == "both_zero") {
        assert_eq!(adapter["exact"], false, "{adapter}");
        assert!(adapter["right"].as_f64().unwrap() < 0.3, "{adapter}");
    }
    assert!(low_rank.iter().filter(|a| a["start"] == "both_zero").all(|a| a["moved"] == 0.0));
    let memories = data[0]["memories"].as_array().unwrap();
    assert_eq!(memories.len(), 12);
    for memory in memories.iter().filter(|memory| memory["projection"] == "natural") {
        assert_eq!(memory["iterations"], 1);
        for held in memory["held"].as_array().unwrap() {
            let expected = memory["dim"].as_f64().unwrap() * held["bits"].as_f64().unwrap() / 8.0;
            assert_eq!((&held["exact"], held["bytes_per_byte"].as_f64().unwrap()), (&true.into(), expected));
        }
    }
    assert!(data[0]["residual"]["bytes"].as_u64().unwrap() > 128);
    let claims = report["claims"].as_array().unwrap();
    assert_eq!((claims.len(), &claims[4]["holds"]), (5, &false.into()));
    assert!(report["mebibyte"]["bytes"].as_u64().unwrap() > 1 << 20);
    assert!(fs::read_to_string(bench.path("e.svg")).unwrap().contains("8 bits: no less"));
}
