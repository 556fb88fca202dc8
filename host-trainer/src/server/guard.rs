//! The bytes of a connection: clients that stop reading are given up, and what hyper says of heads that it cannot read
//! becomes a problem document.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::problem::Refusal;
use crate::wire::PROBLEM;

/// What hyper's own answers begin with.
const REFUSED: &[u8] = b"HTTP/1.1 4";
/// What they have, and ours have not.
const EMPTY: &[u8] = b"content-length: 0\r\n";
/// What ours have, and theirs have not.
const OURS: &[u8] = b"x-request-id: ";

/// Whether a request is being answered: from when it is taken until the last of the answer was handed over.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<AtomicBool>);

impl Answering {
    /// A request was taken.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The answer's body, with whose end the answer ends.
    pub(super) fn until(&self, body: Body) -> Answer {
        Answer { body, answering: self.clone() }
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: Body,
    answering: Answering,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answering.0.store(false, Ordering::Relaxed);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection.
pub(super) struct Guard<S> {
    inner: S,
    answering: Answering,
    /// Whether all of the answers that began is written: what comes next is the head of another, never part of a content.
    between: bool,
    /// How long it may take until the client reads.
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether something came that was not answered.
    heard: bool,
    /// What is written in place of what was given.
    instead: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(super) fn new(inner: S, limit: Duration, answering: Answering) -> Self {
        Self { inner, answering, between: true, limit, stalled: None, heard: false, instead: Vec::new() }
    }

    /// Says that a head was not complete in time, if there was any of it.
    pub(super) async fn say_timeout(mut self) {
        use tokio::io::AsyncWriteExt as _;
        if !self.heard {
            return;
        }
        let detail = format!("the head of the request is not complete within {} s", self.limit.as_secs());
        let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, detail);
        // A client that does not listen either is none that can be told.
        let told = async {
            self.inner.write_all(&response(&refusal)).await?;
            self.inner.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
    }

    /// Whether `written` is an answer of hyper's, and what to say in its place.
    fn replacement(&mut self, written: &[u8]) -> Option<Vec<u8>> {
        self.heard = false;
        if !std::mem::take(&mut self.between) || !written.starts_with(REFUSED) {
            return None;
        }
        let has = |part: &[u8]| written.windows(part.len()).any(|window| window == part);
        if !has(EMPTY) || has(OURS) {
            return None;
        }
        let status = std::str::from_utf8(written.get(9..12)?).ok()?.parse().ok()?;
        let detail = match status {
            StatusCode::URI_TOO_LONG => "the address is too long",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                "the headers are too large, too many, or tell of too long a body"
            }
            _ => "this is no request of HTTP/1.1",
        };
        Some(response(&Refusal::new(status, detail)))
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.limit;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes what is to be written in place of something else.
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            match Pin::new(&mut self.inner).poll_write(context, &self.instead) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => drop(self.instead.drain(..n)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.wait(context),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A whole response, after which the connection ends.
fn response(refusal: &Refusal) -> Vec<u8> {
    let (status, body) = (refusal.status(), refusal.json());
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.heard |= buffer.filled().len() > before;
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(instead) = self.replacement(bytes) {
            self.instead = instead;
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.stalled = None;
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(context).map(|waited| waited.map(|()| 0)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let head = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |head| &**head);
        if let Some(instead) = self.replacement(head) {
            self.instead = instead;
            return Poll::Ready(Ok(head.len()));
        }
        match Pin::new(&mut self.inner).poll_write_vectored(context, buffers) {
            Poll::Ready(written) => {
                self.stalled = None;
                Poll::Ready(written)
            }
            Poll::Pending => self.wait(context).map(|waited| waited.map(|()| 0)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_instead(context) {
            Poll::Ready(Ok(())) => {}
            other => return other,
        }
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() {
            // hyper flushes when all that it had is written.
            self.between = !self.answering.0.load(Ordering::Relaxed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_instead(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.inner).poll_shutdown(context),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    async fn written(guard: Guard<tokio::io::DuplexStream>, mut other: tokio::io::DuplexStream) -> String {
        drop(guard);
        let mut all = String::new();
        other.read_to_string(&mut all).await.unwrap();
        all
    }

    #[tokio::test]
    async fn hypers_refusals_become_problems() {
        let (here, there) = duplex(1 << 16);
        let mut guard = Guard::new(here, Duration::from_secs(1), Answering::default());
        guard.write_all(REFUSAL).await.unwrap();
        guard.flush().await.unwrap();
        let told = written(guard, there).await;
        assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n") && told.contains(PROBLEM), "{told}");
    }

    #[tokio::test]
    async fn contents_that_look_like_refusals_are_contents() {
        let (here, there) = duplex(1 << 16);
        let answering = Answering::default();
        let mut guard = Guard::new(here, Duration::from_secs(1), answering.clone());
        answering.begin();
        let answer = answering.until(Body::empty());
        for part in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], REFUSAL] {
            guard.write_all(part).await.unwrap();
            guard.flush().await.unwrap();
        }
        // The last part may be written after the body was dropped.
        drop(answer);
        guard.write_all(REFUSAL).await.unwrap();
        guard.flush().await.unwrap();
        let told = written(guard, there).await.into_bytes();
        assert_eq!(told, [b"HTTP/1.1 200 OK\r\n\r\n", REFUSAL, REFUSAL].concat());
    }
}
