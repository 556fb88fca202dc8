//! What a request says, each part refused with a problem document where it cannot be understood.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body;
use super::problem::Refusal;
use crate::report::causes::reason;

/// Bytes of a JSON body, at most.
pub(super) const MAX_JSON: u64 = 5 << 20;

/// Parameters of the query; unknown ones are refused where `T` does.
pub(super) struct Query<T>(pub(super) T);

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let wrong = |error: QueryRejection| Refusal::bad(format!("the query: {}", reason(&error)));
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Self(query)).map_err(wrong)
    }
}

/// Parts of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let wrong = |error: PathRejection| Refusal::bad(format!("the path: {}", reason(&error)));
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(wrong)
    }
}

/// A record in JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> Json<T> {
    /// Reads it from the body of a request.
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let kind = body::media_type(request.headers()).unwrap_or_default();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "the body is a record in JSON: `Content-Type: application/json`";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = body::read(request.into_body(), MAX_JSON).await?;
        parse(&body).map(Self)
    }
}

/// Reads a record.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Refusal::new(status, format!("the body: {error}"))
    })
}
