//! What server and client say to each other: records in JSON, media types, headers, limits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::history::{Kind, Name, Signed, Version};
use crate::report::transfer::rfc3339;
use crate::tree::{Digest, Node, Tree, TreePath};

/// Media type of a GMCF file, or of a chain of them.
pub const GMCF: &str = "application/vnd.gmcf";
/// Media type of a signed update for devices.
pub const UPDATE: &str = "application/vnd.gmcf.update";
/// Media type of a patch of a tree.
pub const PATCH: &str = "application/vnd.gmcf.patch";
/// Media type of a pack of a tree.
pub const PACK: &str = "application/vnd.gmcf.pack";
/// Media type of the manifest of a tree.
pub const MANIFEST: &str = "application/vnd.gmcf.tree";
/// Media type of a statement, as [`Signed::emit`] makes it.
pub const STATEMENT: &str = "application/vnd.gmcf.statement";
/// Media type of a brief statement, as [`crate::history::Brief::emit`] makes it.
pub const BRIEF: &str = "application/vnd.gmcf.statement.brief";
/// Media type of contents.
pub const OCTETS: &str = "application/octet-stream";
/// Media type of problems (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// Header by which a client names itself: at most 64 letters, digits and hyphens. It is counted, and nothing else.
pub const CLIENT: &str = "gmcf-client";
/// Header of a response with the name of the version that it leads to.
pub const VERSION: &str = "gmcf-version";
/// Header of a chain: how many GMCF files follow each other in the body.
pub const CHAIN: &str = "gmcf-chain";
/// Header of a published content: its statement as hexadecimal digits, as [`Signed::emit`] makes it.
pub const SAID: &str = "gmcf-statement";

/// Digests that one request may name.
pub const MAX_DIGESTS: usize = 1 << 16;
/// Deltas that one request may ask for.
pub const MAX_BATCH: usize = 1024;

/// One version of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionRecord {
    /// Number of the statement that made it count, 1 for the first of the name.
    pub sequence: u64,
    /// Name of the version.
    #[schema(value_type = String, example = "2.0.1", pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub version: Version,
    /// File or folder.
    #[schema(value_type = String, pattern = "^(file|tree)$")]
    pub kind: Kind,
    /// Digest of the content, or root of the tree: BLAKE2s, 64 hexadecimal digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Digest,
    /// Bytes of the content, or of all files of the tree.
    pub len: u64,
    /// Whether an earlier version was made the one that counts again.
    pub rollback: bool,
    /// Whether it is signed.
    pub signed: bool,
    /// When, RFC 3339 in UTC.
    pub published_at: String,
}

impl From<&Signed> for VersionRecord {
    fn from(signed: &Signed) -> Self {
        let said = &signed.statement;
        let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(said.published_at));
        Self {
            sequence: said.sequence,
            version: said.version.clone(),
            kind: said.kind,
            digest: said.digest,
            len: said.len,
            rollback: said.rollback,
            signed: signed.signature.is_some(),
            published_at: time.map(rfc3339).unwrap_or_default(),
        }
    }
}

/// A name and the version that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameRecord {
    /// The name.
    #[schema(value_type = String, example = "gateway", pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub name: Name,
    /// The version that counts.
    pub latest: VersionRecord,
    /// How many versions there are.
    pub versions: u64,
}

/// All names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamesRecord {
    /// In order.
    pub names: Vec<NameRecord>,
}

/// All versions of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionsRecord {
    /// The name.
    #[schema(value_type = String)]
    pub name: Name,
    /// In the order in which they were first published.
    pub versions: Vec<VersionRecord>,
    /// The version that counts.
    pub latest: VersionRecord,
}

/// Contents that a client would send or needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentsRecord {
    /// Their digests, at most 65,536.
    #[schema(value_type = Vec<String>)]
    pub digests: Vec<Digest>,
}

/// What shall be published: a content or tree that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishRecord {
    /// Name of the version.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub version: Version,
    /// File or folder.
    #[schema(value_type = String, pattern = "^(file|tree)$")]
    pub kind: Kind,
    /// Digest of the content, or root of the tree.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub digest: Digest,
    /// The whole statement with the publisher's signature as hexadecimal digits; without it the server signs, if it has a
    /// key. What the statement says must be what the other fields say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// The version that shall count again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackRecord {
    /// Name of the version.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    pub version: Version,
}

