//! What the commands that talk to a server share.

use std::path::Path;

use super::CliError;
use super::client_args::ConnectArgs;
use super::compress::read;
use super::output::{Bar, note};
use crate::client::{ClientError, Connect, Server, Watch};

/// Progress on a terminal, and remarks.
pub(super) struct Screen(Bar);

impl Screen {
    pub(super) fn new() -> Self {
        Self(Bar::new())
    }
}

impl Watch for Screen {
    fn progress(&self, stage: &str, done: u64, all: u64) {
        self.0.step(stage, done, all.max(1));
    }

    fn note(&self, text: &str) {
        note(text);
    }
}

/// How a server is reached.
pub(super) fn how(url: &str, args: &ConnectArgs, client: Option<String>) -> Result<Connect, CliError> {
    let ca = args.ca.as_deref().map(read).transpose()?;
    let token = std::env::var("GMCF_TOKEN").ok().filter(|token| !token.is_empty());
    let timeout = std::time::Duration::from_secs(args.timeout.into());
    Ok(Connect { ca, token, client, timeout, tries: args.tries, ..Connect::to(url) })
}

/// Prepares to talk to a server.
pub(super) fn connect(url: &str, args: &ConnectArgs, client: Option<String>) -> Result<Server, CliError> {
    Server::new(&how(url, args, client)?).map_err(CliError::client(format!("connect to {url}")))
}

/// `doing` something with `path`, as errors name it.
pub(super) fn place(doing: &str, path: &Path) -> String {
    format!("{doing} `{}`", path.display())
}

impl CliError {
    /// A [`CliError::Client`], for `map_err`.
    pub(super) fn client(place: impl Into<String>) -> impl FnOnce(ClientError) -> Self {
        let place = place.into();
        move |source| Self::Client { place, source }
    }
}
