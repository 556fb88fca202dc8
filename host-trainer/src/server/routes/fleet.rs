//! Who follows a name, and which deltas are kept for them.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::extract::{Nothing, Path, Query};
use super::super::problem::Refusal;
use super::super::{Shared, accept, docs};
use super::names::{NamePath, fresh};
use crate::history::Version;
use crate::store::Used;
use crate::tree::Digest;
use crate::wire::{DeltaRecord, FleetRecord, RunningRecord};

/// Deltas that are told of, at most.
const MAX_DELTAS: usize = 1024;

/// Who follows a name: clients by the version that they have, and the deltas that are kept for them.
#[utoipa::path(
    get, path = "/names/{name}/fleet", tag = "versions", security((), ("token" = [])), params(NamePath),
    responses((status = 200, body = FleetRecord), docs::Any, docs::Reading, docs::Finding, docs::Choosing)
)]
pub(super) async fn fleet(
    State(app): State<Shared>,
    Path(NamePath { name }): Path<NamePath>,
    Query(Nothing {}): Query<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.grants.may_read(&headers, Some(&name)).await?;
    accept::choose(&headers, &["application/json"])?;
    let timeline = app.names.get(&name).await?;
    let usage = app.usage().await?;
    let versions: HashMap<Digest, &Version> = timeline
        .history()
        .versions()
        .into_iter()
        .map(|signed| (signed.statement.digest, &signed.statement.version))
        .collect();
    let mut deltas = Vec::new();
    for (digest, to) in &versions {
        for kept in app.store.deltas_to(digest).await? {
            let from = match kept.key.from.map(|from| versions.get(&from)) {
                None => None,
                Some(Some(from)) => Some((*from).clone()),
                // Of another name that has had the same content.
                Some(None) => continue,
            };
            let Used { times, .. } = usage.deltas.get(&kept.key).copied().unwrap_or_default();
            let form = kept.key.form.to_string();
            deltas.push(DeltaRecord { from, to: (*to).clone(), form, len: kept.len, times });
        }
    }
    deltas.sort_by(|a, b| (b.times, &a.to, &a.from, &a.form).cmp(&(a.times, &b.to, &b.from, &b.form)));
    deltas.truncate(MAX_DELTAS);
    let mut running: BTreeMap<Option<Version>, u64> = BTreeMap::new();
    for seen in usage.clients.values().filter(|seen| seen.name == name) {
        *running.entry(seen.version.clone()).or_default() += 1;
    }
    let clients = running.into_iter().map(|(version, clients)| RunningRecord { version, clients }).collect();
    fresh(&FleetRecord { name, deltas, clients })
}
