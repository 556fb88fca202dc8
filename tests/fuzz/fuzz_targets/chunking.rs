//! One container, decoded at once and in pieces: the outcome must be the same, whether it is right or wrong.
//!
//! Input: number of cuts, the cuts, then a container against the image of `old`.
#![no_main]

use codec_core::Error;
use libfuzzer_sys::fuzz_target;
use tests::data::lines;
use tests::device::{End, feed, with_device};

use codec_core::limits::Profile;

/// Slot of the device, bytes.
const SLOT: usize = 4096;
/// Length of the old image, bytes.
const OLD_LEN: usize = 1000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&n, rest)) = bytes.split_first() else { return };
    let Some((cuts, container)) = rest.split_at_checked(usize::from(n)) else { return };
    let old = &lines(OLD_LEN)[..OLD_LEN];
    let decode = |mut cut: Box<dyn FnMut() -> (usize, usize) + Send>| {
        with_device(Profile::Tiny, old, |device| feed(device, container, SLOT, &mut cut, |_| true))
    };
    let whole = decode(Box::new(|| (usize::MAX, usize::MAX)));
    let list = cuts.to_vec();
    let mut at = 0;
    let pieces = decode(Box::new(move || {
        // A list that shows or lends nothing on its own would never end.
        let cut = list.get(at).map_or((1, 1), |&cut| (usize::from(cut & 15), usize::from(cut >> 4)));
        at = if at < list.len() { at + 1 } else { 0 };
        cut
    }));
    assert_eq!(ended(whole.end), ended(pieces.end));
    // An error in the middle may come before or after what is right has been handed out.
    let (short, long) = (whole.output.len().min(pieces.output.len()), &whole.output);
    assert!(long[..short] == pieces.output[..short]);
    if matches!(whole.end, End::Done { .. } | End::SlotFull) {
        assert!(whole.output == pieces.output);
    }
});

/// The end, without the amounts that depend on how far the input was looked at.
fn ended(end: End) -> End {
    match end {
        End::Refused(Error::Truncated { field, .. }) => End::Refused(Error::Truncated { field, need: 0, have: 0 }),
        other => other,
    }
}
