//! Which base model a command uses.

use std::path::{Path, PathBuf};

use super::CliError;
use super::compress::read;
use super::output::shown;
use crate::base::{Resident, SHIPPED, Shipped};
use crate::codec::{CodecError, Profile};

/// What `--base` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BaseArg {
    /// The largest that ships for the profile.
    Auto,
    /// None.
    None,
    /// One that ships, by its name.
    Named(&'static str),
    /// The user's own.
    File(PathBuf),
}

impl BaseArg {
    /// Reads the argument; what is no name is a path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "none" => Self::None,
            _ => match SHIPPED.iter().find(|shipped| shipped.name == text) {
                Some(shipped) => Self::Named(shipped.name),
                None if Path::new(text).exists() => Self::File(text.into()),
                None => {
                    let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
                    return Err(format!("neither auto, none, {} nor a file", names.join(", ")));
                }
            },
        })
    }
}

/// A base model in memory.
pub(super) struct Loaded {
    shipped: Option<&'static Shipped>,
    file: Option<(PathBuf, Vec<u8>)>,
}

impl Loaded {
    /// What a device of this profile holds.
    pub(super) fn new(arg: &BaseArg, profile: Profile) -> Result<Self, CliError> {
        let mut loaded = Self { shipped: None, file: None };
        match arg {
            BaseArg::Auto => loaded.shipped = Shipped::of(profile),
            BaseArg::None => {}
            BaseArg::Named(name) => loaded.shipped = SHIPPED.iter().find(|shipped| shipped.name == *name),
            BaseArg::File(path) => loaded.file = Some((path.clone(), read(path)?)),
        }
        Ok(loaded)
    }

    /// A user's own model, for commands that know those that ship.
    pub(super) fn own(path: Option<&Path>) -> Result<Self, CliError> {
        let file = path.map(|path| Ok((path.to_path_buf(), read(path)?))).transpose()?;
        Ok(Self { shipped: None, file })
    }

    /// The model.
    pub(super) fn resident(&self) -> Result<Option<Resident<'_>>, CliError> {
        let (opened, name) = match (&self.file, self.shipped) {
            (Some((path, file)), _) => (Resident::open(file), shown(path)),
            (None, Some(shipped)) => (shipped.open(), shipped.name.into()),
            (None, None) => return Ok(None),
        };
        opened.map(Some).map_err(CodecError::from).map_err(CliError::codec(format!("open the base model {name}")))
    }
}
