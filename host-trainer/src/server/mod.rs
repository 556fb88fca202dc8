//! The content server: versions, contents and deltas over HTTP.
//!
//! It holds no state of its own that matters: what it knows is in its [`Store`], and any number of servers can share one.
//! `routes` has the interface, `docs` the document about it; what surrounds every request is in `observe`, what surrounds
//! every connection in `listen`.
//!
//! ```no_run
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use host_trainer::server::{Server, Settings};
//! use host_trainer::store::Store;
//!
//! let server = Server::bind(Store::open("fleet")?, Settings::default(), "127.0.0.1:0").await?;
//! println!("http://{}", server.local_addr()?);
//! server.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod accept;
mod auth;
mod body;
mod deltas;
mod docs;
mod extract;
mod guard;
mod jobs;
mod listen;
mod meter;
mod names;
mod observe;
mod page;
mod problem;
mod range;
mod routes;
mod usage;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::TlsAcceptor;
use update_core::keys::KEY_LEN;

use crate::deltas::evict;
use crate::release::keys::SecretKey;
use crate::store::{Store, StoreError, Usage};
use crate::wire::StatusRecord;

use auth::Grants;
use body::Spool;
use deltas::{DeltaSettings, Deltas};
use jobs::Jobs;
use meter::Meter;
use names::Names;
use observe::Ids;
pub use problem::{Kind as ProblemKind, Refusal, kinds as problem_kinds};
use usage::Asked;

/// How long a status is good for.
const STATUS_AGE: Duration = Duration::from_secs(2);
/// Between two tellings of what was asked for.
const TELL: Duration = Duration::from_secs(10);
/// Of these, between two tidyings of the store.
const TELLS_A_TIDYING: u32 = 30;
/// After this time, nobody writes an object any more.
const UNFINISHED: Duration = Duration::from_secs(86_400);
/// Milliseconds without a word after which a server counts as gone.
const GONE: u64 = 3_600_000;

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether reading needs a token, too.
    pub private: bool,
    /// Key that signs what is published unsigned, and the slot in which devices hold its public half.
    pub key: Option<(SecretKey, u8)>,
    /// Key whose statements alone are published; if there is none, that of `key`.
    pub trust: Option<[u8; KEY_LEN]>,
    /// Certificates and key for TLS, as PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Bytes of a content that is published, at most.
    pub max_body: u64,
    /// Bytes of a content that is compressed, applied or made deltas of, at most: it is in memory.
    pub max_job: u64,
    /// How long a client may say nothing: before the head of a request is complete, and between parts of its body.
    pub timeout: Duration,
    /// How long a request may take until its answer begins.
    pub total: Duration,
    /// Requests that are worked on at the same time, at most.
    pub max_concurrent: usize,
    /// Threads for the codec.
    pub jobs: usize,
    /// Bytes of memory for deltas that were asked for last.
    pub cache_bytes: u64,
    /// Bytes of the store for deltas; those that were not asked for the longest go first.
    pub store_deltas: u64,
    /// How old what is known about a name may be.
    pub refresh: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private: false,
            key: None,
            trust: None,
            tls: None,
            max_body: 1 << 30,
            max_job: 64 << 20,
            timeout: Duration::from_secs(30),
            total: Duration::from_secs(1800),
            max_concurrent: 1024,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            cache_bytes: 256 << 20,
            store_deltas: 10 << 30,
            refresh: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// Whose statements are published; anybody's, if none is named.
    fn trusted(&self) -> Option<[u8; KEY_LEN]> {
        self.trust.or_else(|| self.key.as_ref().map(|(key, _)| key.public()))
    }
}

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// It cannot listen.
    Listen {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The certificates or their key cannot be used.
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no place for bodies that come.
    Spool(io::Error),
    /// The store does not answer.
    Store(StoreError),
    /// Its own key is not the one that it trusts.
    OtherKey,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Tls { path, what } => write!(f, "`{}`: {what}", path.display()),
            Self::Spool(error) => write!(f, "cannot make a temporary folder: {error}"),
            Self::Store(error) => write!(f, "{error}"),
            Self::OtherKey => f.write_str("the key that signs is not the one that is trusted"),
        }
    }
}

impl std::error::Error for ServeError {}

/// What all requests share.
struct App {
    settings: Settings,
    store: Store,
    names: Names,
    grants: Grants,
    deltas: Deltas,
    jobs: Jobs,
    meter: Arc<Meter>,
    asked: Asked,
    spool: Spool,
    ids: Ids,
    in_flight: Semaphore,
    started: Instant,
    stopping: AtomicBool,
    /// The document about the interface, as JSON.
    api: Bytes,
    status: Mutex<Option<(Instant, StatusRecord)>>,
}

type Shared = Arc<App>;

impl App {
    /// Cache-Control of what never changes.
    fn forever(&self) -> &'static str {
        if self.grants.private() { routes::FOREVER_PRIVATE } else { routes::FOREVER }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What the server has and does, as it was a moment ago.
    async fn status(&self) -> Result<StatusRecord, Refusal> {
        let mut known = self.status.lock().await;
        if let Some((when, status)) = &*known
            && when.elapsed() < STATUS_AGE
        {
            return Ok(status.clone());
        }
        let names = self.names.all().await?;
        let deltas = self.store.deltas().await?;
        let usage = self.usage().await?;
        let status = StatusRecord {
            server: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs(),
            names: names.len() as u64,
            versions: names.iter().map(|(_, timeline)| timeline.versions() as u64).sum(),
            deltas: deltas.len() as u64,
            delta_bytes: deltas.iter().map(|delta| delta.len).sum(),
            clients: usage.clients.len() as u64,
            whole_bytes: usage.whole_bytes,
            sent_bytes: usage.sent_bytes,
            cache_hits: self.meter.hits.get(),
            cache_lookups: self.meter.lookups.get(),
        };
        *known = Some((Instant::now(), status.clone()));
        Ok(status)
    }

