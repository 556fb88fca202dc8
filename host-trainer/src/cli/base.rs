//! Which base model a command uses.

use std::path::{Path, PathBuf};

use super::CliError;
use super::compress::read;
use super::output::shown;
use crate::base::{Resident, SHIPPED, Shipped};
use crate::codec::{self, CodecError, Profile};
use codec_core::neural::adapter;

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

/// A base model in memory, and an adapter of it where one is named.
pub(super) struct Loaded {
    shipped: Option<&'static Shipped>,
    file: Option<(PathBuf, Vec<u8>)>,
    /// The adapter's content.
    adapter: Option<(PathBuf, Vec<u8>)>,
}

impl Loaded {
    /// What a device of this profile holds.
    pub(super) fn new(arg: &BaseArg, profile: Profile, adapter: Option<&Path>) -> Result<Self, CliError> {
        let adapter = adapter.map(|path| Ok((path.to_path_buf(), adapter_content(path)?))).transpose()?;
        let mut loaded = Self { shipped: None, file: None, adapter };
        match arg {
            BaseArg::Auto if loaded.adapter.is_some() => loaded.shipped = loaded.adapted()?,
            BaseArg::Auto => loaded.shipped = Shipped::of(profile),
            BaseArg::None if loaded.adapter.is_some() => {
                let hint = "leave `--base none` out";
                return Err(CliError::Usage { what: "an adapter needs its base model".into(), hint: hint.into() });
            }
            BaseArg::None => {}
            BaseArg::Named(name) => loaded.shipped = SHIPPED.iter().find(|shipped| shipped.name == *name),
            BaseArg::File(path) => loaded.file = Some((path.clone(), read(path)?)),
        }
        Ok(loaded)
    }

    /// A user's own model or adapter, for commands that know those models that ship.
    pub(super) fn own(path: Option<&Path>, adapter: Option<&Path>) -> Result<Self, CliError> {
        match (path, adapter) {
            (None, None) => Ok(Self { shipped: None, file: None, adapter: None }),
            (None, Some(_)) => Self::new(&BaseArg::Auto, Profile::Host, adapter),
            (Some(path), _) => Self::new(&BaseArg::File(path.to_path_buf()), Profile::Host, adapter),
        }
    }

    /// The model that ships and that the adapter belongs to.
    fn adapted(&self) -> Result<Option<&'static Shipped>, CliError> {
        let Some((path, content)) = &self.adapter else { return Ok(None) };
        let refuse = || opening(&format!("the adapter {}", shown(path)));
        let id = adapter::base_of(content).map_err(refuse())?;
        let unknown = codec_core::Error::Unknown { field: "adapter.base_id", found: id.number() };
        Shipped::with_id(id).ok_or(unknown).map_err(refuse()).map(Some)
    }

    /// The base model's file.
    pub(super) fn file(&self) -> Option<&[u8]> {
        self.file.as_ref().map(|(_, file)| &file[..]).or(self.shipped.map(|shipped| shipped.file))
    }

    /// The model, with the adapter.
    pub(super) fn resident(&self) -> Result<Option<Resident<'_>>, CliError> {
        let Some(file) = self.file() else { return Ok(None) };
        let opened = match (&self.file, self.shipped) {
            (Some((path, _)), _) => Resident::open(file).map_err(opening(&format!("the base model {}", shown(path)))),
            (None, Some(shipped)) => shipped.open().map_err(opening(&format!("the base model {}", shipped.name))),
            (None, None) => return Ok(None),
        }?;
        let Some((path, content)) = &self.adapter else { return Ok(Some(opened)) };
        let adapted = Resident::with_adapter(file, content);
        adapted.map(Some).map_err(opening(&format!("the adapter {}", shown(path))))
    }
}

/// The content of an adapter's file.
fn adapter_content(path: &Path) -> Result<Vec<u8>, CliError> {
    let place = format!("open the adapter {}", shown(path));
    codec::apply_within(&[&read(path)?], None, adapter::MAX_LEN, None).map_err(CliError::codec(place))
}

fn opening(what: &str) -> impl FnOnce(codec_core::Error) -> CliError + use<> {
    let place = format!("open {what}");
    move |error| CliError::codec(place)(CodecError::from(error))
}
