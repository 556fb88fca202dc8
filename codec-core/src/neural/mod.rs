//! The neural prior: what a base model says of bytes that nothing else predicts.

pub mod adapter;
mod arithmetic;
pub mod base;
pub mod coder;
pub mod context;
mod evoformer;
pub mod memory;
pub mod network;
pub mod rows;
pub mod shape;

use crate::Error;
use crate::container::digest::BaseId;
use adapter::{Adapt, NoAdapter};
use base::Base;
use coder::Neural;

/// The base model that a device holds, or its absence.
pub trait Resident {
    /// What changes the model, or nothing.
    type Adapter: Adapt;

    /// Takes the model that a container names into use; none for `None`.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is not here.
    fn select(&mut self, wanted: Option<BaseId>) -> Result<(), Error>;

    /// The model in use.
    #[doc(hidden)]
    fn active(&self) -> Option<&Neural<'_, Self::Adapter>>;

    /// Likewise, to be changed.
    #[doc(hidden)]
    fn work<T>(&mut self, work: impl FnOnce(&mut Neural<'_, Self::Adapter>) -> T) -> Option<T>;
}

/// No base model: containers that need one are refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBase;

impl Resident for NoBase {
    type Adapter = NoAdapter;

    fn select(&mut self, wanted: Option<BaseId>) -> Result<(), Error> {
        wanted.map_or(Ok(()), |id| Err(id.unknown()))
    }

    #[inline]
    fn active(&self) -> Option<&Neural<'_, Self::Adapter>> {
        None
    }

    #[inline]
    fn work<T>(&mut self, _: impl FnOnce(&mut Neural<'_, Self::Adapter>) -> T) -> Option<T> {
        None
    }
}

/// A base model in flash.
#[derive(Clone, Debug)]
pub struct Held<'a, A = NoAdapter> {
    id: BaseId,
    neural: Neural<'a, A>,
    active: bool,
}

impl<'a> Held<'a> {
    /// A model and its identity.
    pub const fn new(base: Base<'a>, id: BaseId) -> Self {
        Self::with_adapter(base, NoAdapter, id)
    }
}

impl<'a, A> Held<'a, A> {
    /// A model with an adapter, and the identity of the two together.
    pub const fn with_adapter(base: Base<'a>, adapter: A, id: BaseId) -> Self {
        Self { id, neural: Neural::with_adapter(base, adapter), active: false }
    }
}

impl<A: Adapt> Resident for Held<'_, A> {
    type Adapter = A;

    fn select(&mut self, wanted: Option<BaseId>) -> Result<(), Error> {
        match wanted {
            Some(id) if id != self.id => Err(id.unknown()),
            _ => {
                self.active = wanted.is_some();
                Ok(())
            }
        }
    }

    fn active(&self) -> Option<&Neural<'_, Self::Adapter>> {
        self.active.then_some(&self.neural)
    }

    fn work<T>(&mut self, work: impl FnOnce(&mut Neural<'_, Self::Adapter>) -> T) -> Option<T> {
        self.active.then(|| work(&mut self.neural))
    }
}

/// A place for a base model that is opened at run time. While it is empty all its bits are zero, so a `static` decoder
/// with such a place takes no flash.
#[derive(Clone, Debug)]
pub struct Place<R>(heapless::Vec<R, 1>);

impl<R> Place<R> {
    /// Nothing there yet.
    pub const EMPTY: Self = Self(heapless::Vec::new());

    /// A place with this model, if there is one.
    pub fn of(model: Option<R>) -> Self {
        Self(model.into_iter().collect())
    }

    /// Puts a model there, in place of another.
    pub fn set(&mut self, model: R) {
        self.0.clear();
        // There is room for one.
        let _ = self.0.push(model);
    }
}

impl<R: Resident> Resident for Place<R> {
    type Adapter = R::Adapter;

    fn select(&mut self, wanted: Option<BaseId>) -> Result<(), Error> {
        match self.0.first_mut() {
            Some(held) => held.select(wanted),
            None => NoBase.select(wanted),
        }
    }

    fn active(&self) -> Option<&Neural<'_, Self::Adapter>> {
        self.0.first().and_then(Resident::active)
    }

    fn work<T>(&mut self, work: impl FnOnce(&mut Neural<'_, Self::Adapter>) -> T) -> Option<T> {
        self.0.first_mut().and_then(|held| held.work(work))
    }
}
