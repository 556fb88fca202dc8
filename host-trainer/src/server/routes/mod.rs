//! The routes, by what they speak of.

mod batch;
mod contents;
mod delta;
mod fleet;
mod names;
mod publish;
mod server;
mod trees;
mod work;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Shared, docs, page};

/// Cache-Control of what never changes.
pub(super) const FOREVER: &str = "public, max-age=31536000, immutable";
/// The same, where reading needs a token.
pub(super) const FOREVER_PRIVATE: &str = "private, max-age=31536000, immutable";
/// Cache-Control of what may have changed since.
const ASK: &str = "no-cache";

/// All of them, and the document about them.
pub(super) fn all() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(docs::document())
        .routes(routes!(names::names))
        .routes(routes!(names::versions, publish::publish_stored))
        .routes(routes!(names::latest))
        .routes(routes!(fleet::fleet))
        .routes(routes!(names::version, publish::publish_content))
        .routes(routes!(names::content))
        .routes(routes!(names::manifest))
        .routes(routes!(publish::roll_back))
        .routes(routes!(contents::missing))
        .routes(routes!(contents::get, contents::put))
        .routes(routes!(trees::get, trees::put))
        .routes(routes!(trees::patch))
        .routes(routes!(trees::pack))
        .routes(routes!(delta::between))
        .routes(routes!(batch::batch))
        .routes(routes!(work::compress))
        .routes(routes!(work::apply))
        .routes(routes!(server::status))
        .routes(routes!(server::base))
        .routes(routes!(server::healthz))
        .routes(routes!(server::readyz))
        .routes(routes!(server::metrics))
        .routes(routes!(server::openapi))
        .merge(page::all())
}
