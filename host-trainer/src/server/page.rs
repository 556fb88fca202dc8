//! The status page, for people.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::extract::{Nothing, Query};
use super::problem::Refusal;
use super::{Shared, accept, docs};
use crate::report::format::thousands;
use crate::wire::StatusRecord;

/// The status page.
#[utoipa::path(
    get, path = "/", tag = "server", security((), ("token" = [])),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        docs::Any, docs::Reading, docs::Choosing
    )
)]
pub(super) async fn page(
    State(app): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, None).await?;
    accept::choose(&headers, &["text/html"])?;
    let status = app.status().await?;
    let names = app.names.all().await?;
    let rows = names.iter().filter_map(|(name, timeline)| {
        let said = &timeline.latest()?.0.statement;
        Some((name.to_string(), said.version.to_string(), said.len, timeline.versions()))
    });
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    Ok((head, render(&status, rows)).into_response())
}

/// The page. Names and versions have no sign in them that HTML gives a meaning to.
fn render(status: &StatusRecord, rows: impl Iterator<Item = (String, String, u64, usize)>) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>gmcf</title>\n<h1>gmcf {}</h1>\n\
         <p>{} names, {} versions, {} deltas of {} bytes. {} bytes were sent in place of {}.</p>\n\
         <table>\n<tr><th>name<th>version<th>bytes<th>versions\n",
        status.server,
        thousands(status.names),
        thousands(status.versions),
        thousands(status.deltas),
        thousands(status.delta_bytes),
        thousands(status.sent_bytes),
        thousands(status.whole_bytes),
    );
    for (name, version, len, versions) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "<tr><td>{name}<td>{version}<td>{}<td>{versions}", thousands(len));
    }
    page + "</table>\n"
}
