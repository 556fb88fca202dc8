//! Decompressing version 1 payloads: zstd frames, and zlib streams where a writer used them.
//!
//! Everything lives in memory that the caller lends: [`Workspace`] and the output. There is no allocation: zstd runs
//! as a static context, and one-shot decoding uses the output itself as its window. Lengths that a frame
//! declares are checked before anything is decoded.
//!
//! ```
//! use codec_core::container::zstd::{decompress, Workspace};
//!
//! // A zlib stream with one stored block.
//! let payload = [0x78, 0x01, 0x01, 3, 0, 0xFC, 0xFF, b'a', b'b', b'c', 0x02, 0x4D, 0x01, 0x27];
//! let mut workspace = Box::new(Workspace::new());
//! let mut output = [0; 8];
//! let len = decompress(&payload, &mut workspace, &mut output)?;
//! assert_eq!(&output[..len], b"abc");
//! # Ok::<(), codec_core::Error>(())
//! ```

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress as inflate};
use zstd_safe::zstd_sys;

use crate::Error;

/// Bytes that the zstd context gets. The tests compare with what the library asks for.
pub const CONTEXT_BYTES: usize = 96 << 10;

/// Largest window in bytes of a frame that is not a single segment: what level 19 uses at most. The window needs no
/// memory of its own; the limit refuses frames that other decoders could not read.
pub const MAX_WINDOW: u64 = 8 << 20;

/// Scratch memory of [`decompress`]: about 107 KiB, for one payload after the other.
pub struct Workspace {
    /// zstd wants 8-byte alignment.
    context: [u64; CONTEXT_BYTES / size_of::<u64>()],
    /// Made when the first zlib stream comes.
    inflate: Option<DecompressorOxide>,
}

