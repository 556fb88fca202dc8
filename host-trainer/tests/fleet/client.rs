//! Folders and files that follow a real server, through the program.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use host_trainer::cli::exit;
use host_trainer::files::Scratch;
use host_trainer::tree::{Digest, Symlinks, walk};
use serde_json::Value;

const GMCF: &str = env!("CARGO_BIN_EXE_gmcf");

/// A server, ended when dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(store: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(GMCF);
        command.args(["serve", "--listen", "127.0.0.1:0", "--refresh", "0", "--store"]).arg(store).args(more);
        let mut process = command.env("RUST_LOG", "warn").stdout(Stdio::piped()).spawn().expect("gmcf starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        Self { process, url: line.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder to work in, a store, and a token for it.
struct Fleet {
    folder: Scratch,
    token: String,
}

impl Fleet {
    fn new() -> Self {
        let folder = Scratch::new("fleet").expect("a scratch folder");
        let made =
            Command::new(GMCF).args(["token", "new", "--store"]).arg(folder.join("store")).output().expect("gmcf");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { token: String::from_utf8(made.stdout).expect("a token").trim().to_owned(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn serve(&self, more: &[&str]) -> Server {
        Server::start(&self.path("store"), more)
    }

    /// The program in the folder, with blanks between its arguments.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(GMCF);
        command.args(arguments.split_whitespace()).current_dir(self.path("")).env("GMCF_TOKEN", &self.token);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("gmcf starts")
    }

    /// Runs it, and sees that it succeeds; what it prints.
    fn good(&self, arguments: &str) -> String {
        let run = self.run(arguments);
        assert_eq!(code(&run), exit::OK, "{arguments}: {}", text(&run.stderr));
        text(&run.stdout)
    }

    /// Runs it, and sees that it fails so; what it says.
    fn bad(&self, arguments: &str, exit: u8) -> String {
        let run = self.run(arguments);
        assert_eq!(code(&run), exit, "{arguments}: {}{}", text(&run.stdout), text(&run.stderr));
        text(&run.stderr)
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.good(arguments)).expect("JSON")
    }

    fn root(&self, dir: &str) -> Digest {
        walk(&self.path(dir), Symlinks::Keep).expect("a tree").tree.root()
    }
}

fn code(run: &Output) -> u8 {
    run.status.code().and_then(|code| u8::try_from(code).ok()).expect("an exit code")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn put(dir: &Path, path: &str, content: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// Text that compresses as text does, another one for each seed.
fn prose(seed: u32, lines: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    (0..lines).flat_map(|i| format!("line {i}: set channel {} to {}\n", next() % 64, next()).into_bytes()).collect()
}

fn lay_two_versions(fleet: &Fleet) {
    let (one, two) = (fleet.path("one"), fleet.path("two"));
    for dir in [&one, &two] {
        put(dir, "bin/run.sh", b"#!/bin/sh\nexec /opt/gateway \"$@\"\n");
        put(dir, "static/page.html", &prose(1, 400));
        put(dir, "empty", b"");
    }
    fs::set_permissions(two.join("bin/run.sh"), fs::Permissions::from_mode(0o755)).expect("a mode");
    put(&one, "conf/gateway.ini", &prose(2, 200));
    put(&two, "conf/gateway.ini", &[&prose(2, 200)[..], b"line 200: last\n"].concat());
    put(&one, "lib/old name.lua", &prose(3, 100));
    put(&two, "share/new name.lua", &prose(3, 100));
    put(&one, "removed.txt", &prose(4, 50));
    put(&two, "added.txt", &prose(5, 50));
    fs::create_dir(two.join("spool")).expect("a folder");
    symlink("share/new name.lua", two.join("latest")).expect("a link");
}

#[test]
fn a_folder_follows_from_version_to_version_and_back() {
    let fleet = Fleet::new();
    lay_two_versions(&fleet);
    let server = fleet.serve(&[]);
    let url = &server.url;
    let said = fleet.good(&format!("snapshot one --server {url} --name gw --version 1.0"));
    assert!(said.starts_with("gw nothing -> 1.0: 6 files"), "{said}");
    let said = fleet.good(&format!("sync --server {url} --name gw --to d"));
    assert!(said.starts_with("nothing -> 1.0: 6 files changed"), "{said}");
    assert_eq!(fleet.root("d"), fleet.root("one"));

    // What is there already is not sent again.
    let refused = fleet.bad(&format!("snapshot two --server {url} --name gw --version 2.0"), exit::INPUT);
    assert!(refused.contains("symbolic link"), "{refused}");
    let record = fleet.json(&format!("snapshot two --server {url} --name gw --version 2.0 --symlinks keep --json"));
    assert_eq!((&record["sequence"], &record["contents_sent"]), (&2.into(), &2.into()), "{record}");
    assert!(fleet.bad("sync --to d", exit::REFUSED).contains("--symlinks keep"));
    assert_eq!(fleet.root("d"), fleet.root("one"));
    let record = fleet.json("sync --to d --symlinks keep --json");
    assert_eq!((&record["from_version"], &record["to_version"]), (&"1.0".into(), &"2.0".into()), "{record}");
    assert_eq!(fleet.root("d"), fleet.root("two"));
    assert!(fleet.good("sync --to d").starts_with("2.0: up to date"));

    assert_eq!(fleet.good("rollback --to d"), "2.0 -> 1.0\n");
    assert_eq!(fleet.root("d"), fleet.root("one"));
    assert!(fleet.good("sync --to d --symlinks keep").starts_with("1.0 -> 2.0"));
    assert_eq!(fleet.good("sync --rollback --to d"), "2.0 -> 1.0\n");
    assert_eq!(fleet.good("sync --rollback --to d"), "1.0 -> 2.0\n");
    assert_eq!(fleet.root("d"), fleet.root("two"));

    assert!(fleet.bad("sync --to d --version 1.0", exit::REFUSED).contains("--allow-downgrade"));
    assert!(fleet.good("sync --to d --version 1.0 --allow-downgrade").starts_with("2.0 -> 1.0"));
    assert_eq!(fleet.root("d"), fleet.root("one"));
    // The publisher goes back, and all follow.
    fleet.good("sync --to d --symlinks keep");
    fleet.good(&format!("rollback --server {url} --name gw --version 1.0"));
    let said = fleet.good("sync --to d");
    assert!(said.starts_with("2.0 -> 1.0") && said.contains("went back"), "{said}");
    assert_eq!(fleet.root("d"), fleet.root("one"));

    let status = fleet.json("status --dir d --json");
    assert_eq!((&status["clean"], &status["previous"]["version"]), (&true.into(), &"2.0".into()), "{status}");
    put(&fleet.path("d"), "removed.txt", b"mine");
    put(&fleet.path("d"), "mine.txt", b"mine");
    let status = fleet.good("status --dir d");
    assert!(status.contains("changed here: removed.txt") && status.contains("of no version: mine.txt"), "{status}");
    assert!(fleet.bad("sync --to d", exit::INPUT).contains("mine.txt"));
    let put_right = fleet.run("sync --to d --force");
    assert!(text(&put_right.stderr).contains("removed.txt"), "{}", text(&put_right.stderr));
    assert_eq!(fleet.root("d"), fleet.root("one"));

    let status = fleet.good(&format!("status --server {url}"));
    assert!(status.contains("gw"), "{status}");
    assert!(fleet.good(&format!("status --server {url} --name gw")).contains("1.0 *"));
    assert!(fleet.bad(&format!("status --server {url} --name other"), exit::SERVER_REFUSED).contains("404"));
}

#[test]
fn parts_of_files_are_read_from_folders_and_servers() {
    let fleet = Fleet::new();
    lay_two_versions(&fleet);
    let server = fleet.serve(&[]);
    let url = &server.url;
    fleet.good(&format!("snapshot one --server {url} --name gw --version 1.0"));
    fleet.good(&format!("sync --server {url} --name gw --to d"));
    let page = text(&prose(1, 400));
    fleet.good(&format!("sync --server {url} --name gw --to p --pointers"));
    assert!(fs::read_dir(fleet.path("p")).expect("a folder").flatten().all(|entry| entry.file_name() == ".gmcf"));
    for from in ["--dir d", "--dir p", &format!("--server {url} --name gw")] {
        assert_eq!(fleet.good(&format!("cat {from} static/page.html")), page);
        assert_eq!(fleet.good(&format!("cat {from} static/page.html --range 1000..1234")), page[1000..1234]);
        assert_eq!(fleet.good(&format!("cat {from} static/page.html --range 9000..")), page[9000..]);
        assert_eq!(fleet.good(&format!("cat {from} static/page.html --range 9999999..")), "");
        assert_eq!(fleet.good(&format!("cat {from} empty")), "");
        fleet.bad(&format!("cat {from} no/such"), exit::INPUT);
        fleet.bad(&format!("cat {from} ../one/empty"), exit::INPUT);
    }
}

#[test]
fn forged_and_replayed_versions_are_refused() {
    let fleet = Fleet::new();
    lay_two_versions(&fleet);
    fleet.good("key new fleet");
    fleet.good("key new forger");
    let url = {
        let server = fleet.serve(&[]);
        let url = server.url.clone();
        fleet.good(&format!("snapshot one --server {url} --name gw --version 1.0 --key fleet.key.pem"));
        fleet.good(&format!("sync --server {url} --name gw --to d --key fleet.pub.pem"));
        // The store as it was then.
        let copied = Command::new("cp").arg("-r").arg(fleet.path("store")).arg(fleet.path("old")).status();
        assert!(copied.expect("cp").success());
        fleet.good(&format!("snapshot two --server {url} --name gw --version 2.0 --symlinks skip --key fleet.key.pem"));
        fleet.good("sync --to d");
        url
    };
    let two = fleet.root("d");
    assert!(fleet.bad("sync --to d --tries 1", exit::NO_ANSWER).contains("127.0.0.1"));
    // Somebody else answers with what was true before.
    let old = Server::start(&fleet.path("old"), &[]);
    let said = fleet.bad(&format!("sync --to d --server {}", old.url), exit::REFUSED);
    assert!(said.contains("statement 1 is an old one"), "{said}");
    // Or with what another key has signed, or none.
    for (version, key) in [("3.0", " --key forger.key.pem"), ("4.0", "")] {
        fleet.good(&format!("snapshot one --server {} --name gw --version {version}{key}", old.url));
        let said = fleet.bad(&format!("sync --to d --server {}", old.url), exit::REFUSED);
        assert!(said.contains("sign"), "{said}");
    }
    fleet.bad(&format!("sync --to e --server {} --name gw --key fleet.pub.pem", old.url), exit::REFUSED);
    assert!(!fleet.path("e").exists());
    assert_eq!(fleet.root("d"), two);
    drop(url);
}

#[test]
fn files_are_fetched_as_what_is_missing() {
    let fleet = Fleet::new();
    put(&fleet.path(""), "1.txt", &prose(7, 500));
    put(&fleet.path(""), "2.txt", &[&prose(7, 500)[..], b"one line more\n"].concat());
    fleet.good("key new fleet");
    let server = fleet.serve(&["--key", fleet.path("fleet.key.pem").to_str().expect("a path")]);
    let at = format!("--server {} --name conf", server.url);
    assert!(fleet.good(&format!("publish 1.txt {at}")).starts_with("conf nothing -> 1: 1 file of"));
    fleet.good(&format!("fetch {at} --key fleet.pub.pem -o got"));
    assert_eq!(fs::read(fleet.path("got")).expect("a file"), prose(7, 500));
    fleet.good(&format!("publish 2.txt {at} --version two"));
    let record = fleet.json(&format!("fetch {at} --old got -o got --key fleet.pub.pem --json"));
    assert_eq!(fs::read(fleet.path("got")).expect("a file"), fs::read(fleet.path("2.txt")).expect("a file"));
    assert!(record["delta_size"].as_u64().is_some_and(|sent| sent < 100), "{record}");
    assert_eq!((&record["from_version"], &record["is_delta"]), (&"1".into(), &true.into()));
    assert!(fleet.bad(&format!("sync {at} --to d"), exit::USAGE).contains("gmcf fetch"));
    let wrong = fleet.bad(&format!("publish 1.txt {at} --version two"), exit::SERVER_REFUSED);
    assert!(wrong.contains("another --version"), "{wrong}");
    let mut nobody = fleet.command(&format!("publish 1.txt {at} --version three"));
    let refused = nobody.env_remove("GMCF_TOKEN").output().expect("gmcf starts");
    assert_eq!(code(&refused), exit::SERVER_REFUSED);
    assert!(text(&refused.stderr).contains("GMCF_TOKEN"), "{}", text(&refused.stderr));
}

/// A relay to `server` that lets `limit` bytes of every answer through and breaks then, and changes what is asked for by
/// `rewrite`; the bytes that came through.
fn relay(server: &str, limit: usize, rewrite: fn(&[u8]) -> Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let target = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let passed = Arc::new(AtomicUsize::new(0));
    let count = passed.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let Ok(server) = TcpStream::connect(&target) else { return };
            let count = count.clone();
            std::thread::spawn(move || {
                let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        if to.write_all(&rewrite(&buffer[..n])).is_err() {
                            return;
                        }
                    }
                });
                let (mut left, mut buffer) = (limit, [0; 1024]);
                let (mut server, mut client) = (server, client);
                while left > 0 {
                    let want = left.min(buffer.len());
                    let Ok(n @ 1..) = server.read(&mut buffer[..want]) else { break };
                    if client.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                    count.fetch_add(n, Ordering::Relaxed);
                    left -= n;
                }
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    (url, passed)
}

/// Who names a version gets that one or none, whatever the server answers, signed as it may be.
#[test]
fn another_version_than_the_named_one_is_refused() {
    let fleet = Fleet::new();
    for dir in ["one", "two"] {
        put(&fleet.path(dir), "file", dir.as_bytes());
    }
    fleet.good("key new fleet");
    let server = fleet.serve(&["--key", fleet.path("fleet.key.pem").to_str().expect("a path")]);
    for (dir, version) in [("one", "1.0"), ("two", "2.0")] {
        fleet.good(&format!("snapshot {dir} --server {} --name gw --version {version}", server.url));
        fleet.good(&format!("publish {dir}/file --server {} --name fw --version {version}", server.url));
    }
    let (url, _) = relay(&server.url, usize::MAX, |request| {
        String::from_utf8_lossy(request).replace("/versions/2.0", "/versions/1.0").into_bytes()
    });
    for key in ["", "--key fleet.pub.pem"] {
        for command in [
            format!("cat --server {url} --name gw --version 2.0 file {key}"),
            format!("sync --server {url} --name gw --version 2.0 --to d {key}"),
            format!("fetch --server {url} --name fw --version 2.0 -o fw.bin {key}"),
        ] {
            let said = fleet.bad(&command, exit::REFUSED);
            assert!(said.contains("2.0") && said.contains("1.0"), "{command}: {said}");
        }
    }
    assert!(!fleet.path("d").exists() && !fleet.path("fw.bin").exists());
}

#[test]
fn a_connection_that_breaks_all_the_time_costs_little() {
    let fleet = Fleet::new();
    let noise: Vec<u8> = (0..100_000_u32).flat_map(|i| Digest::of(&i.to_le_bytes()).0).take(60_000).collect();
    put(&fleet.path("one"), "noise", &noise);
    let server = fleet.serve(&[]);
    fleet.good(&format!("snapshot one --server {} --name gw --version 1.0", server.url));
    let (url, passed) = relay(&server.url, 10_000, <[u8]>::to_vec);
    fleet.good(&format!("sync --server {url} --name gw --to d"));
    assert_eq!(fleet.root("d"), fleet.root("one"));
    let passed = passed.load(Ordering::Relaxed);
    assert!(passed > 60_000 && passed < 80_000, "{passed}");
}

#[test]
fn killed_at_any_moment_the_folder_is_old_or_new() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.path("one"), fleet.path("two"));
    for i in 0..40 {
        put(&one, &format!("dir{}/file{i}", i % 7), &prose(i, 12));
        let changed = if i % 3 == 0 { prose(i + 1000, 12) } else { prose(i, 12) };
        put(&two, &format!("dir{}/file{i}", i % 5), &changed);
    }
    let server = fleet.serve(&[]);
    let url = &server.url;
    fleet.good(&format!("snapshot one --server {url} --name gw --version 1.0"));
    fleet.good(&format!("snapshot two --server {url} --name gw --version 2.0"));
    let (first, second) = (fleet.root("one"), fleet.root("two"));
    let sync = |version: &str| format!("sync --server {url} --name gw --to d --version {version} --allow-downgrade");
    fleet.good(&sync("1.0"));
    fleet.good(&sync("2.0"));
    let start = Instant::now();
    fleet.good(&sync("1.0"));
    let whole = start.elapsed();
    let mut seed = 12_345_u64;
    let mut exchanged = 0;
    for _ in 0..20 {
        let before = fleet.root("d");
        let version = if before == second { "1.0" } else { "2.0" };
        let mut run = fleet.command(&sync(version));
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("gmcf starts");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(whole.mul_f64((seed >> 33) as f64 / f64::from(1_u32 << 31) * 1.2));
        run.kill().expect("it is ours");
        run.wait().expect("it is ours");
        let found = fleet.root("d");
        assert!(found == first || found == second);
        exchanged += u32::from(found != before);
    }
    println!("{exchanged} of 20 were exchanged");
    fleet.good("sync --to d --version 1.0 --allow-downgrade");
    fleet.good("sync --to d");
    assert_eq!(fleet.root("d"), second);
    let mut beside: Vec<_> =
        fs::read_dir(fleet.path(".d.gmcf")).expect("a folder").flatten().map(|e| e.file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["client", "lock", "previous", "seen"]);
}
