//! Servers and clients that are killed at random moments, as a power cut would: what was acknowledged stays, and a folder
//! that follows a server is the old version or the new one.
//!
//! `GMCF_KILLS` is the number of kills in all (200), `GMCF_SEED` the seed of the moments; it is printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use host_trainer::files::Scratch;
use host_trainer::history::Kind;
use host_trainer::tree::{Digest, Entry, Symlinks, Tree, walk};
use host_trainer::wire::{TreeRecord, VersionRecord, VersionsRecord};
use reqwest::Method;

use super::backend::Backend;
use super::processes::{Client, Random, Server, gmcf, token};
use super::run;

/// Of `GMCF_KILLS`, so many percent.
fn kills(percent: u64) -> u64 {
    let all = std::env::var("GMCF_KILLS").map_or(200, |text| text.parse().expect("GMCF_KILLS is a number"));
    (all * percent).div_ceil(100)
}

fn random(what: &str) -> Random {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("GMCF_SEED").map_or(now, |text| text.parse().expect("GMCF_SEED is a number"));
    println!("{what}: GMCF_SEED={seed}");
    Random(seed)
}

/// A moment within `whole`, or a little later.
fn moment(random: &mut Random, whole: Duration) -> Duration {
    Duration::from_micros(random.below(whole.as_micros() as u64 * 11 / 10 + 1))
}

/// A folder whose files depend on `version`: most stay, some change, some come and go.
fn lay(root: &Path, version: u64) {
    let _ = std::fs::remove_dir_all(root);
    for number in 0..40_u64 {
        let age = if number % 5 == 0 { version } else { 0 };
        let folder = root.join(format!("part{}", number % 4));
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("file {number} as it is since version {age}\n").repeat(1 + number as usize % 9);
        std::fs::write(folder.join(format!("{number}.txt")), text).unwrap();
    }
    std::fs::write(root.join(format!("only-in-{version}")), Random(version).bytes(3000)).unwrap();
}

/// The tree of a folder, without the client's own notes in it.
fn tree(root: &Path) -> Tree {
    let walked = walk(root, Symlinks::Refuse).unwrap().tree;
    let notes = |entry: &&Entry| !entry.path.as_str().starts_with(".gmcf/") && entry.path.as_str() != ".gmcf";
    Tree::new(walked.entries().iter().filter(notes).cloned().collect()).unwrap()
}

/// Who publishes under one name, one version after the other.
struct Publisher {
    name: &'static str,
    kind: Kind,
    folder: PathBuf,
    next: u64,
    /// What was acknowledged.
    told: BTreeMap<String, Digest>,
    /// Versions whose contents were read back.
    read: u64,
}

impl Publisher {
    fn new(name: &'static str, kind: Kind, folder: PathBuf) -> Self {
        Self { name, kind, folder, next: 1, told: BTreeMap::new(), read: 0 }
    }

    fn content(&self, version: u64) -> Vec<u8> {
        // One in some is written in parts.
        let len = if version % 40 == 7 { (8 << 20) + 5 } else { 1 + version as usize * 977 % 40_000 };
        Random(version ^ (self.name.len() as u64) << 32).bytes(len)
    }

    /// Publishes the next version; whether it was acknowledged.
    async fn step(&mut self, client: &Client) -> bool {
        let version = self.next.to_string();
        let digest = match self.kind {
            Kind::File => {
                let content = self.content(self.next);
                let Ok(answer) = client.publish(self.name, &version, &content).await else { return false };
                // Of one that was not acknowledged, the server may know.
                assert!(matches!(answer.status().as_u16(), 200 | 201), "{}: {answer:?}", self.name);
                Digest::of(&content)
            }
            Kind::Tree => {
                lay(&self.folder, self.next);
                let mut command = snapshot(client, &self.folder, self.name, &version);
                let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
                if !done.status.success() {
                    return false;
                }
                tree(&self.folder).root()
            }
        };
        self.told.insert(version, digest);
        self.next += 1;
        true
    }

