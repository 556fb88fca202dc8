//! `gmcf` as real processes, and a client for its server.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host_trainer::files::Scratch;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::backend::Backend;

/// A command of `gmcf`, with what `backend` needs in its environment.
pub fn gmcf(backend: &Backend) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gmcf"));
    command.envs(backend.variables.iter().map(|(name, value)| (name, value))).env_remove("GMCF_TOKEN");
    command
}

/// A new token; `options` are those of `gmcf token new`.
pub fn token(backend: &Backend, options: &[&str]) -> String {
    let made = gmcf(backend).args(["token", "new", "--store", &backend.place]).args(options).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().into()
}

/// A running `gmcf serve`; killed when dropped.
pub struct Server {
    child: Child,
    /// HOST:PORT.
    pub address: String,
    // Behind `child`: what it writes to goes after it.
    folder: Scratch,
}

impl Server {
    /// Starts a server on a port of its own, and waits until it listens.
    pub fn start(backend: &Backend, options: &[&str]) -> Self {
        let folder = Scratch::new("server").unwrap();
        let (log, spool) = (std::fs::File::create(folder.join("log")).unwrap(), folder.join("spool"));
        std::fs::create_dir(&spool).unwrap();
        let mut command = gmcf(backend);
        command.args(["serve", "--listen", "127.0.0.1:0", "--store", &backend.place]).args(options);
        command.env("TMPDIR", spool).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut server = Self { child, address: String::new(), folder };
        let Some((_, address)) = line.trim().split_once("://") else { panic!("no server: {}", server.log()) };
        server.address = address.into();
        server
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Where bodies wait until they are whole.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Checks that it runs, answers, and has not panicked.
    pub async fn check(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it has ended: {}", self.log());
        let health = Client::new(self, "").get("/healthz").await;
        assert_eq!(health.status(), 200);
        let log = self.log();
        assert!(!log.contains("panic"), "{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// One that bears `token`.
    pub fn new(server: &Server, token: &str) -> Self {
        // The first one of the process counts.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { client, base: format!("http://{}", server.address), token: token.into() }
    }

    /// What all its requests begin with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What it bears.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request that can be added to.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    /// What the server answers.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// The bytes of an answer, which must be a success.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.get(path).await;
        let status = response.status();
        let body = response.bytes().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
        body.to_vec()
    }

    /// The record of an answer, which must be a success.
    pub async fn record<T: DeserializeOwned>(&self, path: &str) -> T {
        serde_json::from_slice(&self.bytes(path).await).unwrap()
    }

    /// Publishes a file; fails where no answer comes.
    pub async fn publish(&self, name: &str, version: &str, content: &[u8]) -> reqwest::Result<Response> {
        let path = format!("/names/{name}/versions/{version}");
        self.request(Method::PUT, &path).body(content.to_vec()).send().await
    }
}

/// Asks again and again, until `done` or `limit` is over.
pub async fn wait_until(limit: Duration, what: &str, mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Numbers that look random and come again with the same seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 56) as u8).collect()
    }
}
