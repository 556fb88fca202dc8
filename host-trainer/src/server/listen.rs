//! Connections: how they come, how long they may stay, and how they end.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::guard::{Answering, Guard};
use super::{ServeError, Shared};

/// Connections at the same time, at most; others wait until one ends.
const MAX_CONNECTIONS: usize = 8192;
/// Wait after the system had no connection to give: no file descriptors, say.
const BREATH: Duration = Duration::from_millis(50);
/// How long requests that have begun may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(30);
/// Bytes of a refused body that are taken in before the connection is closed, at most.
const LINGER_BYTES: usize = 4 << 20;
/// For how long.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of a request's head, at most; also what is read at a time.
const MAX_HEAD: usize = 64 << 10;

/// Opens certificates and their key.
pub(super) fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &Path, what: String| ServeError::Tls { path: path.to_path_buf(), what };
    let certificates = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, format!("no certificates in PEM: {error}")))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, format!("no key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(|error| wrong(cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until `stop`, and then what has begun.
pub(super) async fn run(
    app: &Shared,
    router: &Router,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut workers = Workers::start(std::thread::available_parallelism().map_or(1, usize::from))?;
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &room) => accepted,
        };
        // It changes its runtime.
        let (stream, permit) = match accepted.and_then(|(stream, permit)| Ok((stream.into_std()?, permit))) {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection to be had");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (app, router, tls, stopped) = (app.clone(), router.clone(), tls.clone(), stopped.clone());
        workers.next().spawn(async move {
            app.meter.connections.inc();
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(&app, router, stream, tls, stopped).await,
                Err(error) => tracing::warn!(%error, "a connection is lost"),
            }
            app.meter.connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    // Nobody listens if there is no connection.
    let _ = stopping.send(true);
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, room.acquire_many(all)).await.is_err() {
        tracing::warn!("requests are given up that have not ended within {} s", GRACE.as_secs());
    }
    Ok(())
}

/// Threads for connections, each with a runtime of its own: a connection stays on one of them, so that an answer from memory
/// wakes no other thread. What takes long is done elsewhere, by the runtimes' threads for what blocks.
struct Workers {
    runtimes: Vec<Handle>,
    next: usize,
    /// They end when these are gone.
    _stops: Vec<oneshot::Sender<()>>,
}

impl Workers {
    fn start(count: usize) -> io::Result<Self> {
        let (mut runtimes, mut stops) = (Vec::new(), Vec::new());
        for _ in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel::<()>();
            stops.push(stop);
            let work = move || {
                // Nothing is ever sent: the sender goes.
                drop(runtime.block_on(stopped));
                runtime.shutdown_background();
            };
            std::thread::Builder::new().name("connections".into()).spawn(work)?;
        }
        Ok(Self { runtimes, next: 0, _stops: stops })
    }

    /// The one whose turn it is.
    fn next(&mut self) -> &Handle {
        self.next = (self.next + 1) % self.runtimes.len();
        &self.runtimes[self.next]
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(
    app: &Shared,
    router: Router,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    stopped: watch::Receiver<bool>,
) {
    // Small answers shall not wait for others. A connection that is gone already will say so.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return http(app, router, stream, stopped).await };
    match tokio::time::timeout(app.settings.timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(app, router, stream, stopped).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
        Err(_) => tracing::debug!("no TLS in time"),
    }
}

/// Waits until the server stops.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // If nobody can tell any more, it has stopped.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    app: &Shared,
    router: Router,
    stream: S,
    mut stopped: watch::Receiver<bool>,
) {
    let answering = Answering::default();
    let io = TokioIo::new(Guard::new(stream, app.settings.timeout, answering.clone()));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        answering.begin();
        let (mut router, answering) = (router.clone(), answering.clone());
        async move {
            let answer = if request.body().is_end_stream() {
                router.call(request.map(|_| Body::empty())).await
            } else {
                let (rest, unread) = oneshot::channel();
                let lent = |body| Body::new(Lent { body: Some(body), rest: Some(rest) });
                let answer = router.call(request.map(lent)).await;
                if answer.as_ref().is_ok_and(|answer| answer.status() != StatusCode::REQUEST_TIMEOUT) {
                    linger(unread).await;
                }
                answer
            };
            answer.map(|answer| answer.map(|body| answering.until(body)))
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = told(&mut stopped) => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
        if error.is_timeout() {
            connection.into_parts().io.into_inner().say_timeout().await;
        }
    }
}

/// A body that comes back when whoever has it does not read it to its end.
struct Lent {
    body: Option<Incoming>,
    rest: Option<oneshot::Sender<Incoming>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(rest)) = (self.body.take().filter(|body| !body.is_end_stream()), self.rest.take()) {
            // Nobody waits for it if the request is given up.
            drop(rest.send(body));
        }
    }
}

/// Takes in the rest of a body that was refused, as far as that is sensible: a connection that is closed while the client
/// still sends takes the answer with it.
async fn linger(mut unread: oneshot::Receiver<Incoming>) {
    let Ok(mut body) = unread.try_recv() else { return };
    let reading = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // However far it came.
    drop(tokio::time::timeout(LINGER, reading).await);
}
