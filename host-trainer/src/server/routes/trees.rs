//! Trees, by their roots.

use axum::extract::{Request, State};
use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{Nothing, Path, Query};
use super::super::problem::{Refusal, kinds};
use super::super::range::{Meta, etag};
use super::super::{Shared, accept, body, docs};
use super::contents::{self, RangeHeaders};
use super::names;
use crate::store::{DeltaKey, Form};
use crate::tree::{Digest, MAX_MANIFEST, Tree};
use crate::wire::{MANIFEST, PACK, PATCH, TreeRecord};

/// Missing contents that a refusal names.
const NAMED: usize = 3;

/// A root in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RootPath {
    /// Root of a tree: BLAKE2s, 64 lower-case hexadecimal digits
    #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
    root: Digest,
}

/// Where a patch starts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FromQuery {
    /// Root of the tree that the client has
    #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
    from: Digest,
}

/// The manifest of a tree: paths, modes, lengths, digests.
#[utoipa::path(
    get, path = "/trees/{root}", tag = "contents", security((), ("token" = [])), params(RootPath, RangeHeaders),
    responses(
        (status = 200, description = "The manifest", content(
            (docs::Octets = "application/vnd.gmcf.tree"), (TreeRecord = "application/json"))),
        (status = 206, description = "The range that was asked for", content(
            (docs::Octets = "application/vnd.gmcf.tree"), (docs::Octets = "application/json"))),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged
    )
)]
pub(super) async fn get(
    State(app): State<Shared>,
    Path(RootPath { root }): Path<RootPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    let offers = [MANIFEST, "application/json"];
    let choice = accept::choose(&headers, &offers)?;
    send(&app, &headers, &root, choice == 1).await
}

/// Keeps the manifest of a tree, whose contents must be there.
#[utoipa::path(
    put, path = "/trees/{root}", tag = "contents", security(("token" = [])), params(RootPath),
    request_body(content = docs::Octets, content_type = MANIFEST),
    responses(
        (status = 201, description = "It is there now"), (status = 204, description = "It was there already"),
        docs::Any, docs::Publishing, docs::Uploading
    )
)]
pub(super) async fn put(
    State(app): State<Shared>,
    Path(RootPath { root }): Path<RootPath>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_publish(request.headers(), None).await?;
    body::check_upload(request.headers(), &[MANIFEST])?;
    let bytes = body::read(request.into_body(), MAX_MANIFEST).await?;
    let tree = Tree::parse(&bytes).map_err(|error| Refusal::unfit(kinds::DIGEST, error.to_string()))?;
    if tree.root() != root {
        let detail = format!("the tree has the root {}, not {root}; it is not kept", tree.root());
        return Err(Refusal::unfit(kinds::DIGEST, detail));
    }
    check_contents(&app, &tree).await?;
    if app.store.tree(&root).await?.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    app.store.put_tree(&tree).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// Refuses a tree with contents that are not there, or of another length.
async fn check_contents(app: &Shared, tree: &Tree) -> Result<(), Refusal> {
    let lens = tree.contents();
    let digests: Vec<Digest> = lens.keys().copied().collect();
    let mut looked = contents::look(app, digests);
    let (mut missing, mut some) = (0_u64, Vec::new());
    while let Some(found) = looked.next().await {
        match found? {
            (digest, None) => {
                missing += 1;
                if some.len() < NAMED {
                    some.push(digest.to_string());
                }
            }
            (digest, Some(found)) if lens[&digest] != found => {
                let len = lens[&digest];
                let detail = format!("content {digest} has {found} bytes, not {len}; the tree is not kept");
                return Err(Refusal::unfit(kinds::DIGEST, detail));
            }
            _ => {}
        }
    }
    if missing == 0 {
        return Ok(());
    }
    let more = if missing as usize > some.len() { ", ..." } else { "" };
    let detail = format!(
        "{missing} of its contents are not there: {}{more}; PUT them to /contents/DIGEST first",
        some.join(", ")
    );
    Err(Refusal::unfit(kinds::MISSING_CONTENT, detail))
}

/// What turns one tree into another.
#[utoipa::path(
    get, path = "/trees/{root}/patch", tag = "deltas", security((), ("token" = [])),
    params(RootPath, FromQuery, RangeHeaders),
    responses(
        (status = 200, description = "The patch", body = docs::Octets, content_type = PATCH),
        (status = 206, description = "The range that was asked for", body = docs::Octets, content_type = PATCH),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged, docs::Making
    )
)]
pub(super) async fn patch(
    State(app): State<Shared>,
    Path(RootPath { root }): Path<RootPath>,
    Query(FromQuery { from }): Query<FromQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &[PATCH])?;
    made(&app, &headers, DeltaKey { from: Some(from), to: root, form: Form::Patch }, PATCH).await
}

/// A whole tree in one piece.
#[utoipa::path(
    get, path = "/trees/{root}/pack", tag = "deltas", security((), ("token" = [])), params(RootPath, RangeHeaders),
    responses(
        (status = 200, description = "The pack", body = docs::Octets, content_type = PACK),
        (status = 206, description = "The range that was asked for", body = docs::Octets, content_type = PACK),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged, docs::Making
    )
)]
pub(super) async fn pack(
    State(app): State<Shared>,
    Path(RootPath { root }): Path<RootPath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &[PACK])?;
    made(&app, &headers, DeltaKey { from: None, to: root, form: Form::Pack }, PACK).await
}

async fn made(app: &Shared, headers: &HeaderMap, key: DeltaKey, kind: &'static str) -> Result<Response, Refusal> {
    let delta = app.deltas.get(key).await?;
    let meta = Meta { kind, etag: delta.etag.clone(), cache: app.forever() };
    meta.answer(headers, &delta.bytes)
}

/// Answers with a manifest.
pub(super) async fn send(app: &Shared, headers: &HeaderMap, root: &Digest, json: bool) -> Result<Response, Refusal> {
    let tree = app.store.tree(root).await?.ok_or_else(|| Refusal::missing(format!("tree {root} is not there")))?;
    let (kind, tag, body) = if json {
        ("application/json", format!("{root}-json"), names::json(&TreeRecord::from(&tree))?)
    } else {
        (MANIFEST, root.to_string(), tree.emit())
    };
    let meta = Meta { kind, etag: etag(&tag), cache: app.forever() };
    let mut response = meta.answer(headers, &body.into())?;
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}