    /// Checks that all that was acknowledged is there, and that what is listed can be read: what is new since the last
    /// time, or `all`.
    async fn check(&mut self, client: &Client, all: bool) {
        if self.told.is_empty() {
            return;
        }
        let listed: VersionsRecord = client.record(&format!("/names/{}/versions", self.name)).await;
        let digests: BTreeMap<String, Digest> =
            listed.versions.iter().map(|record| (record.version.to_string(), record.digest)).collect();
        for (version, digest) in &self.told {
            assert_eq!(digests.get(version), Some(digest), "{} {version} was acknowledged", self.name);
        }
        // At most one more: the one whose acknowledgement did not come.
        assert!(digests.len() - self.told.len() <= 1, "{}: {digests:?}", self.name);
        for record in listed.versions.iter().filter(|record| all || record.sequence > self.read) {
            read_back(client, self.name, record).await;
        }
        self.read = listed.latest.sequence;
    }
}

/// Checks that all of a version can be read.
async fn read_back(client: &Client, name: &str, record: &VersionRecord) {
    let path = format!("/names/{name}/versions/{}", record.version);
    match record.kind {
        Kind::File => {
            let content = client.bytes(&format!("{path}/content")).await;
            assert_eq!(Digest::of(&content), record.digest, "{path}");
        }
        Kind::Tree => {
            let request = client.request(Method::GET, &format!("{path}/manifest"));
            let answer = request.header("accept", "application/json").send().await.unwrap();
            let manifest: TreeRecord = answer.json().await.unwrap();
            assert_eq!(manifest.root, record.digest, "{path}");
            for digest in manifest.entries.iter().filter_map(|entry| entry.digest) {
                assert_eq!(Digest::of(&client.bytes(&format!("/contents/{digest}")).await), digest, "{path}");
            }
        }
    }
}

fn snapshot(client: &Client, folder: &Path, name: &str, version: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gmcf"));
    command.arg("snapshot").arg(folder).args(["--server", client.base(), "--name", name, "--version", version]);
    command.args(["--tries", "1", "--timeout", "10"]).env("GMCF_TOKEN", client.token());
    command
}

#[test]
fn killed_servers_lose_nothing_that_was_acknowledged() {
    let (folder, mut random) = (Scratch::new("kill").unwrap(), random("servers"));
    let backend = Backend::folder(&folder.join("store"));
    let token = token(&backend, &[]);
    let mut publishers = [
        Publisher::new("a", Kind::File, folder.join("a")),
        Publisher::new("bb", Kind::File, folder.join("bb")),
        Publisher::new("tree", Kind::Tree, folder.join("tree")),
    ];
    run(async {
        let mut server = Server::start(&backend, &[]);
        let client = Client::new(&server, &token);
        let start = Instant::now();
        for step in join_all(publishers.iter_mut().map(|publisher| publisher.step(&client))).await {
            assert!(step, "undisturbed: {}", server.log());
        }
        let whole = start.elapsed();
        println!("a version of each takes {} ms", whole.as_millis());
        for number in 0..kills(40) {
            let client = Client::new(&server, &token);
            let publishing =
                join_all(publishers.iter_mut().map(async |publisher| while publisher.step(&client).await {}));
            let killing = async {
                tokio::time::sleep(moment(&mut random, whole)).await;
                server.kill();
            };
            futures_util::future::join(publishing, killing).await;
            server = Server::start(&backend, &[]);
            let client = Client::new(&server, &token);
            for publisher in &mut publishers {
                publisher.check(&client, false).await;
            }
            if number % 10 == 9 {
                server.check().await;
            }
        }
        let client = Client::new(&server, &token);
        for publisher in &mut publishers {
            assert!(publisher.step(&client).await, "the next one after a kill");
            publisher.check(&client, true).await;
            println!("{}: {} versions acknowledged", publisher.name, publisher.told.len());
        }
        server.check().await;
    });
    let left = backend.store().clear_unfinished(Duration::ZERO).unwrap();
    println!("{left} unfinished objects were left");
    assert!(left <= 4 * kills(40), "no more than what was being written at each kill");
}

/// Starts `command`, kills it at a random moment within `whole`; whether it had ended well before. Until then `look` is
/// called again and again.
fn killed(mut command: Command, random: &mut Random, whole: Duration, look: impl Fn() + Sync) -> bool {
    let (end, done) = (moment(random, whole), AtomicBool::new(false));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                look();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        std::thread::sleep(end);
        // It may have ended by itself.
        let _ = child.kill();
        done.store(true, Ordering::Relaxed);
    });
    child.wait().unwrap().success()
}