/// One of many deltas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WantedRecord {
    /// Name of the content.
    #[schema(value_type = String)]
    pub name: Name,
    /// Version that the client has; none if it has nothing.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub from: Option<Version>,
    /// Version that it wants; the one that counts if nothing is said.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub to: Option<Version>,
}

/// Deltas that shall come in one response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchRecord {
    /// At most 1,024; they come in this order.
    pub deltas: Vec<WantedRecord>,
    /// Profile of the client's decoder: `tiny`, `small`, `medium` or `host`.
    #[serde(default)]
    pub profile: Option<String>,
    /// Whether the client holds the base model that ships for the profile.
    #[serde(default)]
    pub base: bool,
}

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Kind of the problem: `about:blank` where the status says it all, else `/problems/KIND`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// Status of the response.
    pub status: u16,
    /// What was wrong with this request, and what to do.
    pub detail: String,
}

/// What the server has and does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusRecord {
    /// Version of the server.
    pub server: String,
    /// Seconds since it was started.
    pub uptime_s: u64,
    /// Names with a version.
    pub names: u64,
    /// Versions of all names.
    pub versions: u64,
    /// Deltas that are kept in the store.
    pub deltas: u64,
    /// Bytes of them.
    pub delta_bytes: u64,
    /// Clients that named themselves.
    pub clients: u64,
    /// Bytes of the whole contents that were asked for.
    pub whole_bytes: u64,
    /// Bytes of what was sent in their place.
    pub sent_bytes: u64,
    /// Deltas served from memory or store since the start, of those asked for.
    pub cache_hits: u64,
    /// Deltas asked for since the start.
    pub cache_lookups: u64,
}

/// What stands at one path of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryRecord {
    /// Where, relative to the tree.
    #[schema(value_type = String)]
    pub path: TreePath,
    /// `file`, `link` or `folder` (one with nothing in it).
    #[schema(pattern = "^(file|link|folder)$")]
    pub kind: String,
    /// Permission bits of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u16>,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    /// Digest of a file's content.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What a link leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A tree, for people and programs that do not read its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TreeRecord {
    /// Its root: 64 hexadecimal digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub root: Digest,
    /// Number of its files.
    pub files: u64,
    /// Bytes of them.
    pub len: u64,
    /// All that is in it, in order.
    pub entries: Vec<EntryRecord>,
}

impl From<&Tree> for TreeRecord {
    fn from(tree: &Tree) -> Self {
        let entries = tree.entries().iter().map(|entry| {
            let plain = EntryRecord {
                path: entry.path.clone(),
                kind: "folder".into(),
                mode: None,
                len: None,
                digest: None,
                target: None,
            };
            match &entry.node {
                Node::Folder => plain,
                Node::Link { target } => EntryRecord { kind: "link".into(), target: Some(target.clone()), ..plain },
                Node::File { mode, len, digest } => EntryRecord {
                    kind: "file".into(),
                    mode: Some(*mode),
                    len: Some(*len),
                    digest: Some(*digest),
                    ..plain
                },
            }
        });
        Self { root: tree.root(), files: tree.files() as u64, len: tree.len(), entries: entries.collect() }
    }
}

/// A delta that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeltaRecord {
    /// Version that it leads from; none where it needs nothing.
    #[schema(value_type = Option<String>)]
    pub from: Option<Version>,
    /// Version that it leads to.
    #[schema(value_type = String)]
    pub to: Version,
    /// For whom: `tiny`, `small-base` and so on for files, `patch` or `pack` for folders.
    pub form: String,
    /// Its bytes.
    pub len: u64,
    /// Times that it was asked for.
    pub times: u64,
}

/// Clients that run a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningRecord {
    /// The version; none for those that had nothing.
    #[schema(value_type = Option<String>)]
    pub version: Option<Version>,
    /// How many named it when they last asked.
    pub clients: u64,
}

/// What is known of those who follow a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetRecord {
    /// The name.
    #[schema(value_type = String)]
    pub name: Name,
    /// Deltas between its versions that are kept, at most 1,024: those that were asked for most.
    pub deltas: Vec<DeltaRecord>,
    /// Clients by the version that they have.
    pub clients: Vec<RunningRecord>,
}
