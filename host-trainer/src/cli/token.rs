//! `gmcf token`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::CliError;
use super::output::{note, print};
use super::serve::runtime;
use super::serve_args::{NewTokenArgs, RevokeArgs, TokenArgs, TokenCommand};
use crate::report::transfer::now_ms;
use crate::store::{Grant, Store, Token};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;
/// Bytes that a token is looked for in, at most.
const MAX_INPUT: u64 = 1024;

pub(super) fn run(args: &TokenArgs) -> Result<(), CliError> {
    match &args.what {
        TokenCommand::New(args) => new(args),
        TokenCommand::Revoke(args) => revoke(args),
    }
}

fn new(args: &NewTokenArgs) -> Result<(), CliError> {
    let broken = |error| CliError::Internal { what: format!("the system has no randomness: {error}") };
    let token = Token::generate().map_err(broken)?;
    let created_at = now_ms();
    let grant = Grant {
        label: args.label.clone(),
        right: args.right.into(),
        names: args.names.clone(),
        created_at,
        expires_at: args.days.map(|days| created_at + u64::from(days) * DAY),
    };
    let store = Store::open(&args.store).map_err(CliError::store)?;
    runtime()?.block_on(store.put_grant(&token, &grant)).map_err(CliError::store)?;
    print(&format!("{token}\n"))?;
    note("note: it is shown this once; gmcf reads it from GMCF_TOKEN");
    Ok(())
}

fn revoke(args: &RevokeArgs) -> Result<(), CliError> {
    let text = match args.token.as_deref() {
        Some(token) if token != "-" => token.to_string(),
        _ => {
            let mut text = String::new();
            let read = io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text);
            read.map_err(CliError::io("read", Path::new("standard input")))?;
            text
        }
    };
    let wrong = |what: &str| CliError::Input {
        path: PathBuf::from("token"),
        what: what.into(),
        hint: "give the whole token, `gmcf_` and 48 hexadecimal digits, and the store that it was made for".into(),
    };
    let token: Token = text.trim().parse().map_err(|()| wrong("this is no token"))?;
    let store = Store::open(&args.store).map_err(CliError::store)?;
    if !runtime()?.block_on(store.revoke(&token)).map_err(CliError::store)? {
        return Err(wrong("the store knows no such token"));
    }
    print("the token is worthless now\n")
}
