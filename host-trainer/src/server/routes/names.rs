//! Names, versions, statements, and the contents that they speak of.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{Nothing, Path, Query};
use super::super::names::Timeline;
use super::super::problem::{Refusal, kinds};
use super::super::range::{self, Meta, Part, etag};
use super::super::{Shared, accept, docs};
use super::{ASK, contents, trees};
use crate::history::{Brief, Kind, Name, Signed, Version};
use crate::tree::Digest;
use crate::wire::{BRIEF, MANIFEST, NameRecord, NamesRecord, OCTETS, STATEMENT, VersionRecord, VersionsRecord};

/// A name in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NamePath {
    /// Name of what is followed
    #[param(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$", example = "gateway")]
    pub(super) name: Name,
}

/// A name and a version in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// Name of what is followed
    #[param(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$", example = "gateway")]
    pub(super) name: Name,
    /// Name of the version
    #[param(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$", example = "2.0.1")]
    pub(super) version: Version,
}

/// All names, with the version of each that counts.
#[utoipa::path(
    get, path = "/names", tag = "versions", security((), ("token" = [])),
    responses((status = 200, body = NamesRecord), docs::Any, docs::Reading, docs::Choosing)
)]
pub(super) async fn names(
    State(app): State<Shared>,
    headers: HeaderMap,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &["application/json"])?;
    let all = app.names.all().await?;
    let record = |(name, timeline): (Name, std::sync::Arc<Timeline>)| {
        let latest = VersionRecord::from(timeline.latest()?.0);
        Some(NameRecord { name, latest, versions: timeline.versions() as u64 })
    };
    fresh(&NamesRecord { names: all.into_iter().filter_map(record).collect() })
}

/// The versions of a name, in the order in which they were first published.
#[utoipa::path(
    get, path = "/names/{name}/versions", tag = "versions", security((), ("token" = [])), params(NamePath),
    responses((status = 200, body = VersionsRecord), docs::Any, docs::Reading, docs::Finding, docs::Choosing)
)]
pub(super) async fn versions(
    State(app): State<Shared>,
    Path(NamePath { name }): Path<NamePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    accept::choose(&headers, &["application/json"])?;
    let timeline = app.names.get(&name).await?;
    let (latest, _) = timeline.latest().ok_or_else(|| Refusal::missing("there is no version yet"))?;
    let versions = timeline.history().versions().into_iter().map(VersionRecord::from).collect();
    fresh(&VersionsRecord { name, versions, latest: latest.into() })
}

/// The statement that counts: which version a name stands for.
///
/// As JSON, or signed bytes as `application/vnd.gmcf.statement`; a signed one also as
/// `application/vnd.gmcf.statement.brief`, without its name, digest and length, for a client that rebuilds the content
/// before it believes it.
#[utoipa::path(
    get, path = "/names/{name}/latest", tag = "versions", security((), ("token" = [])), params(NamePath),
    responses(
        (status = 200, description = "The statement", content(
            (serde_json::Value = "application/json"), (docs::Octets = "application/vnd.gmcf.statement"),
            (docs::Octets = "application/vnd.gmcf.statement.brief")),
            headers(("etag" = String, description = "For `If-None-Match`, and for `If-Match` of what publishes"))),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Tagged
    )
)]
pub(super) async fn latest(
    State(app): State<Shared>,
    Path(NamePath { name }): Path<NamePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    let timeline = app.names.get(&name).await?;
    let (signed, _) = timeline.latest().ok_or_else(|| Refusal::missing("there is no version yet"))?;
    said(&headers, signed)
}

/// The last statement about a version. (A rollback makes a new one.) Its forms are those of the latest.
#[utoipa::path(
    get, path = "/names/{name}/versions/{version}", tag = "versions", security((), ("token" = [])), params(VersionPath),
    responses(
        (status = 200, description = "The statement", content(
            (serde_json::Value = "application/json"), (docs::Octets = "application/vnd.gmcf.statement"),
            (docs::Octets = "application/vnd.gmcf.statement.brief")),
            headers(("etag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Tagged
    )
)]
pub(super) async fn version(
    State(app): State<Shared>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    let timeline = app.names.get_with(&name, &version).await?;
    let (signed, _) = found(&timeline, &version)?;
    said(&headers, signed)
}

/// The content of a version that is a file.
#[utoipa::path(
    get, path = "/names/{name}/versions/{version}/content", tag = "versions", security((), ("token" = [])),
    params(VersionPath, contents::RangeHeaders),
    responses(
        (status = 200, description = "The content", body = docs::Octets, content_type = OCTETS,
            headers(("etag" = String, description = "The digest, quoted"))),
        (status = 206, description = "The range that was asked for", body = docs::Octets, content_type = OCTETS),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged
    )
)]
pub(super) async fn content(
    State(app): State<Shared>,
    method: Method,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    let digest = of_kind(&app, &name, &version, Kind::File).await?;
    contents::send(&app, &method, &headers, &digest).await
}

