//! Who may do what.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use moka::future::Cache;

use super::problem::Refusal;
use crate::history::Name;
use crate::report::transfer::now_ms;
use crate::store::{Grant, Right, Store, Token};
use crate::tree::Digest;

/// Tokens whose grants are remembered.
const REMEMBERED: u64 = 10_000;
/// How long they are: so long a revoked token still works.
const REMEMBER: Duration = Duration::from_secs(5);

/// What the bearers of tokens may do.
#[derive(Debug)]
pub(super) struct Grants {
    store: Store,
    private: bool,
    /// By digest, so that no token stays in memory.
    known: Cache<Digest, Option<Grant>>,
}

impl Grants {
    pub(super) fn new(store: Store, private: bool) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build();
        Self { store, private, known }
    }

    /// Whether reading needs a token.
    pub(super) fn private(&self) -> bool {
        self.private
    }

    /// Refuses who may not read; of `name`, where one is concerned.
    pub(super) async fn may_read(&self, headers: &HeaderMap, name: Option<&Name>) -> Result<(), Refusal> {
        if self.private { self.check(headers, Right::Read, name).await } else { Ok(()) }
    }

    /// Refuses who may not publish; under `name`, where one is concerned.
    pub(super) async fn may_publish(&self, headers: &HeaderMap, name: Option<&Name>) -> Result<(), Refusal> {
        self.check(headers, Right::Publish, name).await
    }

    async fn check(&self, headers: &HeaderMap, right: Right, name: Option<&Name>) -> Result<(), Refusal> {
        let Some(said) = headers.get(header::AUTHORIZATION) else {
            let detail = "this needs a token: `Authorization: Bearer TOKEN`; `gmcf token new` makes one";
            return Err(Refusal::unauthorized(detail));
        };
        let wrong = || Refusal::unauthorized("the token is not one of this store, or was revoked");
        let bearer = |text: &str| text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        let token = said.to_str().ok().filter(|text| bearer(text)).map(|text| text[7..].trim());
        let token = token.and_then(|text| text.parse::<Token>().ok()).ok_or_else(wrong)?;
        let digest = token.digest();
        let grant = match self.known.get(&digest).await {
            Some(grant) => grant,
            None => {
                let grant = self.store.grant(&token).await?;
                self.known.insert(digest, grant.clone()).await;
                grant
            }
        };
        let grant = grant.ok_or_else(wrong)?;
        let now = now_ms();
        if grant.allows(right, name, now) {
            return Ok(());
        }
        if grant.expires_at.is_some_and(|end| now >= end) {
            return Err(Refusal::unauthorized("the token has expired; `gmcf token new` makes another"));
        }
        let what = match (right, name) {
            (Right::Publish, _) if grant.right < right => "the token may only read".to_string(),
            (_, Some(name)) => format!("the token is not for `{name}`"),
            (_, None) => "the token does not allow this".to_string(),
        };
        Err(Refusal::new(StatusCode::FORBIDDEN, format!("{what}; `gmcf token new` makes another")))
    }
}
