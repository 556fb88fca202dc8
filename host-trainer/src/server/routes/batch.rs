//! Many deltas in one response.

use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::super::extract::{Json, Nothing, Query};
use super::super::problem::{Refusal, kinds};
use super::super::{Shared, accept, docs};
use super::ASK;
use super::delta::{ProfileName, find};
use crate::wire::{BatchRecord, CHAIN, MAX_BATCH, PROBLEM, VERSION, WantedRecord};

/// Media type of many parts in one body (RFC 2046).
const MIXED: &str = "multipart/mixed";

/// Many deltas, one part each, in the order of the request.
///
/// A part has the media type and the headers that `GET /delta/between` has; one that cannot be had is a problem document.
#[utoipa::path(
    post, path = "/delta/batch", tag = "deltas", security((), ("token" = [])), request_body = BatchRecord,
    responses(
        (status = 200, description = "The parts", body = docs::Octets, content_type = MIXED),
        docs::Any, docs::Reading, docs::Receiving, docs::Choosing
    )
)]
pub(super) async fn batch(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &[MIXED])?;
    let Json(record) = Json::<BatchRecord>::read(request).await?;
    if record.deltas.len() > MAX_BATCH {
        let detail = format!("{} deltas, at most {MAX_BATCH} at a time", record.deltas.len());
        return Err(Refusal::unfit(kinds::TOO_LARGE, detail));
    }
    let profile = record.profile.as_deref().map(profile).transpose()?;
    let boundary = boundary()?;
    let (start, end) = (format!("--{boundary}\r\n"), format!("--{boundary}--\r\n"));
    let at_once = 2 * app.settings.jobs;
    let parts = stream::iter(record.deltas)
        .map(move |wanted| {
            let (app, headers) = (app.clone(), headers.clone());
            async move { part(&app, &headers, &wanted, profile, record.base).await }
        })
        .buffered(at_once)
        .flat_map(move |(head, body)| {
            stream::iter([Bytes::from(format!("{start}{head}\r\n")), body, Bytes::from_static(b"\r\n")])
        })
        .chain(stream::iter([Bytes::from(end)]))
        .map(Ok::<Bytes, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(parts));
    let kind = format!("{MIXED}; boundary={boundary}");
    let kind = HeaderValue::from_str(&kind).map_err(|error| Refusal::internal(error.to_string()))?;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(ASK));
    Ok(response)
}

/// Headers and body of one part.
async fn part(
    app: &Shared,
    headers: &HeaderMap,
    wanted: &WantedRecord,
    profile: Option<ProfileName>,
    base: bool,
) -> (String, Bytes) {
    match one(app, headers, wanted, profile, base).await {
        Ok(part) => part,
        Err(refusal) => {
            let body = Bytes::from(refusal.json());
            (format!("content-type: {PROBLEM}\r\ncontent-length: {}\r\n", body.len()), body)
        }
    }
}

async fn one(
    app: &Shared,
    headers: &HeaderMap,
    WantedRecord { name, from, to }: &WantedRecord,
    profile: Option<ProfileName>,
    base: bool,
) -> Result<(String, Bytes), Refusal> {
    app.grants.may_read(headers, Some(name)).await?;
    let wanted = find(app, name, (from.as_ref(), to.as_ref()), profile, base).await?;
    let delta = app.deltas.get(wanted.key).await?;
    app.asked.client(headers, name, from.as_ref());
    app.asked.delta(wanted.key, wanted.whole, delta.bytes.len() as u64);
    app.meter.bytes_out.inc_by(delta.bytes.len() as u64);
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_string();
    let mut head = format!(
        "content-type: {}\r\ncontent-length: {}\r\netag: {}\r\n{VERSION}: {}\r\n",
        wanted.kind(),
        delta.bytes.len(),
        text(&delta.etag),
        text(&wanted.version),
    );
    if delta.links > 1 {
        // Writing to a string cannot fail.
        let _ = write!(head, "{CHAIN}: {}\r\n", delta.links);
    }
    Ok((head, delta.bytes.clone()))
}

/// Reads the name of a profile.
pub(super) fn profile(text: &str) -> Result<ProfileName, Refusal> {
    let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
    ProfileName::deserialize(text).map_err(|error| Refusal::unfit(kinds::CODEC, format!("`profile`: {error}")))
}

/// A line that no part has in it, as far as anybody can tell.
fn boundary() -> Result<String, Refusal> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(format!("gmcf-{}", crate::report::format::hex(&random)))
}