impl Workspace {
    /// Fit for a `static`.
    pub const fn new() -> Self {
        Self { context: [0; CONTEXT_BYTES / size_of::<u64>()], inflate: None }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

/// Decompresses one layer's payload into `output` and returns the number of bytes written. The payload is a zlib
/// stream if it starts like one (0x78, a header checksum that holds, no preset dictionary), else one zstd frame.
/// After an error the content of `output` is unspecified.
///
/// # Errors
/// - [`Error::Unknown`] (`compressed_data`, the first four bytes) when it is neither;
/// - [`Error::Truncated`] when it ends inside a frame header;
/// - [`Error::OverBudget`] for a `content_size` above `output.len()`, which is then `limit` (a payload that does not
///   declare its size is decoded until the output is full), or a `window_size` above [`MAX_WINDOW`];
/// - [`Error::Unknown`] (`dictionary_id`) when a frame wants a dictionary;
/// - [`Error::Corrupt`] (`compressed_data`) for anything else, bytes after the end among it.
pub fn decompress(payload: &[u8], workspace: &mut Workspace, output: &mut [u8]) -> Result<usize, Error> {
    if is_zlib(payload) {
        return decompress_zlib(payload, workspace, output);
    }
    let header = FrameHeader::read(payload)?;
    if let Some(content_size) = header.content_size {
        budget("content_size", content_size, output.len() as u64)?;
    }
    budget("window_size", header.window_size.unwrap_or(0), MAX_WINDOW)?;
    if header.dictionary_id != 0 {
        return Err(Error::Unknown { field: "dictionary_id", found: header.dictionary_id });
    }
    // One frame, whole, and nothing after it.
    if zstd_safe::find_frame_compressed_size(payload) != Ok(payload.len()) {
        return Err(CORRUPT);
    }
    decompress_frame(payload, &mut workspace.context, output)
}

const CORRUPT: Error = Error::Corrupt { field: "compressed_data" };

fn budget(field: &'static str, requested: u64, limit: u64) -> Result<(), Error> {
    if requested > limit {
        return Err(Error::OverBudget { field, requested, limit });
    }
    Ok(())
}

/// For a payload that does not say how much it holds: one byte more than there is room, at least.
fn output_is_full(output: &[u8]) -> Error {
    let limit = output.len() as u64;
    Error::OverBudget { field: "content_size", requested: limit + 1, limit }
}

fn decompress_frame(payload: &[u8], context: &mut [u64], output: &mut [u8]) -> Result<usize, Error> {
    const TOO_SMALL: usize = (zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg();

    let have = size_of_val(context);
    // SAFETY: the context is 8-byte aligned, exclusively borrowed, and outlives its last use below. A null pointer
    // (too small) is refused before it is used. zstd reads `payload` and writes `output` within the lengths given,
    // and a static context never calls an allocator.
    #[allow(unsafe_code)] // zstd-safe makes contexts only on the heap
    let code = unsafe {
        let dctx = zstd_sys::ZSTD_initStaticDCtx(context.as_mut_ptr().cast(), have);
        if dctx.is_null() {
            let need = zstd_sys::ZSTD_estimateDCtxSize() as u64;
            return Err(Error::BufferTooSmall { field: "workspace", need, have: have as u64 });
        }
        zstd_sys::ZSTD_decompressDCtx(
            dctx,
            output.as_mut_ptr().cast(),
            output.len(),
            payload.as_ptr().cast(),
            payload.len(),
        )
    };
    match code {
        TOO_SMALL => Err(output_is_full(output)),
        len if len <= output.len() => Ok(len), // error codes are the largest integers
        _ => Err(CORRUPT),
    }
}

/// RFC 1950: deflate with a 32 KiB window, and the two header bytes are a multiple of 31.
fn is_zlib(payload: &[u8]) -> bool {
    const DEFLATE_32K: u8 = 0x78;
    const PRESET_DICTIONARY: u8 = 0x20;
    matches!(payload, [DEFLATE_32K, flags, ..]
        if u16::from_be_bytes([DEFLATE_32K, *flags]).is_multiple_of(31) && flags & PRESET_DICTIONARY == 0)
}

fn decompress_zlib(payload: &[u8], workspace: &mut Workspace, output: &mut [u8]) -> Result<usize, Error> {
    const FLAGS: u32 = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let state = workspace.inflate.get_or_insert_with(DecompressorOxide::new);
    state.init();
    match inflate(state, payload, output, 0, FLAGS) {
        (TINFLStatus::Done, consumed, written) if consumed == payload.len() => Ok(written),
        (TINFLStatus::HasMoreOutput, ..) => Err(output_is_full(output)),
        _ => Err(CORRUPT),
    }
}

/// What stands before a frame's blocks: RFC 8878, section 3.1.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHeader {
    /// Bytes; `None` for a single segment, whose window is its content.
    window_size: Option<u64>,
    /// 0: none.
    dictionary_id: u64,
    /// Bytes, when declared.
    content_size: Option<u64>,
}

impl FrameHeader {
    fn read(payload: &[u8]) -> Result<Self, Error> {
        const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
        const SINGLE_SEGMENT: u8 = 1 << 5;
        const RESERVED: u8 = 1 << 3;

        let mut rest = payload;
        let mut number = |field, len: usize| -> Result<u64, Error> {
            let truncated = Error::Truncated { field, need: len as u64, have: rest.len() as u64 };
            let (bytes, after) = rest.split_at_checked(len).ok_or(truncated)?;
            rest = after;
            Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
        };
        let found = number("compressed_data", MAGIC.len())?;
        if found != u64::from(u32::from_le_bytes(MAGIC)) {
            return Err(Error::Unknown { field: "compressed_data", found });
        }
        let descriptor = number("frame_header_descriptor", 1)? as u8;
        if descriptor & RESERVED != 0 {
            return Err(CORRUPT);
        }
        let single_segment = descriptor & SINGLE_SEGMENT != 0;
        let window_size = if single_segment {
            None
        } else {
            let window = number("window_descriptor", 1)?;
            let base = 1024u64 << (window >> 3); // at most 2^41
            Some(base + base / 8 * (window & 7))
        };
        let dictionary_id = number("dictionary_id", [0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let content_size = match descriptor >> 6 {
            0 if !single_segment => None,
            0 => Some(number("content_size", 1)?),
            1 => Some(number("content_size", 2)? + 256),
            2 => Some(number("content_size", 4)?),
            _ => Some(number("content_size", 8)?),
        };
        Ok(Self { window_size, dictionary_id, content_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: i32 = 19;

    fn workspace() -> Box<Workspace> {
        Box::default()
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; zstd_safe::compress_bound(content.len())];
        let len = zstd_safe::compress(&mut buffer[..], content, LEVEL).unwrap();
        buffer.truncate(len);
        buffer
    }

    /// Some bytes that compress, and some that do not.
    fn content(len: usize) -> Vec<u8> {
        let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761).rotate_left(i as u32 % 32) as u8;
        (0..len).map(|i| if i % 300 < 200 { (i / 7) as u8 } else { noise(i) }).collect()
    }

    fn adler32(content: &[u8]) -> u32 {
        let (a, b) = content.iter().fold((1u32, 0u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65521;
            (a, (a + b) % 65521)
        });
        b << 16 | a
    }

    /// A zlib stream of one stored block.
    fn zlib(content: &[u8]) -> Vec<u8> {
        let len = content.len() as u16;
        let mut stream = vec![0x78, 0xDA, 1];
        stream.extend(len.to_le_bytes());
        stream.extend((!len).to_le_bytes());
        stream.extend(content);
        stream.extend(adler32(content).to_be_bytes());
        stream
    }

    #[test]
    fn the_context_fits() {
        #[allow(unsafe_code)] // a pure function of the library
        let need = unsafe { zstd_sys::ZSTD_estimateDCtxSize() };
        assert!(need <= CONTEXT_BYTES, "zstd wants {need} bytes");
        let mut output = [0; 8];
        let error = decompress_frame(&frame(b"abc"), &mut [0; 100], &mut output);
        assert_eq!(error, Err(Error::BufferTooSmall { field: "workspace", need: need as u64, have: 800 }));
    }

    #[test]
    fn frames_of_all_sizes() {
        let mut workspace = workspace();
        for len in [0, 1, 100, 255, 256, 257, 5_000, 65_535, 65_536 + 256, 300_000] {
            let content = content(len);
            let payload = frame(&content);
            let mut output = vec![0xA5; len];
            assert_eq!(decompress(&payload, &mut workspace, &mut output), Ok(len));
            assert_eq!(output, content);
            if len > 0 {
                let error = Error::OverBudget { field: "content_size", requested: len as u64, limit: len as u64 - 1 };
                assert_eq!(decompress(&payload, &mut workspace, &mut output[1..]), Err(error));
            }
        }
    }

    #[test]
    fn frames_that_hide_their_size() {
        let content = content(4_000);
        let mut context = zstd_safe::CCtx::create();
        context.set_parameter(zstd_safe::CParameter::CompressionLevel(LEVEL)).unwrap();
        context.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
        context.set_parameter(zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
        let mut payload = vec![0; 8_000];
        let len = context.compress2(&mut payload[..], &content).unwrap();
        payload.truncate(len);
        assert_eq!(FrameHeader::read(&payload).unwrap().content_size, None);

        let (mut workspace, mut output) = (workspace(), vec![0; content.len()]);
        assert_eq!(decompress(&payload, &mut workspace, &mut output), Ok(content.len()));
        assert_eq!(output, content);
        let error = Error::OverBudget { field: "content_size", requested: 4_000, limit: 3_999 };
        assert_eq!(decompress(&payload, &mut workspace, &mut output[1..]), Err(error));
        payload[len - 1] ^= 1; // the checksum
        assert_eq!(decompress(&payload, &mut workspace, &mut output), Err(CORRUPT));
    }

    #[test]
    fn zlib_streams() {
        let mut workspace = workspace();
        for len in [0, 1, 1_000, 65_535] {
            let content = content(len);
            let payload = zlib(&content);
            let mut output = vec![0xA5; len];
            assert_eq!(decompress(&payload, &mut workspace, &mut output), Ok(len));
            assert_eq!(output, content);
            if len > 0 {
                let (limit, requested) = (len as u64 - 1, len as u64);
                let error = Error::OverBudget { field: "content_size", requested, limit };
                assert_eq!(decompress(&payload, &mut workspace, &mut output[1..]), Err(error));
            }
        }
    }

    /// What zlib 1.2.13 writes at level 9 (dynamic Huffman codes) for the squares below, each followed by a comma.
    #[test]
    fn a_stream_of_zlib_itself() {
        let hex = concat!(
            "78da158dc111c03008c316f223a60e09fb2f56e5e50384bc644523b76aeb6b65d4d1b5bc965c64c2156240606a",
            "9377f455e0f9864bc81bed1aedd36ab8260ff3617fb90fdcf4f3f2e885c146e5e77421f7f75af2ea36bd3f0e0a",
            "1e05",
        );
        let payload: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let content: String = (0..40).map(|i| format!("{},", i * i)).collect();
        let mut output = vec![0; content.len()];
        assert_eq!(decompress(&payload, &mut workspace(), &mut output), Ok(content.len()));
        assert_eq!(output, content.as_bytes());
    }

    #[test]
    fn payloads_that_are_neither() {
        let (mut workspace, mut output) = (workspace(), [0; 64]);
        let mut refused = |payload: &[u8]| decompress(payload, &mut workspace, &mut output).unwrap_err();
        let truncated = Error::Truncated { field: "compressed_data", need: 4, have: 0 };
        assert_eq!(refused(&[]), truncated);
        assert_eq!(refused(b"PK\x03\x04"), Error::Unknown { field: "compressed_data", found: 0x0403_4B50 });
        assert!(matches!(refused(&[0x78, 0x02, 0, 0]), Error::Unknown { .. })); // header checksum
        assert!(matches!(refused(&[0x78, 0xBB, 0, 0]), Error::Unknown { .. })); // preset dictionary
        assert!(matches!(refused(&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]), Error::Unknown { .. })); // skippable
    }

    #[test]
    fn frames_that_ask_for_too_much() {
        let (mut workspace, mut output) = (workspace(), [0; 64]);
        let mut refused = |header: &[u8]| {
            let payload = [&[0x28, 0xB5, 0x2F, 0xFD], header, &[1, 0, 0]].concat();
            decompress(&payload, &mut workspace, &mut output).unwrap_err()
        };
        let window = Error::OverBudget { field: "window_size", requested: 9 << 20, limit: MAX_WINDOW };
        assert_eq!(refused(&[0x00, 13 << 3 | 1]), window);
        let largest = Error::OverBudget { field: "window_size", requested: 15 << 38, limit: MAX_WINDOW };
        assert_eq!(refused(&[0x00, 0xFF]), largest);
        let size = Error::OverBudget { field: "content_size", requested: u64::MAX, limit: 64 };
        assert_eq!(refused(&[0xE0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), size);
        assert_eq!(refused(&[0x21, 7, 0]), Error::Unknown { field: "dictionary_id", found: 7 });
        assert_eq!(refused(&[0x28, 0]), CORRUPT); // reserved bit
    }

    /// No panic, no wrong length: what goes wrong is an error, or (a flip in a literal) other content.
    #[test]
    fn damaged_payloads() {
        let content = content(700);
        let (mut workspace, mut output) = (workspace(), vec![0; content.len()]);
        for payload in [frame(&content), zlib(&content)] {
            for end in 0..payload.len() {
                assert!(decompress(&payload[..end], &mut workspace, &mut output).is_err(), "cut at {end}");
            }
            let longer = [&payload[..], &payload[..]].concat();
            assert_eq!(decompress(&longer, &mut workspace, &mut output), Err(CORRUPT));
            for bit in 0..payload.len() * 8 {
                let mut flipped = payload.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(len) = decompress(&flipped, &mut workspace, &mut output) {
                    assert!(len <= content.len());
                }
            }
            assert_eq!(decompress(&payload, &mut workspace, &mut output), Ok(content.len()));
            assert_eq!(output, content);
        }
    }
}
