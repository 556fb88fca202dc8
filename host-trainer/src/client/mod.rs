//! The client: folders and files that follow a server, and what is published to it.
//!
//! A folder `D` that follows a name stands beside a hidden folder of the client's own:
//!
//! | path | what | changes |
//! |---|---|---|
//! | `D` | the version in use | as a whole, by one exchange of `D` and `next` |
//! | `D/.gmcf/state` | [`State`]: server, name, statement, tree, generation | with `D` |
//! | `.D.gmcf/lock` | locked while a process works on the folder | never |
//! | `.D.gmcf/client` | 16 random digits by which a server counts its clients | never |
//! | `.D.gmcf/seen` | the newest statement that was believed: older ones are replayed | before anything is fetched |
//! | `.D.gmcf/download/` | what is being fetched, and under which tag the server knows it | all the time |
//! | `.D.gmcf/target` | the manifest of the tree that is being built; its root is its name, so it needs no other check | when known |
//! | `.D.gmcf/contents/` | contents that a patch brought, by their digests | as they come |
//! | `.D.gmcf/next/` | the tree that is being built; right after the exchange, the one that was in use | all the time |
//! | `.D.gmcf/previous/` | the version before, for [`rollback`] | after the exchange |
//!
//! A process that is killed leaves any of these half done, and the next one needs no journal: files under `next` and
//! `contents` count only if they have the digest that is wanted, and the generations of `D` and `next` tell whether the
//! exchange has happened. Until it has, `D` is not touched.

pub mod cat;
mod download;
mod error;
mod fetch;
mod http;
mod local;
mod place;
mod publish;
mod requests;
mod stage;
mod state;
mod stated;
mod sync;
#[cfg(test)]
mod tests;

pub use download::Wanted;
pub use error::{ClientError, Refusal};
pub use fetch::{Asked, Fetched, fetch};
pub use http::{Connect, Server, Traffic};
pub use local::{Differences, Local};
pub use place::{Looked, Place, look, rollback};
pub use publish::{Published, publish_file, publish_rollback, publish_tree};
pub use state::{Follows, State};
pub use sync::{Outcome, Source, Step, Watch, Wish, sync};
