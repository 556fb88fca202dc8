//! `gmcf cat`.

use std::io::Write;

use super::CliError;
use super::client::{connect, how};
use super::client_args::CatArgs;
use super::key::public;
use crate::client::cat::{Part, from_folder, from_server};
use crate::client::{Connect, Server};
use crate::history::Name;

pub(super) fn run(args: &CatArgs) -> Result<(), CliError> {
    let failed = |error| CliError::client(format!("read `{}`", args.path.escape_debug()))(error);
    let part = Part { path: &args.path, range: args.range.map(|(from, to)| from..to) };
    let mut out = std::io::stdout().lock();
    match (&args.dir, &args.server, &args.name) {
        (Some(dir), ..) => {
            let connection = how("", &args.connect, None)?;
            let connect = |url: &str| Server::new(&Connect { url: url.into(), ..connection.clone() });
            from_folder(dir, &part, &connect, &mut out).map_err(failed)?;
        }
        (None, Some(url), Some(name)) => {
            let key = args.key.as_deref().map(public).transpose()?;
            let server = connect(url, &args.connect, None)?;
            let name: &Name = name;
            from_server(&server, name, args.version.as_ref(), key.as_ref(), &part, &mut out).map_err(failed)?;
        }
        _ => return Err(CliError::Internal { what: "the command line was not checked".into() }),
    }
    match out.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::io("write", "standard output".as_ref())(error))
        }
        _ => Ok(()),
    }
}
