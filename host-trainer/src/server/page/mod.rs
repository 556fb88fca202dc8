//! The status page, for people: three files that ask the server for its records and draw them. There is nothing in them that
//! needs a token.

use std::sync::OnceLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Nothing, Query};
use super::problem::Refusal;
use super::range::{self, etag};
use super::{Shared, accept, docs};
use crate::tree::Digest;

/// Nothing from elsewhere, and nothing inline but the empty icon.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub(super) fn all() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(script)).routes(routes!(style))
}

/// A file of the page.
struct File {
    kind: &'static str,
    content: &'static str,
    /// Known once somebody has asked.
    tag: OnceLock<HeaderValue>,
}

static PAGE: File = File::new("text/html; charset=utf-8", include_str!("index.html"));
static SCRIPT: File = File::new("text/javascript; charset=utf-8", include_str!("page.js"));
static STYLE: File = File::new("text/css; charset=utf-8", include_str!("page.css"));

impl File {
    const fn new(kind: &'static str, content: &'static str) -> Self {
        Self { kind, content, tag: OnceLock::new() }
    }

    fn answer(&self, headers: &HeaderMap) -> Result<Response, Refusal> {
        let (plain, _) = self.kind.split_once(';').unwrap_or((self.kind, ""));
        accept::choose(headers, &[plain])?;
        let tag = self.tag.get_or_init(|| etag(&Digest::of(self.content.as_bytes()).to_string()));
        let head =
            [(CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        if range::has(headers, tag) {
            return Ok((StatusCode::NOT_MODIFIED, head, [(ETAG, tag.clone())]).into_response());
        }
        Ok((head, [(ETAG, tag.clone())], [(CONTENT_TYPE, self.kind)], self.content).into_response())
    }
}

/// The status page.
#[utoipa::path(
    get, path = "/", tag = "server",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Choosing
    )
)]
async fn page(Query(Nothing {}): Query<Nothing>, headers: HeaderMap) -> Result<Response, Refusal> {
    PAGE.answer(&headers)
}

/// The status page's script.
#[utoipa::path(
    get, path = "/page.js", tag = "server",
    responses(
        (status = 200, description = "The script", body = String, content_type = "text/javascript"),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Choosing
    )
)]
async fn script(Query(Nothing {}): Query<Nothing>, headers: HeaderMap) -> Result<Response, Refusal> {
    SCRIPT.answer(&headers)
}

/// The status page's looks.
#[utoipa::path(
    get, path = "/page.css", tag = "server",
    responses(
        (status = 200, description = "The style sheet", body = String, content_type = "text/css"),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Choosing
    )
)]
async fn style(Query(Nothing {}): Query<Nothing>, headers: HeaderMap) -> Result<Response, Refusal> {
    STYLE.answer(&headers)
}
