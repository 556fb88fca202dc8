//! `gmcf publish`.

use super::CliError;
use super::client::{Screen, connect, place};
use super::client_args::PublishArgs;
use super::key::secret;
use super::snapshot::report;
use crate::client::publish_file;

pub(super) fn run(args: &PublishArgs) -> Result<(), CliError> {
    let key = args.publish.key.as_deref().map(secret).transpose()?;
    let server = connect(&args.publish.server, &args.publish.connect, None)?;
    let (name, version) = (&args.publish.name, args.publish.version.as_ref());
    let screen = Screen::new();
    let published = publish_file(&server, &args.file, name, version, key.as_ref(), &screen);
    drop(screen);
    report(&args.publish, &server, &published.map_err(CliError::client(place("publish", &args.file)))?)
}
