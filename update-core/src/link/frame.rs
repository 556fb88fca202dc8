//! Frames: what stands between two zero bytes of the stream.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use postcard::Serializer;
use postcard::ser_flavors::{Cobs, Flavor, Slice};
use serde::Serialize;

/// Shortest limit of a frame that every device and host can work with, bytes, delimiter included.
pub const MIN_FRAME: usize = 32;
/// Longest limit of a frame, bytes, delimiter included.
pub const MAX_FRAME: usize = 1024;

/// Bytes of the check behind a message.
const CHECK_LEN: usize = 4;
/// Bit by bit: on a microcontroller a table of 1 KiB costs more than it gives at the rate of a radio.
const CHECK: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Bytes of the longest message that always fits a frame of `limit` bytes, delimiter included.
///
/// COBS adds one byte, and one more for every 254 in a row that are not zero.
#[must_use]
pub const fn message_room(limit: usize) -> usize {
    let stuffed = limit.saturating_sub(1 + 1);
    (stuffed - (stuffed + 1) / 255).saturating_sub(CHECK_LEN)
}

/// CRC-32 (ISO-HDLC, as in Ethernet and zip) of `parts`, one after the other.
pub(super) fn check(parts: &[&[u8]]) -> u32 {
    let mut digest = CHECK.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// Writes `head` and `tail` as one frame to `out`; the frame with its delimiter.
///
/// # Errors
/// [`postcard::Error::SerializeBufferFull`] when `out` is too short.
pub fn seal<'a>(head: &impl Serialize, tail: &[u8], out: &'a mut [u8]) -> postcard::Result<&'a [u8]> {
    let checked = Checked { inner: Cobs::try_new(Slice::new(out))?, digest: CHECK.digest() };
    let mut serializer = Serializer { output: checked };
    head.serialize(&mut serializer)?;
    serializer.output.try_extend(tail)?;
    serializer.output.finalize().map(|frame| &*frame)
}

/// postcard's own flavour for checks insists on a table.
struct Checked<'a, F> {
    inner: F,
    digest: Digest<'a, u32, NoTable>,
}

impl<F: Flavor> Flavor for Checked<'_, F> {
    type Output = F::Output;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.digest.update(&[byte]);
        self.inner.try_push(byte)
    }

    fn finalize(mut self) -> postcard::Result<F::Output> {
        self.inner.try_extend(&self.digest.finalize().to_le_bytes())?;
        self.inner.finalize()
    }
}

/// Finds the frames in a stream of bytes. Keeps at most one frame of `N` bytes, delimiter included.
///
/// What is damaged or too long is dropped without a trace. Bytes without a delimiter never cost more than `N` bytes
/// of memory.
#[derive(Debug)]
pub struct Frames<const N: usize> {
    bytes: [u8; N],
    /// Bytes of the frame that is being received.
    len: usize,
    /// The frame that is being received is longer than `N`: dropped up to its delimiter.
    too_long: bool,
}

impl<const N: usize> Frames<N> {
    /// Nothing received.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(MIN_FRAME <= N && N <= MAX_FRAME, "a frame limit is 32 to 1024 bytes") };
        Self { bytes: [0; N], len: 0, too_long: false }
    }

    /// Takes bytes from the front of `input` up to the end of the next frame that is whole and right, or all of them.
    /// The length of that frame's message, which [`Frames::message`] lends.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<usize> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if byte != 0 {
                match self.bytes.get_mut(self.len) {
                    // The last byte of the room is the delimiter's.
                    Some(place) if self.len + 1 < N => {
                        *place = byte;
                        self.len += 1;
                    }
                    _ => self.too_long = true,
                }
                continue;
            }
            let len = core::mem::take(&mut self.len);
            if !core::mem::take(&mut self.too_long)
                && let Some(message) = open(&mut self.bytes[..len])
            {
                return Some(message);
            }
        }
        None
    }

    /// The first `len` bytes of the message found last.
    #[must_use]
    pub fn message(&self, len: usize) -> &[u8] {
        &self.bytes[..len.min(N)]
    }

    /// Writes a frame over the message found last.
    pub(super) fn reply(&mut self, head: &impl Serialize) -> &[u8] {
        // No reply is longer than the shortest frame limit; a test holds them to it.
        seal(head, &[], &mut self.bytes).unwrap_or(&[])
    }
}

impl<const N: usize> Default for Frames<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Removes COBS and check in place; the message's length. An empty frame is none.
fn open(frame: &mut [u8]) -> Option<usize> {
    let len = cobs::decode_in_place(frame).ok()?;
    let (message, found) = frame.get(..len)?.split_last_chunk::<CHECK_LEN>()?;
    (check(&[message]) == u32::from_le_bytes(*found)).then_some(message.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head without bytes.
    const NO_HEAD: () = ();

    #[test]
    fn a_message_of_the_room_fits_and_one_more_byte_need_not() {
        for limit in MIN_FRAME..=MAX_FRAME {
            let room = message_room(limit);
            for filling in [0x00, 0x01, 0xff] {
                let mut out = vec![0; limit];
                let frame = seal(&NO_HEAD, &vec![filling; room], &mut out).expect("the room is enough");
                assert!(frame.len() <= limit && frame[frame.len() - 1] == 0, "{limit}");
            }
            let mut out = vec![0; limit];
            assert!(seal(&NO_HEAD, &vec![0; limit - CHECK_LEN - 1], &mut out).is_err(), "{limit}");
        }
        assert_eq!((message_room(32), message_room(51), message_room(250)), (26, 45, 244));
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut stream = vec![0, 0];
        let messages: Vec<Vec<u8>> = (0..=message_room(300)).map(|len| (0..len).map(|i| i as u8).collect()).collect();
        for message in &messages {
            let mut out = [0; 300];
            stream.extend_from_slice(seal(&NO_HEAD, message, &mut out).unwrap());
        }
        for cut in [1, 2, 7, 301, stream.len()] {
            let mut frames = Frames::<300>::new();
            let mut found = Vec::new();
            for mut piece in stream.chunks(cut) {
                while let Some(len) = frames.next(&mut piece) {
                    found.push(frames.message(len).to_vec());
                }
                assert!(piece.is_empty());
            }
            assert!(found == messages, "cut {cut}");
        }
    }

    #[test]
    fn what_is_too_long_or_damaged_is_dropped_and_what_follows_is_not() {
        let mut out = [0; 40];
        let good = seal(&NO_HEAD, b"good", &mut out).unwrap().to_vec();
        let mut long = [0; 64];
        let long = seal(&NO_HEAD, &[7; 40], &mut long).unwrap();
        let mut frames = Frames::<32>::new();
        for bit in 0..8 * (good.len() - 1) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let stream = [long, &bad, &good].concat();
            let mut input = &stream[..];
            assert_eq!(frames.next(&mut input), Some(4), "bit {bit}");
            assert_eq!((frames.message(4), input.len()), (&b"good"[..], 0));
        }
    }

    #[test]
    fn the_check_is_the_one_of_the_catalogue() {
        assert_eq!(check(&[b"1234", b"56789"]), 0xcbf4_3926);
    }
}
