//! Base models: those that ship, and those of users.

use codec_core::Error;
use codec_core::container::digest::{BaseId, Id};
use codec_core::container::v2::Header;
use codec_core::limits::Profile;
use codec_core::neural::Held;
use codec_core::neural::adapter::{self, Adapter};
use codec_core::neural::base::Base;

/// A base model, with an adapter or without, and the identity by which containers name it.
#[derive(Clone, Copy, Debug)]
pub struct Resident<'a> {
    /// The model.
    pub model: Base<'a>,
    /// Its short identity; with an adapter, that of the two together.
    pub id: BaseId,
    /// What changes it for a family of files.
    pub adapter: Option<Adapter<'a>>,
}

impl<'a> Resident<'a> {
    /// Opens the file of a base model, and checks its digest.
    ///
    /// # Errors
    /// Those of [`Base::open`]; [`Error::DigestMismatch`] for a damaged file.
    pub fn open(file: &'a [u8]) -> Result<Self, Error> {
        let (model, id) = Base::open(file)?;
        codec_core::neural::base::verify(file)?;
        Ok(Self { model, id, adapter: None })
    }

    /// Opens the file of a base model, and `content`, that of an adapter of it. The model's digest is not checked.
    ///
    /// # Errors
    /// Those of [`Base::open`] and [`Adapter::parse`].
    pub fn with_adapter(file: &'a [u8], content: &'a [u8]) -> Result<Self, Error> {
        let (model, id) = Base::open(file)?;
        let adapter = Adapter::parse(content, model.shape(), id)?;
        let (header, _) = Header::parse(file)?;
        Ok(Self { model, id: adapter::identity(&header.digest, &Id::of(content)), adapter: Some(adapter) })
    }

    /// The model as a decoder holds it.
    pub fn held(&self) -> Held<'a, Option<Adapter<'a>>> {
        Held::with_adapter(self.model, self.adapter, self.id)
    }
}

/// A base model that ships.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Name on the command line.
    pub name: &'static str,
    /// The file.
    pub file: &'static [u8],
    /// Smallest profile that has the memory for it.
    pub least: Profile,
}

/// The base models that ship, smallest first.
pub static SHIPPED: [Shipped; 3] = [
    Shipped { name: "nano", file: include_bytes!("../base/nano.gmcf"), least: Profile::Small },
    Shipped { name: "micro", file: include_bytes!("../base/micro.gmcf"), least: Profile::Medium },
    Shipped { name: "small", file: include_bytes!("../base/small.gmcf"), least: Profile::Host },
];

impl Shipped {
    /// The model.
    ///
    /// # Errors
    /// None, unless the program is damaged.
    pub fn open(&self) -> Result<Resident<'static>, Error> {
        let (model, id) = Base::open(self.file)?;
        Ok(Resident { model, id, adapter: None })
    }

    /// The largest model that a device of this profile has the memory for.
    pub fn of(profile: Profile) -> Option<&'static Self> {
        SHIPPED.iter().rev().find(|shipped| shipped.least <= profile)
    }

    /// The model with this identity.
    pub fn with_id(id: BaseId) -> Option<&'static Self> {
        SHIPPED.iter().find(|shipped| Header::parse(shipped.file).is_ok_and(|(header, _)| header.digest.base() == id))
    }
}
