//! Many devices at random versions that all go to the newest one: what a server has to make, what it finds made, what it
//! sends, and what that takes.
//!
//! ```text
//! cargo run --release -p benches --bin fleet [DEVICES]
//! ```
//!
//! Starts `gmcf serve` (`GMCF`, or the one beside this program) on a fresh store with two series of 30 firmware versions,
//! which are made from bundled images: in each, some words change, and something is inserted. Every device asks what counts,
//! gets the delta from its version over a real connection, and is counted. What each different delta rebuilds is compared.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use host_trainer::codec;
use host_trainer::files::Scratch;
use host_trainer::history::{History, Kind, Name, Signed, Statement};
use host_trainer::store::{Store, StoreError};
use tokio::sync::Semaphore;

type Failure = Box<dyn Error + Send + Sync>;

const VERSIONS: usize = 30;
const SERIES: [(&str, &str); 2] = [("gateway", "fw-greatfet/2021.2.1.bin"), ("sensor", "fw-espboot-c3/2.1.0.bin")];
/// Devices that speak with the server at the same time.
const AT_ONCE: usize = 64;

/// Marsaglia, "Xorshift RNGs", 2003: the 64 bit generator with the triple 13, 7, 17.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A version and those that follow it.
fn series(first: Vec<u8>, random: &mut Random) -> Vec<Vec<u8>> {
    let mut versions = vec![first];
    while versions.len() < VERSIONS {
        let mut next = versions[versions.len() - 1].clone();
        for _ in 0..40 {
            let at = random.below(next.len());
            next[at] = next[at].wrapping_add(1 + random.below(7) as u8);
        }
        let (at, from) = (random.below(next.len()), random.below(next.len() - 256));
        let mut inserted = next[from..from + 16 + random.below(200)].to_vec();
        inserted.iter_mut().step_by(5).for_each(|byte| *byte ^= random.below(256) as u8);
        next.splice(at..at, inserted);
        versions.push(next);
    }
    versions
}

async fn publish(store: &Store, name: &str, versions: &[Vec<u8>]) -> Result<(), Failure> {
    let (name, mut history): (Name, _) = (name.parse()?, History::default());
    for (number, content) in versions.iter().enumerate() {
        let digest = store.put_content(content.clone().into()).await?;
        let version: host_trainer::history::Version = format!("1.{number}").parse()?;
        let made = store.publish(&name, &mut history, |history| {
            let statement = Statement {
                name: name.clone(),
                sequence: history.next(),
                version: version.clone(),
                kind: Kind::File,
                digest,
                len: content.len() as u64,
                rollback: false,
                published_at: host_trainer::report::transfer::now_ms(),
            };
            Ok::<_, StoreError>(Some(Signed::new(statement, None)))
        });
        made.await?;
    }
    Ok(())
}

/// A server that is stopped when this goes out of scope.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(gmcf: &Path, store: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(gmcf);
        command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let url =
            line.split_whitespace().find(|word| word.starts_with("http://")).ok_or("the server names no address")?;
        Ok(Self { url: url.trim_end_matches('/').to_string(), child })
    }

    /// Seconds of CPU, and KiB of memory.
    fn cost(&self) -> Result<(f64, u64), Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // Fields 14 and 15 of proc(5), in ticks of 10 ms; the first here is field 3.
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok((ticks as f64 / 100.0, rss.trim().trim_end_matches(" kB").parse()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<(), Failure> {
    // Without TLS here, but the client wants to know.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let devices: usize = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let gmcf = match std::env::var_os("GMCF") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("gmcf"),
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dev");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut contents = HashMap::new();
    for (name, image) in SERIES {
        contents.insert(name, series(std::fs::read(data.join(image))?, &mut random));
    }
    tokio::runtime::Runtime::new()?.block_on(run(devices, &gmcf, contents, random))
}

async fn run(
    devices: usize,
    gmcf: &Path,
    contents: HashMap<&'static str, Vec<Vec<u8>>>,
    mut random: Random,
) -> Result<(), Failure> {
    let folder = Scratch::new("fleet")?;
    let place = folder.join("store");
    let store = Store::open(place.to_str().ok_or("the temporary folder has no plain name")?)?;
    for (name, versions) in &contents {
        publish(&store, name, versions).await?;
    }
    let server = Server::start(gmcf, &place)?;
    let http = reqwest::Client::new();

    let (start, gate) = (Instant::now(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut running = tokio::task::JoinSet::new();
    for device in 0..devices {
        let (name, _) = SERIES[random.below(SERIES.len())];
        // Half of a fleet is close behind; the rest is anywhere.
        let behind = if random.below(2) == 0 { 1 + random.below(3) } else { 1 + random.below(VERSIONS - 1) };
        let (url, http, permit) = (server.url.clone(), http.clone(), gate.clone().acquire_owned().await?);
        let from = VERSIONS - 1 - behind;
        running.spawn(async move {
            let _permit = permit;
            let latest =
                http.get(format!("{url}/names/{name}/latest")).header("gmcf-client", format!("device-{device}"));
            let latest: Signed = serde_json::from_slice(&latest.send().await?.error_for_status()?.bytes().await?)?;
            let to = latest.statement.version;
            let delta = http
                .get(format!("{url}/delta/between?name={name}&from=1.{from}&to={to}"))
                .header("gmcf-client", format!("device-{device}"));
            let delta = delta.send().await?.error_for_status()?.bytes().await?;
            Ok::<_, Failure>((name, from, delta))
        });
    }
    let mut seen: HashMap<(&str, usize), Vec<u8>> = HashMap::new();
    let (mut sent, mut whole) = (0, 0);
    while let Some(done) = running.join_next().await {
        let (name, from, delta) = done??;
        let versions = &contents[name];
        sent += delta.len();
        whole += versions[VERSIONS - 1].len();
        match seen.get(&(name, from)) {
            Some(known) if known[..] == delta[..] => {}
            Some(_) => return Err(format!("two deltas of {name} from 1.{from} differ").into()),
            None => {
                let rebuilt = codec::apply(&codec::links(&delta)?, Some(&versions[from]))?;
                if rebuilt != versions[VERSIONS - 1] {
                    return Err(format!("the delta of {name} from 1.{from} rebuilds something else").into());
                }
                seen.insert((name, from), delta.to_vec());
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let status: host_trainer::wire::StatusRecord =
        serde_json::from_slice(&http.get(format!("{}/delta/status", server.url)).send().await?.bytes().await?)?;
    let (cpu, rss) = server.cost()?;
    println!("devices                {devices}");
    println!("different deltas       {}", seen.len());
    println!("asked for              {}", status.cache_lookups);
    println!(
        "of these found made    {} ({:.2} %)",
        status.cache_hits,
        100.0 * status.cache_hits as f64 / status.cache_lookups as f64
    );
    println!("bytes of deltas sent   {sent} ({:.2} % of {whole} for whole images)", 100.0 * sent as f64 / whole as f64);
    println!("server's CPU           {cpu:.2} s ({:.3} ms a device)", 1e3 * cpu / devices as f64);
    println!("server's memory        {rss} KiB");
    println!("in all                 {took:.1} s, {AT_ONCE} devices at a time");
    Ok(())
}
