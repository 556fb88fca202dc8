//! The codec as a service: contents in, a GMCF file out, and back.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::body::Spooled;
use super::super::extract::{Json, Query};
use super::super::problem::{Refusal, kinds};
use super::super::{Shared, accept, body, docs};
use super::delta::{ProfileName, check_base, find, lead};
use super::{ASK, batch, contents, names, publish};
use crate::codec::{self, CodecError};
use crate::deltas;
use crate::history::{Kind, Name, Version};
use crate::report::transfer::{Names, TransferRecord};
use crate::tree::Digest;
use crate::wire::{GMCF, OCTETS};

/// Signs of a field of a form, at most.
const MAX_FIELD: usize = 256;

/// Bytes of a form beside the contents in it, at most.
const BETWEEN: u64 = 1 << 16;

/// What the body is compressed against, and how; where the body has no place to say it.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CompressQuery {
    /// Name of what is followed
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    name: Option<Name>,
    /// Version that the receiver has; none if it has nothing
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    from: Option<Version>,
    /// Publish the body as this version, too (which needs a token)
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    version: Option<Version>,
    /// Profile of the receiver's decoder; `small` if nothing is said
    #[param(inline)]
    profile: Option<ProfileName>,
    /// Whether the receiver holds the base model that ships for the profile
    base: Option<bool>,
}

/// Two versions that are there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompressRecord {
    /// Name of what is followed.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    name: Name,
    /// Version that the receiver has; none if it has nothing.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    from: Option<Version>,
    /// Version that it shall have; the one that counts if nothing is said.
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    to: Option<Version>,
    /// Profile of the receiver's decoder; `small` if nothing is said.
    profile: Option<ProfileName>,
    /// Whether the receiver holds the base model that ships for the profile.
    #[serde(default)]
    base: bool,
}

/// Contents to compress, as parts of a form.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct CompressForm {
    /// Content that the receiver shall have.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    new: String,
    /// Content that it has; none if it has nothing.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    old: Option<String>,
    /// Profile of the receiver's decoder; `small` if nothing is said.
    profile: Option<ProfileName>,
    /// Whether the receiver holds the base model that ships for the profile.
    base: Option<bool>,
}

/// A delta to apply, as parts of a form.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct ApplyForm {
    /// A GMCF file, or a chain of them.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    delta: String,
    /// Content that it was made against.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    old: Option<String>,
}

/// What a delta is applied to.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplyQuery {
    /// Name of what is followed
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    name: Option<Name>,
    /// Version that the delta starts from; none if it needs none
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    from: Option<Version>,
}

/// What came in a form.
#[derive(Default)]
struct Form {
    contents: Vec<(&'static str, Spooled)>,
    profile: Option<ProfileName>,
    base: Option<bool>,
}

impl Form {
    /// Reads a form with these parts of contents; with `profile` and `base`, if `coding`.
    async fn read(app: &Shared, request: Request, parts: &[&'static str], coding: bool) -> Result<Self, Refusal> {
        let broken = |error: MultipartError| body::refusal(&error);
        let limit = app.settings.max_job;
        // What stands between the parts counts, too.
        let most = limit * parts.len() as u64 + BETWEEN;
        let request = request.map(|body| body::at_most(body, most));
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|error| Refusal::bad(format!("the form: {}", error.body_text())))?;
        let mut read = Self::default();
        while let Some(mut field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_string();
            if let Some(part) = parts.iter().find(|part| **part == name) {
                if read.contents.iter().any(|(name, _)| name == part) {
                    return Err(Refusal::bad(format!("the form has `{part}` twice")));
                }
                read.contents.push((part, app.spool.take_stream(field, limit).await?));
                continue;
            }
            let mut text = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(broken)? {
                if text.len() + chunk.len() > MAX_FIELD {
                    return Err(Refusal::bad(format!("`{}` of the form is too long", name.escape_debug())));
                }
                text.extend_from_slice(&chunk);
            }
            let text = String::from_utf8_lossy(&text);
            match name.as_str() {
                "profile" if coding => read.profile = Some(batch::profile(&text)?),
                "base" if coding => {
                    read.base = Some(text.parse().map_err(|_| Refusal::bad("`base` is `true` or `false`"))?);
                }
                _ => {
                    let more = if coding { ", profile, base" } else { "" };
                    let detail =
                        format!("the form has a part `{}`; there are {}{more}", name.escape_debug(), parts.join(", "));
                    return Err(Refusal::bad(detail));
                }
            }
        }
        Ok(read)
    }

    async fn content(&self, part: &str) -> Result<Option<Bytes>, Refusal> {
        match self.contents.iter().find(|(name, _)| *name == part) {
            Some((_, content)) => content.read().await.map(Some),
            None => Ok(None),
        }
    }

