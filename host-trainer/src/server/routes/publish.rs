//! Publishing, and going back.

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{Json, Nothing, Path, Query};
use super::super::problem::{Refusal, kinds};
use super::super::{Shared, accept, body, docs, range};
use super::names::{self, NamePath, VersionPath};
use crate::history::{History, Kind, MAX_STATEMENT, Name, NotNext, Signed, Statement, Version};
use crate::report::format::{hex, unhex_within};
use crate::report::transfer::now_ms;
use crate::tree::Digest;
use crate::wire::{OCTETS, PublishRecord, RollbackRecord, SAID, VersionRecord};

/// Headers of those who publish; they are read from the request where they are needed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct PublishHeaders {
    /// The statement, signed by the publisher, as hexadecimal digits; it must say what the request says
    #[serde(rename = "gmcf-statement")]
    #[param(value_type = String, required = false, pattern = "^([0-9a-f]{2}){1,512}$")]
    statement: Option<String>,
    /// Entity tag of GET /names/{name}/latest: if another version counts by now, nothing is published
    #[serde(rename = "if-match")]
    #[param(value_type = String, required = false)]
    if_match: Option<String>,
}

/// The same, where the statement comes in the record.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub(super) struct MatchHeaders {
    /// Entity tag of GET /names/{name}/latest: if another version counts by now, nothing is published
    #[serde(rename = "if-match")]
    #[param(value_type = String, required = false)]
    if_match: Option<String>,
}

/// What is to be said about a name.
struct Said {
    name: Name,
    version: Version,
    kind: Kind,
    digest: Digest,
    len: u64,
    rollback: bool,
    /// What the publisher has signed.
    signed: Option<Signed>,
}

impl Said {
    /// Refuses a signed statement that says something else, or is not believed.
    fn check_signed(&self, app: &Shared) -> Result<(), Refusal> {
        let Some(signed) = &self.signed else { return Ok(()) };
        signed.verify(app.settings.trusted().as_ref())?;
        let said = &signed.statement;
        let differs = [
            ("name", said.name != self.name),
            ("version", said.version != self.version),
            ("kind", said.kind != self.kind),
            ("digest", said.digest != self.digest),
            ("len", said.len != self.len),
            ("rollback", said.rollback != self.rollback),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((field, _)) => {
                let detail = format!("`{field}` of the signed statement is not what the request says");
                Err(Refusal::unfit(kinds::STATEMENT, detail))
            }
        }
    }

    /// The statement that can be the next one; none if that is said already.
    fn next(&self, app: &Shared, headers: &HeaderMap, history: &History) -> Result<Option<Signed>, Refusal> {
        if headers.contains_key(IF_MATCH) {
            let tags = history.latest().map(names::etags);
            range::precondition(headers, &tags.as_ref().map_or(vec![], |tags| tags.iter().collect()))?;
        }
        let statement = match &self.signed {
            Some(signed) => signed.statement.clone(),
            None => Statement {
                name: self.name.clone(),
                sequence: history.next(),
                version: self.version.clone(),
                kind: self.kind,
                digest: self.digest,
                len: self.len,
                rollback: self.rollback,
                published_at: now_ms(),
            },
        };
        if history.says(&statement) {
            return Ok(None);
        }
        history.check_next(&statement)?;
        if let Some(signed) = &self.signed {
            return Ok(Some(signed.clone()));
        }
        let key = app.settings.key.as_ref().map(|(key, _)| key);
        if key.is_none() && app.settings.trust.is_some() {
            let detail = "this server publishes only what the trusted key has signed: sign the statement, or start the \
                          server with `--key`";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail).of(kinds::STATEMENT));
        }
        Ok(Some(Signed::new(statement, key)))
    }

    /// Refuses what could not be published, before anything is kept for it.
    async fn check_next(&self, app: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_signed(app)?;
        let mut history = History::default();
        // Names that nobody published under before are not there, which is no error here.
        if let Ok(timeline) = app.names.get(&self.name).await {
            history = timeline.history().clone();
        }
        app.store.catch_up(&self.name, &mut history).await?;
        self.next(app, headers, &history).map(|_| ())
    }

    /// Publishes it, and answers.
    async fn publish(self, app: &Shared, headers: &HeaderMap) -> Result<Response, Refusal> {
        let (made, timeline) = app.names.publish(&self.name, |history| self.next(app, headers, history)).await?;
        let (status, signed) = match &made {
            Some(signed) => (StatusCode::CREATED, signed),
            None => (StatusCode::OK, names::found(&timeline, &self.version)?.0),
        };
        if made.is_some() {
            let statement = &signed.statement;
            tracing::info!(
                name = %statement.name, version = %statement.version, sequence = statement.sequence,
                digest = %statement.digest, bytes = statement.len, signed = signed.signature.is_some(), "published"
            );
        }
        let record = names::json(&VersionRecord::from(signed))?;
        let mut response = (status, [(CONTENT_TYPE, "application/json")], record).into_response();
        let mut say = |name: HeaderName, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        };
        say(HeaderName::from_static(SAID), hex(&signed.emit()));
        say(LOCATION, format!("/names/{}/versions/{}", self.name, self.version));
        Ok(response)
    }
}

/// Reads a signed statement from hexadecimal digits.
fn parse_statement(text: &str) -> Result<Signed, Refusal> {
    let wrong = || Refusal::bad("the statement is not in hexadecimal digits, or too long").of(kinds::STATEMENT);
    let bytes = unhex_within(&text.to_ascii_lowercase(), MAX_STATEMENT).ok_or_else(wrong)?;
    Ok(Signed::parse(&bytes)?)
}