    /// What all servers of the store were asked for.
    async fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = self.store.usage(Some(&self.ids.instance())).await?;
        usage.merge(self.asked.usage());
        Ok(usage)
    }

    /// Removes deltas that nobody asks for, if there are too many, and gathers what servers that are gone were asked for.
    async fn tidy(&self) {
        // Written again, so that nobody takes this server for gone.
        let kept = self.store.put_usage(&self.ids.instance(), &self.asked.usage()).await;
        if let Err(error) = kept.and(self.store.gather_usage(GONE).await) {
            tracing::warn!(%error, "what was asked for is not gathered");
        }
        let done = match self.usage().await {
            Ok(usage) => evict(&self.store, &usage, self.settings.store_deltas).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(done) if done.deltas > 0 => tracing::info!(deltas = done.deltas, bytes = done.bytes, "deltas removed"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old deltas are not removed"),
        }
    }

    /// Tells the store what was asked for.
    async fn tell(&self) {
        if let Err(error) = self.asked.tell(&self.store, &self.ids.instance()).await {
            tracing::warn!(%error, "what was asked for is not kept");
        }
    }
}

/// A server that listens.
pub struct Server {
    app: Shared,
    router: Router,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Opens everything, and listens on `address`, `HOST:PORT`; with port 0 on one that is free.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(store: Store, settings: Settings, address: &str) -> Result<Self, ServeError> {
        if let (Some((key, _)), Some(trust)) = (&settings.key, &settings.trust)
            && key.public() != *trust
        {
            return Err(ServeError::OtherKey);
        }
        let tls = settings.tls.as_ref().map(|(cert, key)| listen::tls(cert, key)).transpose()?;
        let (router, api) = routes::all().split_for_parts();
        let meter = Meter::new(api.paths.paths.keys().map(String::as_str));
        let app = Arc::new(App::new(store, settings, meter, api)?);
        answers(&app.store, app.settings.timeout).await.map_err(ServeError::Store)?;
        let failed = |source| ServeError::Listen { address: address.into(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let router = router
            .fallback(nowhere)
            .method_not_allowed_fallback(not_so)
            .layer(axum::middleware::from_fn_with_state(app.clone(), observe::observe))
            // Each route has its own limits.
            .layer(DefaultBodyLimit::disable())
            .with_state(app.clone());
        Ok(Self { app, router, listener, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whether it speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `stop` is done, then until the requests that have begun are answered.
    ///
    /// # Errors
    /// The system's, where it has no threads. What goes wrong with a connection ends that connection.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { app, router, listener, tls } = self;
        // It may take a while, and nobody has to wait for it.
        drop(tokio::task::spawn_blocking({
            let store = app.store.clone();
            move || match store.clear_unfinished(UNFINISHED) {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "writes that were never finished are cleared away"),
                Err(error) => tracing::warn!(%error, "writes that were never finished are not cleared away"),
            }
        }));
        let telling = tokio::spawn({
            let app = app.clone();
            async move {
                loop {
                    for _ in 0..TELLS_A_TIDYING {
                        tokio::time::sleep(TELL).await;
                        app.tell().await;
                    }
                    app.tidy().await;
                }
            }
        });
        let stop = async {
            stop.await;
            app.stopping.store(true, Ordering::Relaxed);
        };
        let served = listen::run(&app, &router, listener, tls, stop).await;
        telling.abort();
        app.tell().await;
        served
    }
}

impl App {
    fn new(
        store: Store,
        settings: Settings,
        meter: Arc<Meter>,
        mut api: utoipa::openapi::OpenApi,
    ) -> Result<Self, ServeError> {
        if settings.private {
            docs::make_private(&mut api);
        }
        let api = api.to_json().map_err(|error| ServeError::Spool(io::Error::other(error)))?;
        let jobs = Jobs::new(settings.jobs, settings.timeout);
        let making = DeltaSettings { cache_bytes: settings.cache_bytes, max_content: settings.max_job };
        Ok(Self {
            names: Names::new(store.clone(), settings.refresh),
            grants: Grants::new(store.clone(), settings.private),
            deltas: Deltas::new(store.clone(), making, jobs.clone(), meter.clone()),
            asked: Asked::default(),
            spool: Spool::new().map_err(ServeError::Spool)?,
            ids: Ids::new(),
            in_flight: Semaphore::new(settings.max_concurrent),
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            api: api.into(),
            status: Mutex::new(None),
            settings,
            store,
            jobs,
            meter,
        })
    }
}

/// Whether the store answers in time.
async fn answers(store: &Store, limit: Duration) -> Result<(), StoreError> {
    let late = |_| StoreError::Open {
        place: store.place().into(),
        what: format!("it does not answer within {} s", limit.as_secs()),
    };
    tokio::time::timeout(limit, store.ready()).await.map_err(late)?
}

async fn nowhere(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(80).collect();
    Refusal::missing(format!("there is nothing at `{}`; GET /openapi.json says what there is", path.escape_debug()))
}

async fn not_so(method: Method) -> Refusal {
    let detail = format!("`{method}` is not done here; the header `Allow` says what is");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