    async fn needed(&self, part: &str) -> Result<Bytes, Refusal> {
        self.content(part).await?.ok_or_else(|| Refusal::bad(format!("the form has no part `{part}`")))
    }
}

/// Kinds of bodies.
enum Sent {
    Form,
    Octets,
    Record,
}

fn sent(headers: &HeaderMap, records: bool) -> Result<Sent, Refusal> {
    let said = body::media_type(headers).unwrap_or(OCTETS).to_ascii_lowercase();
    match said.as_str() {
        "multipart/form-data" => Ok(Sent::Form),
        "application/json" if records => Ok(Sent::Record),
        _ => {
            body::check_upload(headers, &[GMCF]).map_err(|refusal| match refusal.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE if !headers.contains_key(header::CONTENT_ENCODING) => {
                    let detail = format!("the body is `{said}`; send a form (multipart/form-data) or {OCTETS}");
                    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
                }
                _ => refusal,
            })?;
            Ok(Sent::Octets)
        }
    }
}

/// How contents are compressed.
struct Coding {
    names: Names,
    old: Option<Bytes>,
    profile: ProfileName,
    base: bool,
}

/// Compresses contents, or two versions that are there.
///
/// A form has the contents as parts; octets are a new content, compressed against a version that is there; a record names
/// two versions. The answer is a GMCF file, or, as JSON, the record of the transfer.
#[utoipa::path(
    post, path = "/delta/compress", tag = "deltas", security((), ("token" = [])), params(CompressQuery),
    request_body(content(
        (CompressForm = "multipart/form-data"), (docs::Octets = "application/octet-stream"),
        (CompressRecord = "application/json"))),
    responses(
        (status = 200, description = "The GMCF file, or the record of the transfer", content(
            (docs::Octets = "application/vnd.gmcf"), (serde_json::Value = "application/json"))),
        docs::Any, docs::Publishing, docs::Uploading, docs::Finding, docs::Choosing, docs::Changing, docs::Making
    )
)]
pub(super) async fn compress(
    State(app): State<Shared>,
    Query(query): Query<CompressQuery>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let name = query.name.as_ref();
    app.grants.may_read(&headers, name).await?;
    let offers = [GMCF, "application/json"];
    let record = accept::choose(&headers, &offers)? == 1;
    match sent(&headers, true)? {
        Sent::Form => {
            no_query(query.name.is_some() || query.from.is_some() || query.version.is_some())?;
            let form = Form::read(&app, request, &["new", "old"], true).await?;
            let _seat = app.jobs.seat().await?;
            let coding = Coding {
                names: Names::default(),
                old: form.content("old").await?,
                profile: form.profile.or(query.profile).unwrap_or_default(),
                base: form.base.or(query.base).unwrap_or(false),
            };
            made(&app, form.needed("new").await?, coding, record).await
        }
        Sent::Octets => {
            let publish = match (&query.name, &query.version) {
                (_, None) => None,
                (Some(name), Some(version)) => {
                    app.grants.may_publish(&headers, Some(name)).await?;
                    Some((name.clone(), version.clone()))
                }
                (None, Some(_)) => return Err(Refusal::bad("`version` needs `name`")),
            };
            let old = stored_digest(&app, query.name.as_ref(), query.from.as_ref()).await?;
            let spooled = app.spool.take(request.into_body(), app.settings.max_job).await?;
            let _seat = app.jobs.seat().await?;
            let coding = Coding {
                names: transfer_names(query.name.as_ref(), query.from.as_ref(), query.version.as_ref()),
                old: old_content(&app, old).await?,
                profile: query.profile.unwrap_or_default(),
                base: query.base.unwrap_or(false),
            };
            let response = made(&app, spooled.read().await?, coding, record).await?;
            if let Some(named) = publish {
                // What publishing says of the version is in the version's own statement.
                publish::keep_and_publish(&app, &headers, named, &spooled, None).await?;
            }
            Ok(response)
        }
        Sent::Record => {
            no_query(name.is_some() || query.from.is_some() || query.version.is_some() || query.profile.is_some())?;
            let Json(wanted) = Json::<CompressRecord>::read(request).await?;
            stored(&app, &headers, &wanted, record).await
        }
    }
}

fn no_query(said: bool) -> Result<(), Refusal> {
    if said { Err(Refusal::bad("the body says it all: leave the query out")) } else { Ok(()) }
}

fn transfer_names(name: Option<&Name>, from: Option<&Version>, to: Option<&Version>) -> Names {
    let text = |version: Option<&Version>| version.map(ToString::to_string);
    Names { content: name.map(ToString::to_string), from: text(from), to: text(to) }
}

/// The digest of a version, to make a delta against or to apply one to.
async fn stored_digest(app: &Shared, name: Option<&Name>, from: Option<&Version>) -> Result<Option<Digest>, Refusal> {
    let (name, from) = match (name, from) {
        (Some(name), Some(from)) => (name, from),
        (_, None) => return Ok(None),
        (None, Some(_)) => return Err(Refusal::bad("`from` needs `name`")),
    };
    let timeline = app.names.get_with(name, from).await?;
    let said = &names::found(&timeline, from)?.0.statement;
    if said.kind == Kind::Tree {
        let detail = format!("versions of `{name}` are folders: GET /delta/between has patches of them");
        return Err(Refusal::unfit(kinds::OTHER_KIND, detail));
    }
    Ok(Some(said.digest))
}

