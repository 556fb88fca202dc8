//! What surrounds every request: a limit on how many there are, an id, counters, a line in the log, and a stop to panics.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;

use super::Shared;
use super::body::Guarded;
use super::problem::{Reason, Refusal};

/// Header with the id of a request, of the client's choice or ours.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Routes that are answered however many requests there are, or the server would be taken for dead.
const VITAL: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Signs of an id that a client chooses, at most.
const MAX_ID: usize = 64;

/// Ids that no other request of any server has.
#[derive(Debug)]
pub(super) struct Ids {
    instance: u64,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        let mut random = [0; 8];
        // Ids that are not random are still different on this server.
        let _ = getrandom::fill(&mut random);
        Self { instance: u64::from_le_bytes(random), next: AtomicU64::new(0) }
    }

    /// A name for this server among those of the store.
    pub(super) fn instance(&self) -> String {
        format!("{:016x}", self.instance)
    }

    fn of(&self, request: &Request) -> HeaderValue {
        let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        match request.headers().get(&REQUEST_ID) {
            Some(id) if (1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(plain) => id.clone(),
            _ => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let id = format!("{:08x}-{number:x}", self.instance as u32);
                HeaderValue::from_maybe_shared(Bytes::from(id)).unwrap_or_else(|_| HeaderValue::from_static("-"))
            }
        }
    }
}

pub(super) async fn observe(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = app.ids.of(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let uri = request.uri().clone();
    app.meter.in_flight.inc();
    let vital = route.as_ref().is_some_and(|route| VITAL.contains(&route.as_str()));
    let permit = if vital { Some(None) } else { app.in_flight.try_acquire().ok().map(Some) };
    let mut response = match permit {
        None => {
            app.meter.shed.inc();
            Refusal::busy("as many requests as this server takes are being worked on; try again").into_response()
        }
        Some(_permit) => {
            if !request.body().is_end_stream() {
                let body = std::mem::take(request.body_mut());
                *request.body_mut() = Guarded::around(body, app.settings.timeout, &app.meter.bytes_in);
            }
            let work = AssertUnwindSafe(tokio::time::timeout(app.settings.total, next.run(request))).catch_unwind();
            match work.await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => {
                    let limit = app.settings.total.as_secs();
                    let detail = format!("this is not done within {limit} s; it may be there when you try again");
                    Refusal::busy(detail).into_response()
                }
                Err(panic) => {
                    app.meter.panics.inc();
                    let what = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
                    let what = what.or_else(|| panic.downcast_ref::<String>().cloned());
                    Refusal::internal(format!("a panic: {}", what.unwrap_or_default())).into_response()
                }
            }
        }
    };
    app.meter.in_flight.dec();
    let (took, status) = (start.elapsed(), response.status());
    let sent = response.body().size_hint().exact().filter(|_| method != Method::HEAD).unwrap_or(0);
    app.meter.answered(route.as_ref().map(MatchedPath::as_str), label(&method), status.as_u16(), took, sent);
    log(&method, &uri, &id, &response, took.as_micros() as u64);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The methods that are counted by their names: a client can make up any.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        _ => "other",
    }
}

fn log(method: &Method, uri: &Uri, id: &HeaderValue, response: &Response, took_us: u64) {
    let status = response.status();
    let (failed, refused) = (status.is_server_error(), status.is_client_error());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    // Most requests end here.
    if reads && !failed && !refused && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let id = id.to_str().unwrap_or_default();
    let reason = response.extensions().get::<Reason>().map_or("", |reason| reason.0.as_str());
    let code = status.as_u16();
    // What this server does not do, or not now, is no failure.
    if failed && !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::NOT_IMPLEMENTED) {
        tracing::error!(id, %method, %uri, status = code, took_us, reason, "failed");
    } else if failed || refused {
        tracing::info!(id, %method, %uri, status = code, took_us, reason, "refused");
    } else if reads {
        tracing::debug!(id, %method, %uri, status = code, took_us, "answered");
    } else {
        tracing::info!(id, %method, %uri, status = code, took_us, "answered");
    }
}
