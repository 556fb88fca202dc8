//! How the server is, and what it says of itself.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{Nothing, Path, Query};
use super::super::problem::{Refusal, kinds};
use super::super::range::{Meta, etag};
use super::super::{Shared, accept, answers, docs};
use super::contents::RangeHeaders;
use super::{ASK, names};
use crate::base::SHIPPED;
use crate::store::StoreError;
use crate::tree::Digest;
use crate::wire::{GMCF, StatusRecord};

/// Media type of the counters.
const OPEN_METRICS: &str = "application/openmetrics-text";
/// The same, as it is answered.
const OPEN_METRICS_HEAD: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Cache-Control of the base models: another server may ship others.
const AN_HOUR: &str = "public, max-age=3600";

/// Entity tags of [`SHIPPED`].
static TAGS: LazyLock<[HeaderValue; SHIPPED.len()]> =
    LazyLock::new(|| SHIPPED.each_ref().map(|shipped| etag(&Digest::of(shipped.file).to_string())));

/// A base model in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct BasePath {
    /// Name of a base model that ships
    #[param(pattern = "^(nano|micro|small)$")]
    model: String,
}

/// What the server has and does.
#[utoipa::path(
    get, path = "/delta/status", tag = "server", security((), ("token" = [])),
    responses((status = 200, body = StatusRecord), docs::Any, docs::Reading, docs::Choosing)
)]
pub(super) async fn status(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &["application/json"])?;
    names::fresh(&app.status().await?)
}

/// A base model that ships, for devices and clients that shall hold it.
#[utoipa::path(
    get, path = "/base/{model}", tag = "deltas", security((), ("token" = [])), params(BasePath, RangeHeaders),
    responses(
        (status = 200, description = "The model", body = docs::Octets, content_type = GMCF),
        (status = 206, description = "The range that was asked for", body = docs::Octets, content_type = GMCF),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged
    )
)]
pub(super) async fn base(
    State(app): State<Shared>,
    Path(BasePath { model }): Path<BasePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &[GMCF])?;
    let (shipped, tag) = SHIPPED.iter().zip(&*TAGS).find(|(shipped, _)| shipped.name == model).ok_or_else(|| {
        let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        Refusal::missing(format!("no such base model ships; there are {}", names.join(", ")))
    })?;
    let meta = Meta { kind: GMCF, etag: tag.clone(), cache: AN_HOUR };
    meta.answer(&headers, &Bytes::from_static(shipped.file))
}

/// Whether the server runs.
#[utoipa::path(
    get, path = "/healthz", tag = "server",
    responses((status = 200, description = "It runs", body = String, content_type = "text/plain"), docs::Any)
)]
pub(super) async fn healthz(Query(Nothing {}): Query<Nothing>) -> Response {
    ([(CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

/// Whether the server can do its work: its store answers.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses((status = 200, description = "It can", body = String, content_type = "text/plain"), docs::Any)
)]
pub(super) async fn readyz(State(app): State<Shared>, Query(Nothing {}): Query<Nothing>) -> Result<Response, Refusal> {
    if app.is_stopping() {
        return Err(Refusal::busy("the server is being stopped"));
    }
    let failed =
        |error: StoreError| Refusal::busy("the store does not answer").of(kinds::STORE).because(error.to_string());
    answers(&app.store, app.settings.timeout).await.map_err(failed)?;
    Ok(([(CACHE_CONTROL, "no-store")], "ready\n").into_response())
}

/// Counters for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server", security((), ("token" = [])),
    responses(
        (status = 200, description = "The counters", content(
            (String = "application/openmetrics-text"), (String = "text/plain"))),
        docs::Any, docs::Reading, docs::Choosing
    )
)]
pub(super) async fn metrics(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    let choice = accept::choose(&headers, &[OPEN_METRICS, "text/plain"])?;
    let kind = [OPEN_METRICS_HEAD, "text/plain; version=0.0.4; charset=utf-8"][choice];
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], app.meter.text()).into_response())
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server",
    responses((status = 200, body = serde_json::Value), docs::Any, docs::Choosing)
)]
pub(super) async fn openapi(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    accept::choose(&headers, &["application/json"])?;
    let head = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, ASK)];
    Ok((StatusCode::OK, head, app.api.clone()).into_response())
}