/// The signed statement that comes in a header, if one does.
fn said_statement(headers: &HeaderMap) -> Result<Option<Signed>, Refusal> {
    headers.get(SAID).map(|text| parse_statement(text.to_str().unwrap_or("?"))).transpose()
}

/// Publishes a file: the body is its content.
///
/// Nothing is kept of a request that is refused. The same content under the same name again is no conflict while that
/// version counts.
#[utoipa::path(
    put, path = "/names/{name}/versions/{version}", tag = "versions", security(("token" = [])),
    params(VersionPath, PublishHeaders), request_body(content = docs::Octets, content_type = OCTETS),
    responses(
        (status = 201, description = "It is published, and counts", body = VersionRecord, headers(
            ("location" = String, description = "Where its statement is"),
            ("gmcf-statement" = String, description = "The signed statement, as hexadecimal digits"))),
        (status = 200, description = "It counted already", body = VersionRecord),
        docs::Any, docs::Publishing, docs::Uploading, docs::Changing, docs::Choosing, docs::Tagged
    )
)]
pub(super) async fn publish_content(
    State(app): State<Shared>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Nothing {}): Query<Nothing>,
    request: Request,
) -> Result<Response, Refusal> {
    let headers = request.headers().clone();
    app.grants.may_publish(&headers, Some(&name)).await?;
    accept::choose(&headers, &["application/json"])?;
    body::check_upload(&headers, &[])?;
    let signed = said_statement(&headers)?;
    let spooled = app.spool.take(request.into_body(), app.settings.max_body).await?;
    keep_and_publish(&app, &headers, (name, version), &spooled, signed).await
}

/// Keeps a content that came, and publishes it.
pub(super) async fn keep_and_publish(
    app: &Shared,
    headers: &HeaderMap,
    (name, version): (Name, Version),
    spooled: &body::Spooled,
    signed: Option<Signed>,
) -> Result<Response, Refusal> {
    let (digest, len) = (spooled.digest, spooled.len);
    let said = Said { name, version, kind: Kind::File, digest, len, rollback: false, signed };
    said.check_next(app, headers).await?;
    app.store.put_content_file(spooled.path(), &digest, len).await?;
    said.publish(app, headers).await
}

/// Publishes a content or folder that is there already.
#[utoipa::path(
    post, path = "/names/{name}/versions", tag = "versions", security(("token" = [])), params(NamePath, MatchHeaders),
    request_body = PublishRecord,
    responses(
        (status = 201, description = "It is published, and counts", body = VersionRecord, headers(
            ("location" = String, description = "Where its statement is"),
            ("gmcf-statement" = String, description = "The signed statement, as hexadecimal digits"))),
        (status = 200, description = "It counted already", body = VersionRecord),
        docs::Any, docs::Publishing, docs::Receiving, docs::Changing, docs::Choosing, docs::Tagged
    )
)]
pub(super) async fn publish_stored(
    State(app): State<Shared>,
    Path(NamePath { name }): Path<NamePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_publish(&headers, Some(&name)).await?;
    accept::choose(&headers, &["application/json"])?;
    let Json(record) = Json::<PublishRecord>::read(request).await?;
    let signed = record.statement.as_deref().map(parse_statement).transpose()?;
    let (kind, digest) = (record.kind, record.digest);
    let len = match kind {
        Kind::File => app.store.content_len(&digest).await?,
        Kind::Tree => app.store.tree(&digest).await?.map(|tree| tree.len()),
    };
    let len = len.ok_or_else(|| {
        let at = if kind == Kind::File { "contents" } else { "trees" };
        Refusal::unfit(kinds::MISSING_CONTENT, format!("{digest} is not there; PUT it to /{at}/{digest} first"))
    })?;
    let said = Said { name, version: record.version, kind, digest, len, rollback: false, signed };
    said.check_signed(&app)?;
    said.publish(&app, &headers).await
}

/// Makes an earlier version the one that counts again.
#[utoipa::path(
    post, path = "/names/{name}/rollback", tag = "versions", security(("token" = [])), params(NamePath, PublishHeaders),
    request_body = RollbackRecord,
    responses(
        (status = 201, description = "It counts again", body = VersionRecord, headers(
            ("location" = String, description = "Where its statement is"),
            ("gmcf-statement" = String, description = "The signed statement, as hexadecimal digits"))),
        (status = 200, description = "It counted already", body = VersionRecord),
        docs::Any, docs::Publishing, docs::Receiving, docs::Changing, docs::Choosing, docs::Tagged, docs::Finding
    )
)]
pub(super) async fn roll_back(
    State(app): State<Shared>,
    Path(NamePath { name }): Path<NamePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    app.grants.may_publish(&headers, Some(&name)).await?;
    accept::choose(&headers, &["application/json"])?;
    let Json(RollbackRecord { version }) = Json::read(request).await?;
    let signed = said_statement(&headers)?;
    // Of a name that is not there, that is what is wrong.
    app.names.get(&name).await?;
    let timeline = app.names.get_with(&name, &version).await.map_err(|refusal| match refusal.status() {
        StatusCode::NOT_FOUND => NotNext::NeverPublished { version: version.clone() }.into(),
        _ => refusal,
    })?;
    let known = &names::found(&timeline, &version)?.0.statement;
    let (kind, digest, len) = (known.kind, known.digest, known.len);
    let said = Said { name, version, kind, digest, len, rollback: true, signed };
    said.check_signed(&app)?;
    said.publish(&app, &headers).await
}