/// The manifest of a version that is a folder.
#[utoipa::path(
    get, path = "/names/{name}/versions/{version}/manifest", tag = "versions", security((), ("token" = [])),
    params(VersionPath, contents::RangeHeaders),
    responses(
        (status = 200, description = "The manifest", content(
            (docs::Octets = "application/vnd.gmcf.tree"), (crate::wire::TreeRecord = "application/json"))),
        (status = 206, description = "The range that was asked for", content(
            (docs::Octets = "application/vnd.gmcf.tree"), (docs::Octets = "application/json"))),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged
    )
)]
pub(super) async fn manifest(
    State(app): State<Shared>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    let offers = [MANIFEST, "application/json"];
    let choice = accept::choose(&headers, &offers)?;
    let root = of_kind(&app, &name, &version, Kind::Tree).await?;
    trees::send(&app, &headers, &root, choice == 1).await
}

/// The digest of a version, which must be of this kind.
async fn of_kind(app: &Shared, name: &Name, version: &Version, kind: Kind) -> Result<Digest, Refusal> {
    let timeline = app.names.get_with(name, version).await?;
    let (signed, _) = found(&timeline, version)?;
    if signed.statement.kind == kind {
        return Ok(signed.statement.digest);
    }
    let (is, at) = match kind {
        Kind::File => ("folders", "manifest"),
        Kind::Tree => ("files", "content"),
    };
    let detail = format!("versions of `{name}` are {is}: GET /names/{name}/versions/{version}/{at}");
    Err(Refusal::missing(detail).of(kinds::OTHER_KIND))
}

/// The last statement about a version that is known to be there.
pub(super) fn found<'a>(timeline: &'a Timeline, version: &Version) -> Result<(&'a Signed, &'a HeaderValue), Refusal> {
    timeline.version(version).ok_or_else(|| Refusal::missing(format!("there is no version `{version}`")))
}

/// The entity tags of a statement: of its JSON, of its bytes, of its brief form.
pub(super) fn etags(signed: &Signed) -> [HeaderValue; 3] {
    let digest = Digest::of(&signed.emit()).to_string();
    ["-json", "", "-brief"].map(|form| etag(&format!("{}{form}", &digest[..32])))
}

/// Answers with a statement.
fn said(headers: &HeaderMap, signed: &Signed) -> Result<Response, Refusal> {
    let brief = Brief::of(signed);
    let offers = ["application/json", STATEMENT, BRIEF];
    let offers = if brief.is_some() { &offers[..] } else { &offers[..2] };
    let choice = accept::choose(headers, offers)?;
    let tags = etags(signed);
    range::precondition(headers, &tags.each_ref())?;
    let meta = Meta { kind: offers[choice], etag: tags[choice].clone(), cache: ASK };
    let body = match (choice, brief) {
        (0, _) => json(signed)?,
        (2, Some(brief)) => brief.emit(),
        _ => signed.emit(),
    };
    let mut response = if range::has(headers, &meta.etag) {
        meta.head(StatusCode::NOT_MODIFIED)
    } else {
        meta.stream(&Part::All, body.len() as u64, Body::from(body))
    };
    response.headers_mut().remove(ACCEPT_RANGES);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A record as JSON.
pub(super) fn json<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(record).map_err(|error| Refusal::internal(format!("a record is no JSON: {error}")))
}

/// Answers with a record that may have changed since.
pub(super) fn fresh<T: serde::Serialize>(record: &T) -> Result<Response, Refusal> {
    let head = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, ASK)];
    json(record).map(|body| (head, body).into_response())
}
