//! The link over a blocking stream.

use embedded_io::{Read, Write};

use super::{Link, Target};

/// Why [`serve`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The stream has ended.
    Closed,
    /// A restart was asked for, was answered, and [`Target::reboot`] has returned.
    Reboot,
}

/// Bytes read at a time.
const PIECE: usize = 32;

/// Serves the host at the other end of `port` until the stream ends or the device is to restart.
///
/// # Errors
/// What the stream fails with. What `link` and `target` hold stays as it is: serve again when there is a stream again.
pub fn serve<P: Read + Write, T: Target, const N: usize, const W: usize>(
    port: &mut P,
    link: &mut Link<N, W>,
    target: &mut T,
) -> Result<Ended, P::Error> {
    let mut piece = [0; PIECE];
    loop {
        let len = port.read(&mut piece)?;
        if len == 0 {
            return Ok(Ended::Closed);
        }
        let mut input = &piece[..len.min(PIECE)];
        while !input.is_empty() {
            let step = link.feed(input, target);
            if !step.reply.is_empty() {
                port.write_all(step.reply)?;
                port.flush()?;
            }
            if step.reboot {
                target.reboot();
                return Ok(Ended::Reboot);
            }
            // A step takes at least one byte of what is there.
            input = input.get(step.consumed..).unwrap_or_default();
        }
    }
}
