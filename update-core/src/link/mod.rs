//! How an update travels over a byte stream that loses, doubles and reorders.

use crate::Error;
use crate::manifest::MANIFEST_LEN;

/// What a device says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Product number.
    pub product: u32,
    /// Version of the image that runs.
    pub version: u32,
    /// Number of the state, see `record::State`.
    pub state: u8,
    /// Largest profile whose updates the device decodes: the number of a [`codec_core::limits::Profile`].
    pub profile: u8,
    /// Identity of the image that runs (its first 8 bytes), by which a delta names its old image.
    pub image: [u8; 8],
    /// Bytes of the offered update that are safely stored; 0 when none is being received.
    pub received: u32,
}

/// What the link's device end drives. Implemented by the updater.
pub trait Target {
    /// What the device says of itself.
    fn info(&mut self) -> Info;

    /// An update is offered: checks its signature, product, version and room before anything is erased. Returns the
    /// offset in the payload from which bytes are wanted: above 0 when the same update was partly received before.
    ///
    /// # Errors
    /// Why the update is refused.
    fn offer(&mut self, manifest: &[u8; MANIFEST_LEN]) -> Result<u32, Error>;

    /// Stores the payload's bytes at `offset`, which continue what is there.
    ///
    /// # Errors
    /// [`Error::Gap`] when they do not; errors of the flash.
    fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error>;

    /// Rebuilds the new image and makes it the one to boot. All of the payload has been received.
    ///
    /// # Errors
    /// Why not; the image that runs is then as it was.
    fn install(&mut self) -> Result<(), Error>;

    /// The image that runs is good: it stays. Called after the first boot of a new image.
    ///
    /// # Errors
    /// [`Error::WrongState`] when nothing is to be confirmed; errors of the flash.
    fn confirm(&mut self) -> Result<(), Error>;

    /// Takes a statement that replaces one of the device's two keys.
    ///
    /// # Errors
    /// Why it is refused.
    fn rotate(&mut self, statement: &[u8]) -> Result<(), Error>;

    /// Restarts the device. Where it returns, the device restarts after the answer has been sent.
    fn reboot(&mut self);
}
