//! A device: a decoder of one profile, a slot of a fixed length, and somebody who feeds it.

use codec_core::Error;
use codec_core::decoder::{Rebuild, Status};
use codec_core::limits::{self, Profile};
use codec_core::weights_decoder::WeightsDecoder;
use host_trainer::fit::encode::with_big_stack;

/// Runs `work` with a fresh decoder of `profile` that reads `old`.
pub fn with_device<T: Send>(profile: Profile, old: &[u8], work: impl FnOnce(&mut dyn Rebuild) -> T + Send) -> T {
    match profile {
        Profile::Tiny => work(&mut limits::Tiny::new(old)),
        Profile::Small => work(&mut limits::Small::new(old)),
        Profile::Medium => work(&mut limits::Medium::new(old)),
        Profile::Host => with_big_stack(|| work(&mut *Box::new(limits::Host::new(old)))),
    }
}

/// How decoding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The decoder accepted; so many bytes of input were left over.
    Done {
        /// Bytes that were not taken.
        left: usize,
    },
    /// The decoder refused.
    Refused(Error),
    /// The slot is full, and the decoder has more. A device gives up here; so does the time that a lie can cost.
    SlotFull,
    /// `judge` of [`feed`] had seen enough.
    Stopped,
}

/// What came out and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was written to the slot.
    pub output: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Outcome {
    /// The rebuilt file, if all went well and nothing was left over.
    pub fn accepted(&self) -> Option<&[u8]> {
        (self.end == End::Done { left: 0 }).then_some(&self.output)
    }

    /// The error.
    ///
    /// # Panics
    /// When it ended otherwise.
    pub fn refusal(&self) -> Error {
        match self.end {
            End::Refused(error) => error,
            end => panic!("not refused: {end:?} after {} bytes", self.output.len()),
        }
    }
}

/// Room for the next call: bytes of input shown and of output lent.
pub type Cut = (usize, usize);

/// Calls without progress, each with input and output on offer, after which a decoder counts as stuck.
const PATIENCE: u32 = 3;

/// Feeds `container` to `device`, with room as `cut` says, into a slot of `slot` bytes; `judge` may stop it after each
/// call. Checks what [`Rebuild::update`] promises of every call: nothing beyond `written` is touched, the status says
/// what is missing, a finished decoder stays finished.
///
/// # Panics
/// When such a promise is broken.
pub fn feed(
    device: &mut dyn Rebuild,
    container: &[u8],
    slot: usize,
    mut cut: impl FnMut() -> Cut,
    mut judge: impl FnMut(&[u8]) -> bool,
) -> Outcome {
    let mut rest = container;
    let mut output = Vec::new();
    let mut buffer = Vec::new();
    let mut poison = 0xa5u8;
    let mut stuck = 0;
    let end = loop {
        let (shown, lent) = cut();
        let (shown, lent) = (shown.min(rest.len()), lent.min(slot - output.len()));
        // What the buffer held before must not matter.
        poison = poison.wrapping_mul(5).wrapping_add(113);
        buffer.clear();
        buffer.resize(lent, poison);
        let step = match device.update(&rest[..shown], &mut buffer) {
            Ok(step) => step,
            Err(error) => {
                // What was written before the error stands in the buffer, as far as it can be told from the filling.
                let written = buffer.iter().rposition(|&b| b != poison).map_or(0, |last| last + 1);
                output.extend_from_slice(&buffer[..written]);
                assert_eq!(device.update(rest, &mut buffer), Err(Error::Finished), "after {error}");
                break End::Refused(error);
            }
        };
        assert!(step.consumed <= shown && step.written <= lent, "{step:?} of {shown} and {lent}");
        assert!(buffer[step.written..].iter().all(|&b| b == poison), "bytes beyond `written` were touched");
        rest = &rest[step.consumed..];
        output.extend_from_slice(&buffer[..step.written]);
        if !judge(&output) {
            break End::Stopped;
        }
        let moved = step.consumed + step.written > 0;
        stuck = if moved || shown == 0 || lent == 0 { 0 } else { stuck + 1 };
        assert!(stuck < PATIENCE, "no progress: {step:?} of {shown} and {lent}");
        match step.status {
            Status::Done => {
                device.finish().expect("a decoder that is done has nothing missing");
                assert_eq!(device.update(&[], &mut []), Err(Error::Finished));
                break End::Done { left: rest.len() };
            }
            Status::NeedInput => {
                assert_eq!(step.consumed, shown, "input was left, and more is asked for");
                if rest.is_empty() {
                    break End::Refused(device.finish().expect_err("more input is asked for, and nothing is missing"));
                }
            }
            Status::NeedOutput => {
                assert_eq!(step.written, lent, "output was left, and more is asked for");
                if output.len() == slot {
                    break End::SlotFull;
                }
            }
        }
    };
    Outcome { output, end }
}

/// Feeds all at once.
pub fn decode(profile: Profile, old: &[u8], container: &[u8], slot: usize) -> Outcome {
    with_device(profile, old, |device| feed(device, container, slot, || (usize::MAX, usize::MAX), |_| true))
}

/// As [`decode`], by the decoder of weights.
pub fn decode_weights(old: &[u8], container: &[u8], slot: usize) -> Outcome {
    feed(&mut WeightsDecoder::new(old), container, slot, || (usize::MAX, usize::MAX), |_| true)
}

/// As [`decode`], but stops soon after the first byte that differs from `new`: what its digest must then refuse.
pub fn decode_until_wrong(profile: Profile, old: &[u8], container: &[u8], new: &[u8]) -> Outcome {
    let mut right = 0;
    let judge = |output: &[u8]| {
        let agrees = new.get(right..output.len()).is_some_and(|part| part == &output[right..]);
        right = output.len();
        agrees
    };
    with_device(profile, old, |device| feed(device, container, new.len() + SLACK, || (usize::MAX, WINDOW), judge))
}

/// Output lent at a time by [`decode_until_wrong`], bytes.
const WINDOW: usize = 64;
/// Bytes by which a slot is longer than the file expected.
pub const SLACK: usize = 64;
