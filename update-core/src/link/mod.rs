//! How an update travels over a byte stream that loses, doubles and reorders.
//!
//! The host asks, the device answers; the device has no clock and never speaks first. [`Link`] is its end: bytes in,
//! calls on a [`Target`], bytes out, in memory fixed by its two numbers. [`serve`] runs it over any
//! [`embedded_io`] stream. Messages are [`message::Request`] and [`message::Reply`].
//!
//! # A frame
//!
//! | bytes | what |
//! |---|---|
//! | 1 or more | COBS of message and check: one byte more than they are, and one for every 254 in a row but zeros |
//! | 1 | delimiter, zero |
//!
//! Before COBS:
//!
//! | bytes | what |
//! |---|---|
//! | 1 or more | head of the message, in postcard's encoding |
//! | 0 or more | tail: bytes as they are, up to the check |
//! | 4 | CRC-32 (ISO-HDLC) of head and tail, little-endian |
//!
//! A frame limit counts all bytes of the frame, the delimiter too: 32 to 1024; 51 on LoRaWAN's slowest data rates. What
//! is longer, damaged or empty is dropped. Whoever opens a stream sends one zero byte first, which ends what others
//! have left behind.
//!
//! # A session
//!
//! `Hello` gets a number from the device, and the first request with that number starts the session and ends the one
//! before. All other requests carry the number, so that what is late from another session does nothing. The numbers
//! differ from one restart to the next as far as the seed of [`Link::new`], the host's nonce and what the device says
//! of itself do; a late `Hello` gets a number that nobody uses. Where they do not differ, a device that was restarted
//! takes a session for a new one that its host goes on with: it answers a chunk without an offer with `NoSession`, and a
//! host believes that only of what it asks for now; a host that is told of something new, but not of all that had arrived, starts another session.
//! A number that a host has had before is not used by it again, and the pieces of manifests and statements carry 7 bits of
//! the nonce: what is late from a session by the same number starts no transfer, so no chunk lands where another belongs.
//!
//! In a session everything is done at most once, and asked again it is answered again: install, confirm, rotate,
//! reboot, each chunk of the payload. After a refusal only `Query` is answered with anything else than that refusal.
//! Who wants to try again starts another session, and the offer's answer says from which byte on the payload is wanted.
//!
//! The payload is cut into chunks of one size. Those inside the window are taken in any order; `Ack` names the first
//! that lacks and, as a bitmap, which of the later ones are kept. The host sends again what lacks.
//!
//! ```
//! use update_core::link::{Link, message::Request, frame};
//! # use update_core::{Error, link::{Info, Target}, manifest::MANIFEST_LEN};
//! # struct Nothing;
//! # impl Target for Nothing {
//! #     fn info(&mut self) -> Info {
//! #         Info { product: 1, version: 2, state: 0, profile: 0, image: [0; 4], received: 0 }
//! #     }
//! #     fn offer(&mut self, _: &[u8; MANIFEST_LEN]) -> Result<u32, Error> { Ok(0) }
//! #     fn receive(&mut self, _: u32, _: &[u8]) -> Result<(), Error> { Ok(()) }
//! #     fn install(&mut self) -> Result<(), Error> { Ok(()) }
//! #     fn confirm(&mut self) -> Result<(), Error> { Ok(()) }
//! #     fn rotate(&mut self, _: &[u8]) -> Result<(), Error> { Ok(()) }
//! #     fn reboot(&mut self) {}
//! # }
//! # let mut updater = Nothing;
//! let mut link = Link::<64, 4>::new(7);
//! let mut buffer = [0; 64];
//! let hello = frame::seal(&Request::Hello { nonce: 1 }, &[], &mut buffer)?;
//! let step = link.feed(hello, &mut updater);
//! assert_eq!(step.consumed, hello.len());
//! assert!(!step.reply.is_empty()); // to be sent
//! # Ok::<(), postcard::Error>(())
//! ```

mod device;
pub mod frame;
pub mod message;
mod serve;

use codec_core::container::digest::OLD_ID_LEN;
use postcard::fixint::le;
use serde::{Deserialize, Serialize};

pub use device::{Link, Step, max_chunk};
pub use serve::{Ended, serve};

use crate::Error;
use crate::manifest::MANIFEST_LEN;

/// What a device says of itself. 22 bytes on the air, in this order; the `u32` are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Product number.
    #[serde(with = "le")]
    pub product: u32,
    /// Version of the image that runs.
    #[serde(with = "le")]
    pub version: u32,
    /// Number of the state, see `record::State`.
    pub state: u8,
    /// Largest profile whose updates the device decodes: the number of a [`codec_core::limits::Profile`].
    pub profile: u8,
    /// Identity of the image that runs (its first 4 bytes), by which a delta names its old image.
    pub image: [u8; OLD_ID_LEN],
    /// Bytes of the offered update that are safely stored; 0 when none is being received.
    #[serde(with = "le")]
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

    /// The image that runs is good: it stays. Called after the first boot of a new image; once more is no error.
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
