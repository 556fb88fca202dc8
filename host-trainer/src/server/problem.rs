//! Refusals, as problem documents (RFC 9457).

use std::error::Error;
use std::io;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::history::{NotNext, StatementError};
use crate::report::causes::causes;
use crate::store::StoreError;
use crate::wire::{PROBLEM, Problem};

/// Why a request is not done: a status, what was wrong with this request, and what to do.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    kind: Option<Kind>,
    detail: String,
    /// For the log, not for the client.
    reason: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A kind of problem that a client can tell from others of the same status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Last part of its address, `/problems/NAME`.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
}

/// The kinds that there are.
pub mod kinds {
    use super::Kind;

    /// A client signed a statement for a number that another statement has by now.
    pub const SEQUENCE_TAKEN: Kind = Kind { name: "sequence-taken", title: "Another statement has the number" };
    /// The version exists with another content.
    pub const VERSION_EXISTS: Kind = Kind { name: "version-exists", title: "The version exists" };
    /// The version was the one that counts before.
    pub const OLD_VERSION: Kind = Kind { name: "old-version", title: "The version is an earlier one" };
    /// A rollback to what was never published.
    pub const NEVER_PUBLISHED: Kind = Kind { name: "never-published", title: "The version was never published" };
    /// A file under the name of folders, or the other way round.
    pub const OTHER_KIND: Kind = Kind { name: "other-kind", title: "The name stands for the other kind" };
    /// A statement that is not believed.
    pub const STATEMENT: Kind = Kind { name: "statement", title: "The statement is not believed" };
    /// Bytes that have another digest than was said.
    pub const DIGEST: Kind = Kind { name: "digest", title: "The digest does not match" };
    /// A tree whose contents are not there.
    pub const MISSING_CONTENT: Kind = Kind { name: "missing-content", title: "A content is missing" };
    /// More bytes than this can be done with.
    pub const TOO_LARGE: Kind = Kind { name: "too-large", title: "Too large for this" };
    /// The codec refuses.
    pub const CODEC: Kind = Kind { name: "codec", title: "The codec refuses" };
    /// The store does not answer.
    pub const STORE: Kind = Kind { name: "store", title: "The store does not answer" };
}

impl Refusal {
    /// A refusal that its status explains.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into(), reason: None, headers: Vec::new() }
    }

    /// The request cannot be understood.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It can be understood, and not be done.
    pub fn unfit(kind: Kind, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).of(kind)
    }

    /// It does not go with what is there.
    pub fn conflict(kind: Kind, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail).of(kind)
    }

    /// It needs a token.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"gmcf\"");
        Self::new(StatusCode::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, challenge)
    }

    /// Not now.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// Something is broken here; `reason` goes to the log.
    pub fn internal(reason: impl Into<String>) -> Self {
        let detail = "the server failed; its log has more under the request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail).because(reason)
    }

    /// The same, of a kind.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The same, with a reason for the log.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same, with a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The document.
    pub fn problem(&self) -> Problem {
        Problem {
            kind: self.kind.map_or_else(|| "about:blank".into(), |kind| format!("/problems/{}", kind.name)),
            title: match self.kind {
                Some(kind) => kind.title,
                None => self.status.canonical_reason().unwrap_or("Refused"),
            }
            .into(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
        }
    }

    /// The document as JSON.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.problem()).unwrap_or_default()
    }
}

/// What the log says about a refusal beside its status.
#[derive(Clone, Debug)]
pub(super) struct Reason(pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response.extensions_mut().insert(Reason(self.reason.unwrap_or(self.detail)));
        response
    }
}

impl From<NotNext> for Refusal {
    fn from(error: NotNext) -> Self {
        let (kind, hint) = match &error {
            NotNext::Sequence { .. } => (kinds::SEQUENCE_TAKEN, "ask for the latest version, and sign again"),
            NotNext::Exists { .. } => {
                (kinds::VERSION_EXISTS, "a version never changes: publish under the name of a new one")
            }
            NotNext::Old { .. } => (kinds::OLD_VERSION, "POST it to /names/NAME/rollback"),
            NotNext::NeverPublished { .. } => {
                (kinds::NEVER_PUBLISHED, "GET /names/NAME/versions lists those that can be gone back to")
            }
            NotNext::OtherKind { .. } => (kinds::OTHER_KIND, "publish it under another name"),
        };
        Self::conflict(kind, format!("{error}; {hint}"))
    }
}

impl From<StatementError> for Refusal {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::Malformed => Self::bad(error.to_string()).of(kinds::STATEMENT),
            _ => Self::new(StatusCode::FORBIDDEN, format!("{error}; sign it with the key that this server trusts"))
                .of(kinds::STATEMENT),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotNext(error) => error.into(),
            StoreError::TooLarge { .. } => Self::unfit(kinds::TOO_LARGE, error.to_string()),
            StoreError::Tree(error) => Self::unfit(kinds::DIGEST, error.to_string()),
            StoreError::Busy => Self::busy(error.to_string()),
            StoreError::Damaged { .. } | StoreError::Open { .. } => Self::internal(error.to_string()),
            StoreError::Object { .. } | StoreError::Spool(_) if is_full(&error) => {
                let detail = "the store has no room left; nothing was published";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, detail).because(error.to_string())
            }
            StoreError::Spool(_) => Self::internal(error.to_string()),
            StoreError::Object { .. } => {
                Self::busy("the store does not answer; try again").of(kinds::STORE).because(error.to_string())
            }
        }
    }
}

/// Whether somewhere below `error` is that there is no room.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_say_their_kind_and_what_to_do() {
        let refusal = Refusal::from(NotNext::Sequence { found: 2, next: 3 });
        let problem: Problem = serde_json::from_slice(&refusal.json()).unwrap();
        assert_eq!((problem.kind.as_str(), problem.status), ("/problems/sequence-taken", 409));
        assert!(problem.detail.contains("sign again"), "{}", problem.detail);
        let plain = Refusal::missing("no such name").problem();
        assert_eq!((plain.kind.as_str(), plain.title.as_str()), ("about:blank", "Not Found"));
    }

    #[test]
    fn a_full_disk_is_told_from_a_store_that_is_away() {
        let full = StoreError::Spool(io::ErrorKind::StorageFull.into());
        assert_eq!(Refusal::from(full).status(), StatusCode::INSUFFICIENT_STORAGE);
        let broken = StoreError::Spool(io::ErrorKind::PermissionDenied.into());
        assert_eq!(Refusal::from(broken).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
