//! Requests of clients that mean harm, or are broken: each is refused with a problem document or a closed connection,
//! nothing is written, nothing panics, and the server still answers.

mod requests;
mod slow;
mod statements;

use std::collections::BTreeMap;
use std::time::Duration;

use host_trainer::files::Scratch;
use host_trainer::wire::{PROBLEM, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::backend::Backend;
use super::processes::{Client, Server, token};
use super::run;

/// Seconds that a client may say nothing.
const TIMEOUT: u64 = 1;
/// Bytes of a content, at most.
const MAX_BODY: usize = 100_000;
/// The options that make both so.
const LIMITS: [&str; 6] = ["--timeout", "1", "--max-body", "100000", "--max-job", "100000"];

/// A server with small limits, and those who may do something there.
struct Victim {
    server: Server,
    backend: Backend,
    /// May publish everything.
    publisher: String,
    /// May publish `fw` only.
    scoped: String,
    /// May read `fw` only.
    reader: String,
    _folder: Scratch,
}

impl Victim {
    /// One that has two versions of `fw`, and one of `other`.
    fn start(options: &[&str]) -> Self {
        let folder = Scratch::new("hostile").unwrap();
        let backend = Backend::folder(&folder.join("store"));
        let server = Server::start(&backend, &[&LIMITS, options].concat());
        let [publisher, scoped, reader] =
            [&[][..], &["--name", "fw"], &["--name", "fw", "--right", "read"]].map(|options| token(&backend, options));
        Self { server, backend, publisher, scoped, reader, _folder: folder }
    }

    /// Publishes something to be attacked.
    async fn fill(&self) {
        let client = Client::new(&self.server, &self.publisher);
        for (name, version) in [("fw", "1"), ("fw", "2"), ("other", "1")] {
            let content = format!("{name} {version}").repeat(100);
            assert_eq!(client.publish(name, version, content.as_bytes()).await.unwrap().status(), 201);
        }
    }

    /// What attacks must leave as it is: all but what the server notes for itself.
    async fn objects(&self) -> BTreeMap<String, u64> {
        let mut objects = self.backend.objects().await;
        objects.retain(|object, _| !object.starts_with("usage/") && !object.starts_with("deltas/"));
        objects
    }

    /// Sends each attack, and checks its answer, and that it has done nothing.
    async fn endure(&mut self, attacks: Vec<Attack>) {
        let before = self.objects().await;
        let mut wrong = Vec::new();
        for attack in attacks {
            let answer = send(&self.server.address, &attack.bytes).await;
            if let Err(what) = answer.check(attack.allowed) {
                wrong.push(format!("{}: {what}", attack.what));
            }
            let after = self.objects().await;
            if after != before {
                wrong.push(format!("{}: the store has changed: {after:?}", attack.what));
                break;
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.check().await;
    }

    /// Checks that the server is well.
    async fn check(&mut self) {
        self.server.check().await;
        let log = self.server.log();
        assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "the log has control characters: {log:?}");
        super::processes::wait_until(Duration::from_secs(5), "bodies are cleared away", async || {
            files(&self.server.spool()) == 0
        })
        .await;
    }
}

/// Files in a folder and below it.
fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// A request, and what may be the answer.
struct Attack {
    what: String,
    bytes: Vec<u8>,
    /// The statuses; 0: the connection is closed without an answer.
    allowed: &'static [u16],
}

/// A request as bytes. A connection ends with it.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: gmcf.test\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding")) {
        head += &format!("content-length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// What came back on a connection until it was closed.
#[derive(Debug)]
struct Answer {
    /// 0: nothing.
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            assert!(bytes.is_empty(), "half an answer: {}", String::from_utf8_lossy(bytes));
            return Self { status: 0, head: String::new(), body: Vec::new() };
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// That it has one of these statuses, and refusals are problem documents.
    fn check(&self, allowed: &[u16]) -> Result<(), String> {
        let text = String::from_utf8_lossy(&self.body);
        if !allowed.contains(&self.status) {
            return Err(format!("{} is none of {allowed:?}: {text}", self.status));
        }
        if self.status < 400 {
            return Ok(());
        }
        if !self.head.contains(&format!("\r\ncontent-type: {PROBLEM}")) {
            return Err(format!("{}: no problem document: {}: {text}", self.status, self.head));
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) if problem.status == self.status && !problem.detail.is_empty() => Ok(()),
            other => Err(format!("{}: {other:?}: {text}", self.status)),
        }
    }
}

/// Sends bytes on a connection of their own, and takes what comes until it is closed.
async fn send(address: &str, bytes: &[u8]) -> Answer {
    let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    // A server that has refused may not read on.
    let written = async {
        let _ = writer.write_all(bytes).await;
        // Kept open: a half-closed connection would be an end of its own.
        writer
    };
    let (answer, _writer) = futures_util::future::join(receive(reader), written).await;
    answer
}

/// Takes what comes until the connection is closed.
async fn receive(mut reader: OwnedReadHalf) -> Answer {
    let mut all = Vec::new();
    let read = async {
        let mut chunk = vec![0; 1 << 16];
        // One that is reset has said what it had to say.
        while let Ok(n @ 1..) = reader.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..n]);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("the connection is closed");
    Answer::parse(&all)
}

#[test]
fn hostile_requests_are_refused() {
    let mut victim = Victim::start(&[]);
    run(async {
        victim.fill().await;
        let attacks = requests::all(&victim.publisher, &victim.scoped, &victim.reader);
        println!("{} requests", attacks.len());
        victim.endure(attacks).await;
        requests::many_ranges_are_no_more_than_the_content(&victim).await;
    });
}

#[test]
fn slow_and_broken_connections_end() {
    let mut victim = Victim::start(&[]);
    run(async {
        victim.fill().await;
        let before = victim.objects().await;
        slow::all(&victim).await;
        assert_eq!(victim.objects().await, before);
        victim.check().await;
    });
}

#[test]
fn forged_and_replayed_statements_are_refused() {
    statements::forged_and_replayed();
}

#[test]
fn tokens_do_no_more_than_they_say() {
    let mut victim = Victim::start(&["--private"]);
    run(async {
        victim.fill().await;
        let attacks = requests::tokens(&victim).await;
        victim.endure(attacks).await;
    });
}
