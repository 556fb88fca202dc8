//! The document about the interface (OpenAPI 3.1): what the routes say of themselves, and the problems that they share.

use std::collections::BTreeMap;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi as _, ToSchema};

use crate::wire::{PROBLEM, Problem};

/// What holds for all of it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "gmcf",
        description = "Versions of files and folders, and the deltas that lead from one to another.\n\n\
            Refusals are problem documents (RFC 9457). Digests are BLAKE2s of 32 bytes, as 64 lower-case hexadecimal \
            digits. What a digest or two versions name never changes, and may be cached for ever; everything else has \
            an entity tag.",
    ),
    components(schemas(Problem)),
    modifiers(&Tokens),
    tags(
        (name = "versions", description = "Names, their versions, and the statements about them"),
        (name = "contents", description = "Contents and folders, by their digests"),
        (name = "deltas", description = "What leads from one version to another"),
        (name = "server", description = "How the server is"),
    )
)]
pub(super) struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of `gmcf token new`")).build();
        api.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document before the routes are in it.
pub(super) fn document() -> OpenApi {
    Document::openapi()
}

/// The document of a server where reading needs a token, too.
pub(super) fn make_private(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.head, &mut item.post, &mut item.put].into_iter().flatten() {
            if let Some(security) = &mut operation.security {
                security.retain(|requirement| *requirement != utoipa::openapi::SecurityRequirement::default());
            }
        }
    }
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code)]
pub(super) struct Octets(Vec<u8>);

fn problem(description: &str) -> RefOr<Response> {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content(PROBLEM, content).build().into()
}

/// Problems that several routes share, by status.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal $text:literal)+ })+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(($status.to_string(), problem($text))),+])
            }
        }
    )+};
}

problems! {
    /// Of every route.
    Any {
        "400" "The path or the query cannot be understood"
        "500" "The server failed"
        "503" "Too much is asked for, or the store does not answer: try again"
    }
    /// Of those that read.
    Reading {
        "401" "A token is needed, or is not known here"
        "403" "The token is not for this"
    }
    /// Of those that publish.
    Publishing {
        "401" "A token is needed, or is not known here"
        "403" "The token is not for this, or the statement is not believed"
        "507" "The store has no room left"
    }
    /// Of those that name something.
    Finding {
        "404" "There is no such thing"
    }
    /// Of those with a choice of media types.
    Choosing {
        "406" "`Accept` excludes what there is"
    }
    /// Of those with an entity tag.
    Tagged {
        "412" "What is there is not what `If-Match` names"
    }
    /// Of those with a body.
    Receiving {
        "408" "The body does not come in time"
        "413" "The body is too large"
        "415" "The body is of another media type"
        "422" "The body can be read, and not be done"
    }
    /// Of those with a content as body.
    Uploading {
        "408" "The body does not come in time"
        "411" "The length of the body is not said"
        "413" "The body is too large"
        "415" "The body is of another media type"
        "422" "The body is not what it should be"
    }
    /// Of those that change what a name stands for.
    Changing {
        "409" "It does not go with the versions that there are"
    }
    /// Of those that can be read in parts.
    Ranged {
        "412" "What is there is not what `If-Match` names"
        "416" "The range lies behind the end"
    }
    /// Of those that make deltas.
    Making {
        "422" "No delta can be made of it"
        "501" "This server does not make deltas of this kind"
    }
}