/// The root of a folder as a program sees it that has opened it and goes on reading, whatever happens to its name.
#[cfg(target_os = "linux")]
fn root_of_open(folder: &Path) -> Digest {
    use std::os::fd::AsRawFd;
    let open = std::fs::File::open(folder).unwrap();
    tree(&Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(".")).root()
}

#[cfg(not(target_os = "linux"))]
fn root_of_open(folder: &Path) -> Digest {
    tree(folder).root()
}

fn succeeds(mut command: Command) -> Duration {
    let start = Instant::now();
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    start.elapsed()
}

#[test]
fn killed_clients_leave_whole_folders() {
    const VERSIONS: u64 = 3;
    let (folder, mut random) = (Scratch::new("kill").unwrap(), random("clients"));
    let backend = Backend::folder(&folder.join("store"));
    let mut server = Server::start(&backend, &[]);
    let client = Client::new(&server, &token(&backend, &[]));
    let (source, target) = (folder.join("source"), folder.join("target"));
    let mut roots = BTreeMap::new();
    for version in 1..=VERSIONS {
        lay(&source, version);
        roots.insert(version, tree(&source).root());
        succeeds(snapshot(&client, &source, "tree", &version.to_string()));
    }
    let sync = |version: u64| {
        let mut command = gmcf(&backend);
        command.arg("sync").arg("--to").arg(&target).args(["--server", client.base(), "--name", "tree"]);
        command.args(["--version", &version.to_string(), "--allow-downgrade", "--tries", "1"]);
        command
    };
    // From each to each: from then on patches are there, and the last time tells how long it takes.
    let mut whole = Duration::ZERO;
    for version in [1, 2, 3, 1, 3, 2, 1, 2] {
        whole = succeeds(sync(version));
        assert_eq!(tree(&target).root(), roots[&version]);
    }
    println!("a sync takes {} ms", whole.as_millis());
    let (mut holds, mut finished, mut looked) = (2, 0, 0);
    for _ in 0..kills(40) {
        let wanted = 1 + (holds + random.below(VERSIONS - 1)) % VERSIONS;
        let whole_one = |found| found == roots[&holds] || found == roots[&wanted];
        let looks = AtomicU64::new(0);
        let ended = killed(sync(wanted), &mut random, whole, || {
            assert!(whole_one(root_of_open(&target)), "neither version {holds} nor {wanted} while it runs");
            looks.fetch_add(1, Ordering::Relaxed);
        });
        looked += looks.into_inner();
        let found = tree(&target).root();
        assert!(whole_one(found), "neither version {holds} nor {wanted}");
        assert!(!ended || found == roots[&wanted], "it said that it was done");
        finished += u64::from(ended);
        if found == roots[&wanted] {
            holds = wanted;
        }
        if random.below(3) == 0 {
            let next = 1 + random.below(VERSIONS);
            succeeds(sync(next));
            holds = next;
            assert_eq!(tree(&target).root(), roots[&holds], "after a kill");
        }
    }
    println!("{finished} had ended before they were killed; the folder was looked at {looked} times meanwhile");

    lay(&source, VERSIONS + 1);
    let whole = succeeds(snapshot(&client, &source, "tree", &(VERSIONS + 1).to_string()));
    println!("a snapshot takes {} ms", whole.as_millis());
    for number in 0..kills(20) {
        let version = VERSIONS + 2 + number;
        lay(&source, version);
        let wanted = tree(&source).root();
        let ended = killed(snapshot(&client, &source, "tree", &version.to_string()), &mut random, whole, || {});
        if !ended {
            succeeds(snapshot(&client, &source, "tree", &version.to_string()));
        }
        run(async {
            let listed: VersionsRecord = client.record("/names/tree/versions").await;
            assert_eq!((listed.latest.digest, listed.versions.len() as u64), (wanted, version), "each once");
            read_back(&client, "tree", &listed.latest).await;
        });
    }
    run(server.check());
}
