//! What a user can do about what keeps a client from its goal.

use super::error::exit;
use crate::client::{ClientError, Refusal};
use crate::history::{Kind, StatementError};

/// The process's exit code.
pub(super) fn exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Address { .. } | ClientError::OtherKind { .. } | ClientError::Name(_) => exit::USAGE,
        ClientError::Unreachable { .. } => exit::NO_ANSWER,
        ClientError::Refused(_) | ClientError::Answer { .. } => exit::SERVER_REFUSED,
        ClientError::Statement(_)
        | ClientError::Contradiction { .. }
        | ClientError::OtherVersion { .. }
        | ClientError::Downgrade { .. }
        | ClientError::TooLarge { .. }
        | ClientError::Link { .. }
        | ClientError::Patch(_)
        | ClientError::Pack(_)
        | ClientError::Codec(_) => exit::REFUSED,
        ClientError::WrongDigest { .. } => exit::IDENTITY,
        _ => exit::INPUT,
    }
}

/// What can be done about it; empty when there is nothing sensible to say.
pub(super) fn hint(error: &ClientError) -> &'static str {
    match error {
        ClientError::Address { .. } => "give the server's address, as in --server https://updates.example.com",
        ClientError::Unreachable { .. } => {
            "check the address and the network; the next run goes on where this one stopped"
        }
        ClientError::Refused(refusal) => for_refusal(refusal),
        ClientError::Answer { .. } => "check that the address is of a gmcf server, of this version or a newer one",
        ClientError::Statement(error) => for_statement(error),
        ClientError::Contradiction { .. } => {
            "two statements of one number: somebody else signs, or the server was set up anew. If that is so, remove the \
             hidden folder beside this one"
        }
        ClientError::Downgrade { .. } => "if that is wanted: --allow-downgrade",
        ClientError::TooLarge { .. } => "if that is right, allow more: --max-size BYTES",
        ClientError::Link { .. } => {
            "allow those that stay inside the folder with --symlinks keep, or leave them out: skip"
        }
        ClientError::Extra { .. } => "move them out of the folder, or let them go with --force",
        ClientError::Follows { .. } => "take another folder, or --force to follow the other name from now on",
        ClientError::NotFollowing { .. } => "tell what to follow: gmcf sync --server URL --name NAME --to DIR",
        ClientError::NoPrevious { .. } => "fetch one by its name: gmcf sync --to DIR --version V --allow-downgrade",
        ClientError::OtherKind { found: Kind::File, .. } => "files are fetched by `gmcf fetch`",
        ClientError::OtherKind { found: Kind::Tree, .. } => "folders are fetched by `gmcf sync`",
        ClientError::Busy { .. } => "wait until it has finished",
        ClientError::NoExchange { .. } => {
            "the folder must be no mount point, and lie on a file system that can exchange two folders (ext4, xfs, btrfs, \
             tmpfs and others can)"
        }
        ClientError::WrongDigest { .. } => "nothing was changed; the server, or what is between, alters what it sends",
        ClientError::Patch(_) | ClientError::Pack(_) => {
            "nothing was changed; a newer gmcf may be needed for what this server sends"
        }
        _ => "",
    }
}

fn for_statement(error: &StatementError) -> &'static str {
    match error {
        StatementError::Unsigned => "the publisher must sign: gmcf snapshot --key, or gmcf serve --key",
        StatementError::WrongSignature => "nothing was changed; check whether --key is the publisher's public key",
        StatementError::Replayed { .. } => {
            "nothing was changed; somebody shows an old answer, or the server was set up anew. If that is so, name the \
             version: --version V"
        }
        _ => "",
    }
}

fn for_refusal(refusal: &Refusal) -> &'static str {
    match (refusal.status, refusal.kind.as_str()) {
        (401, _) => "set GMCF_TOKEN to a token of this server; `gmcf token new` makes one there",
        (403, "/problems/statement") => "sign with the key that the server trusts: --key FILE",
        (403, _) => "the token does not allow this; `gmcf token new` makes another",
        (404, _) => "see what there is: gmcf status --server URL",
        (409, "/problems/version-exists") => "publish under another --version",
        (409, "/problems/old-version") => "go back with gmcf rollback --server URL --name NAME --version V",
        (413 | 422, "/problems/digest") => "a file was changed while it was being sent: try again",
        (507, _) => "the server needs more room",
        (500..=599, _) => "try again; the server's log says more",
        _ => "",
    }
}
