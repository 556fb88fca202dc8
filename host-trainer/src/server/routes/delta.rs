//! Deltas between versions: the route that is asked most.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use update_core::manifest::Mode;
use utoipa::{IntoParams, ToSchema};

use super::super::deltas::Delta;
use super::super::extract::Query;
use super::super::names::Timeline;
use super::super::problem::{Refusal, kinds};
use super::super::range::{self, Meta, etag};
use super::super::{Shared, accept, docs};
use super::contents::{self, RangeHeaders};
use super::{ASK, names};
use crate::base::Shipped;
use crate::codec::Profile;
use crate::history::{Kind, Name, Version};
use crate::release;
use crate::store::{DeltaKey, Form};
use crate::tree::Digest;
use crate::wire::{CHAIN, GMCF, PATCH, UPDATE, VERSION};

/// How much RAM the client's decoder has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum ProfileName {
    /// 16 KiB in all
    Tiny,
    /// 64 KiB
    #[default]
    Small,
    /// 256 KiB
    Medium,
    /// 16 MiB
    Host,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Tiny => Self::Tiny,
            ProfileName::Small => Self::Small,
            ProfileName::Medium => Self::Medium,
            ProfileName::Host => Self::Host,
        }
    }
}

/// Which delta.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BetweenQuery {
    /// Name of what is followed
    #[param(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$", example = "gateway")]
    pub(super) name: Name,
    /// Version that the client has; none if it has nothing
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub(super) from: Option<Version>,
    /// Version that it wants; the one that counts if nothing is said
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub(super) to: Option<Version>,
    /// Profile of the client's decoder; `small` if nothing is said. Of no account for folders
    #[param(inline)]
    pub(super) profile: Option<ProfileName>,
    /// Whether the client holds the base model that ships for the profile
    pub(super) base: Option<bool>,
    /// A signed update for devices of this product, in place of a plain delta
    pub(super) update: Option<u32>,
}

/// A delta that was asked for, by versions.
pub(in super::super) struct Wanted {
    /// The key.
    pub(in super::super) key: DeltaKey,
    /// Version that it leads to.
    pub(in super::super) version: HeaderValue,
    /// Bytes of the content or folder that it leads to.
    pub(in super::super) whole: u64,
    /// Number of the statement about that version.
    pub(in super::super) sequence: u64,
}

impl Wanted {
    /// Its media type.
    pub(in super::super) fn kind(&self) -> &'static str {
        if self.key.form == Form::Patch { PATCH } else { GMCF }
    }
}

/// Refuses a base model where none ships for the profile.
pub(super) fn check_base(profile: Profile, base: bool) -> Result<(), Refusal> {
    if base && Shipped::of(profile).is_none() {
        return Err(Refusal::bad("no base model ships for the profile `tiny`: leave `base` out"));
    }
    Ok(())
}

/// Finds what versions stand for.
pub(in super::super) async fn find(
    app: &Shared,
    name: &Name,
    (from, to): (Option<&Version>, Option<&Version>),
    profile: Option<ProfileName>,
    base: bool,
) -> Result<Wanted, Refusal> {
    let profile = Profile::from(profile.unwrap_or_default());
    check_base(profile, base)?;
    let timeline: Arc<Timeline> = match to {
        Some(to) => app.names.get_with(name, to).await?,
        None => app.names.get(name).await?,
    };
    let (signed, header) = match to {
        Some(to) => names::found(&timeline, to)?,
        None => timeline.latest().ok_or_else(|| Refusal::missing("there is no version yet"))?,
    };
    let digest_of =
        |timeline: &Timeline, version| Ok::<Digest, Refusal>(names::found(timeline, version)?.0.statement.digest);
    let from = match from {
        None => None,
        Some(from) if timeline.version(from).is_some() => Some(digest_of(&timeline, from)?),
        Some(from) => Some(digest_of(&*app.names.get_with(name, from).await?, from)?),
    };
    let said = &signed.statement;
    let form = match said.kind {
        Kind::File => Form::Container { profile, base },
        Kind::Tree => Form::Patch,
    };
    let key = DeltaKey { from, to: said.digest, form };
    Ok(Wanted { key, version: header.clone(), whole: said.len, sequence: said.sequence })
}

