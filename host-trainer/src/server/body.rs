//! Bodies of requests: never longer than allowed, never slower, never in memory by accident.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper::body::{Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use tokio::io::AsyncWriteExt;
use tokio::time::{Sleep, sleep};

use super::problem::Refusal;
use crate::files::Scratch;
use crate::report::causes::{causes, reason};
use crate::tree::{Digest, Hasher};
use crate::wire::OCTETS;

/// Bytes a second that a body must come with, on average, once it has been coming for the time limit.
const LEAST_RATE: u64 = 256;

/// Why a body is not read to its end.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Nothing came for so long, or too little.
    Slow(Duration),
    /// More came than is allowed.
    TooLong(u64),
    /// The connection failed.
    Broken(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(limit) => write!(f, "the body does not come within {} s", limit.as_secs()),
            Self::TooLong(limit) => write!(f, "the body has more than {limit} bytes"),
            Self::Broken(what) => write!(f, "the body ends early: {what}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<&BodyError> for Refusal {
    fn from(error: &BodyError) -> Self {
        match error {
            BodyError::Slow(_) => Self::new(StatusCode::REQUEST_TIMEOUT, error.to_string())
                .with(header::CONNECTION, header::HeaderValue::from_static("close")),
            BodyError::TooLong(limit) => too_large(*limit),
            BodyError::Broken(_) => Self::bad(error.to_string()),
        }
    }
}

/// A body that must keep coming.
pub(super) struct Guarded {
    inner: Body,
    limit: Duration,
    started: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
    counter: Counter,
}

impl Guarded {
    /// Guards `body`, unless it is empty.
    pub(super) fn around(body: Body, limit: Duration, counter: &Counter) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let (started, timer) = (Instant::now(), Box::pin(sleep(limit)));
        Body::new(Self { inner: body, limit, started, received: 0, timer, counter: counter.clone() })
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            ready!(this.timer.as_mut().poll(context));
            return Poll::Ready(Some(Err(BodyError::Slow(this.limit))));
        };
        this.timer.as_mut().reset(tokio::time::Instant::now() + this.limit);
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.received += len;
                this.counter.inc_by(len);
                let took = this.started.elapsed();
                if took > this.limit && this.received < LEAST_RATE * took.as_secs() {
                    return Err(BodyError::Slow(this.limit));
                }
                Ok(frame)
            }
            Err(error) => Err(BodyError::Broken(error.to_string())),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What an error of a body, or of what reads it, comes from.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Refusal {
    match causes(error).find_map(|cause| cause.downcast_ref::<BodyError>()) {
        Some(error) => error.into(),
        None => Refusal::bad(format!("the body cannot be read: {}", reason(error))),
    }
}

/// Refuses a body of more than `limit` bytes.
pub(super) fn too_large(limit: u64) -> Refusal {
    let detail = format!("the body may have at most {limit} bytes here; nothing was written");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn check(body: &Body, limit: u64) -> Result<(), Refusal> {
    if body.size_hint().lower() > limit { Err(too_large(limit)) } else { Ok(()) }
}

/// `body`, which breaks when it has more than `limit` bytes.
pub(super) fn at_most(body: Body, limit: u64) -> Body {
    let mut room = limit;
    Body::from_stream(body.into_data_stream().map(move |part| {
        let part = part?;
        room = room.checked_sub(part.len() as u64).ok_or_else(|| axum::Error::new(BodyError::TooLong(limit)))?;
        Ok::<Bytes, axum::Error>(part)
    }))
}

/// A body of at most `limit` bytes, in memory.
pub(super) async fn read(body: Body, limit: u64) -> Result<Bytes, Refusal> {
    check(&body, limit)?;
    let mut whole = Vec::with_capacity(body.size_hint().lower().min(1 << 20) as usize);
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| refusal(&error))?;
        if (whole.len() + part.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}

/// What a body is said to be, without parameters; none if nothing is said.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let said = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    said.split(';').next().map(str::trim)
}

/// Refuses contents that are said to be something else than `kinds` or octets, and those whose length nobody says.
pub(super) fn check_upload(headers: &HeaderMap, kinds: &[&str]) -> Result<(), Refusal> {
    if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "send the content as the body, with its length"));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let detail = "the content must come as it is: leave `Content-Encoding` out";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let Some(said) = media_type(headers) else { return Ok(()) };
    // What curl says of any file.
    let good = kinds.iter().chain(&[OCTETS, "application/x-www-form-urlencoded"]);
    if good.into_iter().any(|good| said.eq_ignore_ascii_case(good)) {
        return Ok(());
    }
    let detail = format!("the body is `{said}`; send the content as it is, as {OCTETS}");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Where bodies wait on the disk until all of them is there.
#[derive(Debug)]
pub(super) struct Spool {
    folder: Scratch,
    next: AtomicU64,
}

/// A body on the disk; gone when dropped.
#[derive(Debug)]
pub(super) struct Spooled {
    path: PathBuf,
    /// Digest of its bytes.
    pub(super) digest: Digest,
    /// How many there are.
    pub(super) len: u64,
}

impl Spooled {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All of it, in memory.
    pub(super) async fn read(&self) -> Result<Bytes, Refusal> {
        let read = tokio::fs::read(&self.path).await;
        read.map(Bytes::from).map_err(|error| crate::store::StoreError::Spool(error).into())
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // What cannot be removed goes with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Spool {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { folder: Scratch::new("serve")?, next: AtomicU64::new(0) })
    }

    /// Takes a body of at most `limit` bytes.
    pub(super) async fn take(&self, body: Body, limit: u64) -> Result<Spooled, Refusal> {
        check(&body, limit)?;
        self.take_stream(body.into_data_stream(), limit).await
    }

    /// Takes what comes, at most `limit` bytes.
    pub(super) async fn take_stream<E: std::error::Error + 'static>(
        &self,
        mut parts: impl Stream<Item = Result<Bytes, E>> + Unpin,
        limit: u64,
    ) -> Result<Spooled, Refusal> {
        let path = self.folder.join(&self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let failed = |error: std::io::Error| Refusal::from(crate::store::StoreError::Spool(error));
        let mut spooled = Spooled { path, digest: Digest([0; 32]), len: 0 };
        let mut file = tokio::fs::File::create_new(&spooled.path).await.map_err(failed)?;
        let mut hasher = Hasher::default();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| refusal(&error))?;
            spooled.len += part.len() as u64;
            if spooled.len > limit {
                return Err(too_large(limit));
            }
            hasher.update(&part);
            file.write_all(&part).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        spooled.digest = hasher.finish();
        Ok(spooled)
    }
}
