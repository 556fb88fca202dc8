//! Requests that are tried again where that can help, and the bytes that they take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::Runtime;

use super::error::{ClientError, Refusal};
use crate::report::causes;
use crate::wire::{self, Problem};

/// Bytes of a problem document that are read.
const MAX_PROBLEM: u64 = 1 << 16;
/// Longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// First wait.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Time in which a connection is made, or not.
const CONNECT: Duration = Duration::from_secs(10);

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Connect {
    /// `http://` or `https://`, host, port, and perhaps a path before those of the interface.
    pub url: String,
    /// Certificates in PEM that are trusted in place of the system's.
    pub ca: Option<Vec<u8>>,
    /// What proves the right to publish.
    pub token: Option<String>,
    /// What this client calls itself.
    pub client: Option<String>,
    /// Longest silence of the server; it may have to make a patch first.
    pub timeout: Duration,
    /// Times that a request is tried while nothing comes.
    pub tries: u32,
}

impl Connect {
    /// With the system's certificates, no token, 5 tries and 300 seconds of silence.
    pub fn to(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca: None, token: None, client: None, timeout: Duration::from_secs(300), tries: 5 }
    }
}

/// Bytes that went over the connection: bodies exactly, heads by their text.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Bytes of header lines.
fn lines(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// A server, and a runtime to talk to it. Its methods block.
#[derive(Debug)]
pub struct Server {
    pub(super) runtime: Runtime,
    http: Client,
    base: Url,
    tries: u32,
    traffic: Traffic,
}

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection failed; whether something came before it did.
    Lost { what: String, progress: bool },
    /// The server asks for patience.
    Later { wait: Option<Duration>, refusal: Box<Refusal> },
    /// Another try would end the same way.
    Final(ClientError),
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Final(error)
    }
}

impl Fault {
    pub(super) fn lost(error: &reqwest::Error) -> Self {
        Self::Lost { what: reason(error), progress: false }
    }
}

/// The innermost reason: what surrounds it only repeats the address.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    causes::reason(error)
}

impl Server {
    /// Prepares to talk to a server; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`]; [`ClientError::Io`] where the system has no threads left.
    pub fn new(connect: &Connect) -> Result<Self, ClientError> {
        let wrong = |what: &str| ClientError::Address { found: connect.url.clone(), what: what.into() };
        let base = Url::parse(&connect.url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong("the address of a server is http://HOST[:PORT] or https://HOST[:PORT]"));
        }
        // Whoever embeds this may have chosen another one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(token) = &connect.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| ClientError::Address { found: "GMCF_TOKEN".into(), what: "no token".into() })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(client) = connect.client.as_deref().and_then(|client| HeaderValue::from_str(client).ok()) {
            headers.insert(HeaderName::from_static(wire::CLIENT), client);
        }
        let mut http = Client::builder()
            .user_agent(concat!("gmcf/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .read_timeout(connect.timeout)
            .tcp_keepalive(Duration::from_secs(15))
            // A token stays with the server that it is for.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &connect.ca {
            let wrong = |what: String| ClientError::Address { found: "--ca".into(), what };
            let roots = Certificate::from_pem_bundle(pem).map_err(|error| wrong(error.to_string()))?;
            if roots.is_empty() {
                return Err(wrong("no certificate in PEM".into()));
            }
            http = http.tls_certs_only(roots);
        }
        let http = http.build().map_err(|error| wrong(&reason(&error)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(ClientError::io("start", "the runtime".as_ref()))?;
        Ok(Self { runtime, http, base, tries: connect.tries.max(1), traffic: Traffic::default() })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Bytes so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A request for the path with these components.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    /// The same with a query.
    pub(super) fn request_with(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url)
    }

    /// Sends a request once. What is no success is an error, and some of those are worth another try.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let request = request
            .build()
            .map_err(|error| ClientError::Address { found: self.base.to_string(), what: reason(&error) })?;
        let name = named(&request);
        // What the library adds: host, agent, and what authorises.
        let (url, query) = (request.url(), request.url().query().map_or(0, |query| query.len() + 1));
        let head = request.method().as_str().len() + url.path().len() + query + lines(request.headers()) + 100;

        let body = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
        self.traffic.count_sent(head + body);
        let response = self.http.execute(request).await.map_err(|error| Fault::lost(&error))?;
        self.traffic.count_received(lines(response.headers()) + "HTTP/1.1 200 OK\r\n\r\n".len());
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(name, response).await) }
    }

    async fn refusal(&self, request: String, response: Response) -> Fault {
        let status = response.status();
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let wait = header(RETRY_AFTER).and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let is_problem = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(wire::PROBLEM));
        // The status says enough where the rest does not come.
        let body = self.body(response, MAX_PROBLEM).await.unwrap_or_default();
        let problem = Some(&body).filter(|_| is_problem).and_then(|body| serde_json::from_slice::<Problem>(body).ok());
        let (kind, detail) = match problem {
            Some(problem) => {
                let detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
                (problem.kind, detail)
            }
            None => ("about:blank".into(), status.canonical_reason().unwrap_or_default().to_lowercase()),
        };
        let refusal = Box::new(Refusal { request, status: status.as_u16(), kind, detail: one_line(&detail) });
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Fault::Later { wait, refusal },
            _ => Fault::Final(ClientError::Refused(refusal)),
        }
    }

    /// The whole body of a response.
    pub(super) async fn body(&self, mut response: Response, limit: u64) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Fault::lost(&error))? {
            self.traffic.count_received(chunk.len());
            let len = (body.len() + chunk.len()) as u64;
            ClientError::check("the server's answer", len, limit)?;
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Does `attempt` until it succeeds, fails for good, or has failed too often without anything having come.
    pub(super) async fn again<T>(
        &self,
        request: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, Fault>,
    ) -> Result<T, ClientError> {
        let mut tries = 0;
        loop {
            let (wait, error) = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Later { wait, refusal }) => (wait, ClientError::Refused(refusal)),
                Err(Fault::Lost { what, progress }) => {
                    tries = if progress { 0 } else { tries };
                    (None, ClientError::Unreachable { request: request.into(), tries: tries + 1, what })
                }
            };
            tries += 1;
            if tries >= self.tries {
                return Err(error);
            }
            tokio::time::sleep(wait.unwrap_or_else(|| backoff(tries)).min(MAX_WAIT)).await;
        }
    }

    /// A small answer: the request is sent, and tried again where that can help.
    pub(super) fn ask(&self, limit: u64, make: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let request = make().build().as_ref().map(named).unwrap_or_default();
        self.runtime.block_on(self.again(&request, async || {
            let response = self.send(make()).await?;
            self.body(response, limit).await
        }))
    }
}

/// Doubles with each try, and differs between clients, so that a fleet does not come back all at once.
fn backoff(tries: u32) -> Duration {
    let full = FIRST_WAIT.saturating_mul(1 << tries.min(8).saturating_sub(1));
    let mut random = [0; 2];
    // Without randomness all wait the same time.
    let _ = getrandom::fill(&mut random);
    full.mul_f64(0.5 + f64::from(u16::from_le_bytes(random)) / 65_536.0)
}

/// Method and path, as errors name a request.
pub(super) fn named(request: &reqwest::Request) -> String {
    let host = request.url().host_str().unwrap_or_default();
    let port = request.url().port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{} {host}{port}{}", request.method(), request.url().path())
}

/// What a server says goes to a terminal: one line of at most 300 plain characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
