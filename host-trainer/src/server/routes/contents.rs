//! Contents, by their digests.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{Json, Nothing, Path, Query};
use super::super::problem::{Refusal, kinds};
use super::super::range::{self, Meta, Part, etag};
use super::super::{Shared, accept, body, docs};
use super::names;
use crate::store::StoreError;
use crate::tree::Digest;
use crate::wire::{ContentsRecord, MAX_DIGESTS, OCTETS};

/// Contents that are looked for at the same time.
const LOOKS: usize = 32;

/// A digest in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct DigestPath {
    /// Digest of a content: BLAKE2s, 64 lower-case hexadecimal digits
    #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: Digest,
}

/// Headers by which a part is asked for; they are read from the request where they are needed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct RangeHeaders {
    /// One range of bytes, to go on with a download: `bytes=1000-`
    #[serde(rename = "range")]
    #[param(value_type = String, required = false)]
    range: Option<String>,
    /// The entity tag that the range belongs to: if it is another by now, all of it comes
    #[serde(rename = "if-range")]
    #[param(value_type = String, required = false)]
    if_range: Option<String>,
    /// Entity tags that the client has
    #[serde(rename = "if-none-match")]
    #[param(value_type = String, required = false)]
    if_none_match: Option<String>,
}

/// Which of some contents are not there: what a client still has to send.
#[utoipa::path(
    post, path = "/contents/missing", tag = "contents", security((), ("token" = [])), request_body = ContentsRecord,
    responses((status = 200, body = ContentsRecord), docs::Any, docs::Reading, docs::Receiving, docs::Choosing)
)]
pub(super) async fn missing(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &["application/json"])?;
    let Json(record) = Json::<ContentsRecord>::read(request).await?;
    if record.digests.len() > MAX_DIGESTS {
        let detail = format!("{} digests, at most {MAX_DIGESTS} at a time", record.digests.len());
        return Err(Refusal::unfit(kinds::TOO_LARGE, detail));
    }
    let looked = look(&app, record.digests).try_collect::<Vec<_>>().await?;
    let digests = looked.into_iter().filter(|(_, len)| len.is_none()).map(|(digest, _)| digest).collect();
    names::fresh(&ContentsRecord { digests })
}

/// Looks for contents, many at a time: each with its length, if it is there, in the order of `digests`.
pub(super) fn look(
    app: &Shared,
    digests: Vec<Digest>,
) -> impl Stream<Item = Result<(Digest, Option<u64>), StoreError>> + Unpin + use<> {
    let app = app.clone();
    let looks = digests.into_iter().map(move |digest| {
        let app = app.clone();
        async move { app.store.content_len(&digest).await.map(|len| (digest, len)) }
    });
    Box::pin(stream::iter(looks).buffered(LOOKS))
}

/// A whole content, for the codec.
pub(super) async fn whole(app: &Shared, digest: &Digest) -> Result<Bytes, Refusal> {
    let found = app.store.content(digest, app.settings.max_job).await?;
    found.ok_or_else(|| gone(digest))
}

fn gone(digest: &Digest) -> Refusal {
    Refusal::missing(format!("content {digest} is not there"))
}

/// A content.
#[utoipa::path(
    get, path = "/contents/{digest}", tag = "contents", security((), ("token" = [])), params(DigestPath, RangeHeaders),
    responses(
        (status = 200, description = "The content", body = docs::Octets, content_type = OCTETS,
            headers(("etag" = String, description = "The digest, quoted"))),
        (status = 206, description = "The range that was asked for", body = docs::Octets, content_type = OCTETS),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged
    )
)]
pub(super) async fn get(
    State(app): State<Shared>,
    method: Method,
    Path(DigestPath { digest }): Path<DigestPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    send(&app, &method, &headers, &digest).await
}

/// Keeps a content, so that it can be published, by itself or in a folder.
#[utoipa::path(
    put, path = "/contents/{digest}", tag = "contents", security(("token" = [])), params(DigestPath),
    request_body(content = docs::Octets, content_type = OCTETS),
    responses(
        (status = 201, description = "It is there now"), (status = 204, description = "It was there already"),
        docs::Any, docs::Publishing, docs::Uploading
    )
)]
pub(super) async fn put(
    State(app): State<Shared>,
    Path(DigestPath { digest }): Path<DigestPath>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_publish(request.headers(), None).await?;
    body::check_upload(request.headers(), &[])?;
    let spooled = app.spool.take(request.into_body(), app.settings.max_body).await?;
    if spooled.digest != digest {
        let detail = format!("the content has the digest {}, not {digest}; it is not kept", spooled.digest);
        return Err(Refusal::unfit(kinds::DIGEST, detail));
    }
    let there = app.store.content_len(&digest).await? == Some(spooled.len);
    if there {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    app.store.put_content_file(spooled.path(), &digest, spooled.len).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// Answers with a content, or with what the request wants of it, as it comes from the store.
pub(super) async fn send(
    app: &Shared,
    method: &Method,
    headers: &HeaderMap,
    digest: &Digest,
) -> Result<Response, Refusal> {
    accept::choose(headers, &[OCTETS])?;
    let len = app.store.content_len(digest).await?.ok_or_else(|| gone(digest))?;
    let meta = Meta { kind: OCTETS, etag: etag(&digest.to_string()), cache: app.forever() };
    let part = range::part(headers, &meta.etag, len)?;
    if *method == Method::HEAD || part == Part::None || len == 0 {
        let mut response = meta.stream(&part, len, Body::empty());
        if part == Part::All {
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
        }
        return Ok(response);
    }
    let range = match &part {
        Part::Some(range) => Some(range.clone()),
        _ => None,
    };
    let blob = app.store.open_content(digest, range).await?.ok_or_else(|| gone(digest))?;
    let sent = app.meter.bytes_out.clone();
    let bytes = blob.bytes.inspect(move |part| {
        if let Ok(part) = part {
            sent.inc_by(part.len() as u64);
        }
    });
    Ok(meta.stream(&part, len, Body::from_stream(bytes)))
}