async fn old_content(app: &Shared, digest: Option<Digest>) -> Result<Option<Bytes>, Refusal> {
    match digest {
        Some(digest) => contents::whole(app, &digest).await.map(Some),
        None => Ok(None),
    }
}

/// Compresses, and answers.
async fn made(app: &Shared, new: Bytes, coding: Coding, record: bool) -> Result<Response, Refusal> {
    let Coding { names, old, profile, base } = coding;
    check_base(profile.into(), base)?;
    let start = Instant::now();
    let work = move || {
        let made = deltas::compress(&new, old.as_deref(), profile.into(), base)?;
        let sent = (made.bytes.len() as u64, made.breakdown.is_delta);
        let record = record.then(|| transfer(&names, old.as_deref(), &new, sent, start.elapsed()));
        Ok::<_, CodecError>((made.bytes, record))
    };
    let (bytes, record) = app.jobs.run(work).await.map_err(Refusal::internal)?.map_err(refused)?;
    app.meter.computed.observe(start.elapsed().as_secs_f64());
    match record {
        Some(record) => names::fresh(&record),
        None => Ok(octets(GMCF, bytes.into())),
    }
}

fn transfer(names: &Names, old: Option<&[u8]>, new: &[u8], sent: (u64, bool), took: Duration) -> TransferRecord {
    let unnamed = std::path::Path::new("-");
    TransferRecord::new(names, old.map(|old| (unnamed, old)), (unnamed, new), sent, took)
}

fn refused(error: CodecError) -> Refusal {
    match error {
        CodecError::Internal(what) => Refusal::internal(what),
        _ => Refusal::unfit(kinds::CODEC, error.to_string()),
    }
}

fn octets(kind: &'static str, bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, ASK)], Body::from(bytes)).into_response()
}

/// Answers with the delta between two versions that are there.
async fn stored(app: &Shared, headers: &HeaderMap, said: &CompressRecord, record: bool) -> Result<Response, Refusal> {
    app.grants.may_read(headers, Some(&said.name)).await?;
    let start = Instant::now();
    let versions = (said.from.as_ref(), said.to.as_ref());
    let wanted = find(app, &said.name, versions, said.profile, said.base).await?;
    let delta = app.deltas.get(wanted.key).await?;
    if record {
        if wanted.kind() != GMCF {
            let detail = format!("versions of `{}` are folders, of which there is no such record", said.name);
            return Err(Refusal::unfit(kinds::OTHER_KIND, detail));
        }
        let took = start.elapsed();
        let new = contents::whole(app, &wanted.key.to).await?;
        let old = old_content(app, wanted.key.from).await?;
        let to: Option<Version> = wanted.version.to_str().ok().and_then(|version| version.parse().ok());
        let names = transfer_names(Some(&said.name), said.from.as_ref(), to.as_ref());
        let is_delta = codec::is_delta(&delta.bytes).unwrap_or(old.is_some());
        return names::fresh(&transfer(&names, old.as_deref(), &new, (delta.bytes.len() as u64, is_delta), took));
    }
    let mut response = octets(wanted.kind(), delta.bytes.clone());
    lead(&mut response, &wanted, &delta);
    Ok(response)
}

/// Rebuilds a content from a delta and what it starts from.
///
/// A form has both as parts; octets are a delta of a version that is there. A chain is one delta after the other.
#[utoipa::path(
    post, path = "/delta/apply", tag = "deltas", security((), ("token" = [])), params(ApplyQuery),
    request_body(content((ApplyForm = "multipart/form-data"), (docs::Octets = "application/octet-stream"),
        (docs::Octets = "application/vnd.gmcf"))),
    responses(
        (status = 200, description = "The content", body = docs::Octets, content_type = OCTETS),
        docs::Any, docs::Reading, docs::Uploading, docs::Finding, docs::Choosing
    )
)]
pub(super) async fn apply(
    State(app): State<Shared>,
    Query(query): Query<ApplyQuery>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, query.name.as_ref()).await?;
    accept::choose(&headers, &[OCTETS])?;
    let limit = app.settings.max_job;
    let (delta, old, _seat) = match sent(&headers, false)? {
        Sent::Form => {
            no_query(query.name.is_some() || query.from.is_some())?;
            let form = Form::read(&app, request, &["delta", "old"], false).await?;
            let seat = app.jobs.seat().await?;
            (form.needed("delta").await?, form.content("old").await?, seat)
        }
        _ => {
            let old = stored_digest(&app, query.name.as_ref(), query.from.as_ref()).await?;
            let spooled = app.spool.take(request.into_body(), limit).await?;
            let seat = app.jobs.seat().await?;
            (spooled.read().await?, old_content(&app, old).await?, seat)
        }
    };
    let longest = u32::try_from(limit).unwrap_or(u32::MAX);
    let work = move || {
        let links = codec::links(&delta)?;
        codec::apply_within(&links, old.as_deref(), longest, None)
    };
    let content = app.jobs.run(work).await.map_err(Refusal::internal)?.map_err(refused)?;
    Ok(octets(OCTETS, content.into()))
}