/// What leads from one version to another: a GMCF file, or a chain of them; of folders, a patch.
///
/// With `to`, the answer never changes. With `update`, a signed update comes, whose version is the number of the
/// statement about `to`; devices with two slots take it.
#[utoipa::path(
    get, path = "/delta/between", tag = "deltas", security((), ("token" = [])), params(BetweenQuery, RangeHeaders),
    responses(
        (status = 200, description = "The delta", content(
            (docs::Octets = "application/vnd.gmcf"), (docs::Octets = "application/vnd.gmcf.patch"),
            (docs::Octets = "application/vnd.gmcf.update")),
            headers(
                ("etag" = String, description = "Digest of the bytes, quoted"),
                ("gmcf-version" = String, description = "The version that it leads to"),
                ("gmcf-chain" = u32, description = "For a chain: how many GMCF files follow each other"))),
        (status = 206, description = "The range that was asked for", content(
            (docs::Octets = "application/vnd.gmcf"), (docs::Octets = "application/vnd.gmcf.patch"),
            (docs::Octets = "application/vnd.gmcf.update"))),
        (status = 304, description = "The client has it"),
        docs::Any, docs::Reading, docs::Finding, docs::Choosing, docs::Ranged, docs::Making
    )
)]
pub(super) async fn between(
    State(app): State<Shared>,
    Query(query): Query<BetweenQuery>,
    request: Request,
) -> Result<Response, Refusal> {
    // Taken apart: extracting the headers would copy them, for each of very many requests.
    let (request, _) = request.into_parts();
    let headers = request.headers;
    app.grants.may_read(&headers, Some(&query.name)).await?;
    let versions = (query.from.as_ref(), query.to.as_ref());
    let wanted = find(&app, &query.name, versions, query.profile, query.base.unwrap_or(false)).await?;
    if let Some(product) = query.update {
        return update(&app, &headers, &query, &wanted, product).await;
    }
    let kind = wanted.kind();
    accept::choose(&headers, &[kind])?;
    let delta = app.deltas.get(wanted.key).await?;
    app.asked.client(&headers, &query.name, query.from.as_ref());
    let cache = if query.to.is_some() { app.forever() } else { ASK };
    let meta = Meta { kind, etag: delta.etag.clone(), cache };
    let part = range::part(&headers, &meta.etag, delta.bytes.len() as u64)?;
    if request.method != Method::HEAD {
        let (sent, last) = part.sent(delta.bytes.len() as u64);
        app.asked.delta(wanted.key, if last { wanted.whole } else { 0 }, sent);
    }
    let mut response = meta.send(&part, &delta.bytes);
    lead(&mut response, &wanted, &delta);
    Ok(response)
}

/// Says where a delta leads to.
pub(super) fn lead(response: &mut Response, wanted: &Wanted, delta: &Delta) {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(VERSION), wanted.version.clone());
    if delta.links > 1 {
        headers.insert(HeaderName::from_static(CHAIN), delta.links.into());
    }
}

/// Answers with a signed update. A rollback gives a version a new number, so it may change.
async fn update(
    app: &Shared,
    headers: &HeaderMap,
    query: &BetweenQuery,
    wanted: &Wanted,
    product: u32,
) -> Result<Response, Refusal> {
    accept::choose(headers, &[UPDATE])?;
    let Form::Container { profile, base: false } = wanted.key.form else {
        let detail = "signed updates are of files, for devices without a base model: leave `base` out";
        return Err(Refusal::bad(detail));
    };
    let Some((key, slot)) = app.settings.key.clone() else {
        let detail = "this server has no key to sign updates with: `gmcf serve --key`";
        return Err(Refusal::new(axum::http::StatusCode::NOT_IMPLEMENTED, detail));
    };
    let version = u32::try_from(wanted.sequence)
        .map_err(|_| Refusal::unfit(kinds::TOO_LARGE, "devices count versions with 32 bits"))?;
    let delta = app.deltas.get(wanted.key).await?;
    let new = contents::whole(app, &wanted.key.to).await?;
    let old = match wanted.key.from {
        Some(from) if delta.links > 1 => Some(contents::whole(app, &from).await?),
        _ => None,
    };
    let work = move || {
        let settings =
            release::Settings { product, version, profile, key: (&key, slot), in_place: None, progress: None };
        // Devices take one container: a chain is made anew.
        match delta.links {
            1 => release::sign(&new, &delta.bytes, Mode::Slots, &settings).map(|made| made.bytes),
            _ => release::release(&new, old.as_deref(), &settings).map(|made| made.bytes),
        }
    };
    let made = app.jobs.run(work).await.map_err(Refusal::internal)?;
    let bytes = made.map_err(|error| Refusal::unfit(kinds::CODEC, error.to_string()))?;
    app.asked.client(headers, &query.name, query.from.as_ref());
    app.asked.delta(wanted.key, wanted.whole, bytes.len() as u64);
    let meta = Meta { kind: UPDATE, etag: etag(&Digest::of(&bytes).to_string()), cache: ASK };
    let mut response = meta.answer(headers, &bytes.into())?;
    response.headers_mut().insert(HeaderName::from_static(VERSION), wanted.version.clone());
    Ok(response)
}
