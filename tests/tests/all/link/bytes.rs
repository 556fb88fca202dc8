//! Frames and messages, byte for byte.

use codec_core::varint;
use postcard::to_slice;
use update_core::Error;
use update_core::link::frame::{MIN_FRAME, message_room, seal};
use update_core::link::message::{Kind, Part, Refusal, Reply, Request};
use update_core::link::{Info, Link, max_chunk};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SESSION: u16 = 0xbeef;
const PART: Part = Part { at: 9, ask: true, nonce: 0 };
const INFO: Info = Info { product: 7, version: 0x0102, state: 3, profile: 1, image: *b"imag", received: 1000 };

#[test]
fn requests_are_these_bytes() {
    let session = SESSION;
    let cases = [
        (Request::Hello { nonce: 0x1234_5678 }, "0078563412"),
        (Request::Query { session, token: 8 }, "01efbe08"),
        (Request::Offer { session, chunk: 41, part: PART }, "02efbe290901"),
        (Request::Offer { session, chunk: 240, part: Part { at: 0, ask: false, nonce: 0x7f } }, "02efbef00100fe"),
        (Request::Data { session, number: 127 }, "03efbe7f"),
        (Request::DataAsk { session, number: 128 }, "04efbe8001"),
        (Request::Install { session }, "05efbe"),
        (Request::Confirm { session }, "06efbe"),
        (Request::Rotate { session, len: 101, part: PART }, "07efbe650901"),
        (Request::Reboot { session }, "08efbe"),
    ];
    for (request, expected) in cases {
        let mut buffer = [0; 16];
        assert_eq!(hex(to_slice(&request, &mut buffer).unwrap()), expected, "{request:?}");
        assert_eq!(request.kind() as usize, usize::from_str_radix(&expected[..2], 16).unwrap());
    }
}

#[test]
fn replies_are_these_bytes() {
    let session = SESSION;
    let refusal = Refusal::new(Kind::Offer, &Error::Downgrade { least: 5, found: 300 });
    let cases = [
        (Reply::Welcome { nonce: 1, session, protocol: 1, frame: 51, window: 5 }, "0001000000efbe013305"),
        (Reply::Info { session, token: 8, info: INFO }, "01efbe0807000000020100000301696d6167e8030000"),
        (Reply::Have { session, kind: Kind::Rotate, words: 0x1ff }, "02efbe07ff03"),
        (Reply::Accepted { session, start: 0 }, "03efbe00"),
        (Reply::Ack { session, next: 70, kept: 0b101 }, "04efbe4605"),
        (Reply::Done { session, kind: Kind::Install }, "05efbe05"),
        (Reply::Refused { session, refusal }, "06efbe0207ac0205"),
        (Reply::NoSession { session, kind: Kind::Install }, "07efbe05"),
    ];
    for (reply, expected) in cases {
        assert_eq!(hex(to_slice(&reply, &mut [0; 32]).unwrap()), expected, "{reply:?}");
    }
}

#[test]
fn frames_are_these_bytes() {
    // Message 03 02 01 03 | 00 ff, CRC-32 as zlib computes it, COBS, delimiter.
    let data = Request::Data { session: 0x0102, number: 3 };
    assert_eq!(hex(seal(&data, &[0x00, 0xff], &mut [0; 32]).unwrap()), "050302010306ffdcb66eda00");
    let hello = Request::Hello { nonce: 0x0403_0201 };
    assert_eq!(hex(seal(&hello, &[], &mut [0; 32]).unwrap()), "010901020304ccd35a5100");
}

#[test]
fn no_reply_is_longer_than_the_shortest_limit() {
    let session = u16::MAX;
    let most =
        Info { product: u32::MAX, version: u32::MAX, state: 255, profile: 255, image: [255; 4], received: u32::MAX };
    let refusal = Refusal { kind: Kind::Reboot, code: 255, values: (u32::MAX, u32::MAX) };
    let replies = [
        Reply::Welcome { nonce: u32::MAX, session, protocol: 255, frame: u16::MAX, window: 255 },
        Reply::Info { session, token: 255, info: most },
        Reply::Have { session, kind: Kind::Reboot, words: u64::MAX },
        Reply::Accepted { session, start: u32::MAX },
        Reply::Ack { session, next: u32::MAX, kept: u32::MAX },
        Reply::Done { session, kind: Kind::Reboot },
        Reply::Refused { session, refusal },
        Reply::NoSession { session, kind: Kind::Install },
    ];
    let longest = replies.map(|reply| seal(&reply, &[], &mut [0; 64]).unwrap().len()).into_iter().max();
    assert_eq!(longest, Some(28));
    assert!(longest <= Some(MIN_FRAME));
}

#[test]
fn refusals_say_what_the_error_said() {
    let errors = [
        Error::BadSignature { key: 1 },
        Error::NoKey { key: 0 },
        Error::WrongProduct { expected: 1, found: 2 },
        Error::Downgrade { least: 9, found: 8 },
        Error::WrongState { state: 4 },
        Error::Gap { found: 10, expected: 5 },
        Error::NothingToBoot,
    ];
    for error in errors {
        let refusal = Refusal::new(Kind::Install, &error);
        assert_eq!((refusal.error(), refusal.to_string()), (Some(error), error.to_string()));
    }
    // Whose names are lost: still the same number and values.
    let named = [
        Error::NoRoom { region: "download", requested: 10, limit: 9 },
        Error::DigestMismatch { field: "image" },
        Error::Malformed(codec_core::Error::Finished),
    ];
    for error in named {
        let back = Refusal::new(Kind::Install, &error).error().unwrap();
        assert_eq!((back.code(), back.values()), (error.code(), error.values()));
    }
    let flash = Error::Flash { operation: update_core::flash::Operation::Erase, offset: 4096, len: 256 };
    assert_eq!(Refusal::new(Kind::Offer, &flash).to_string(), "the flash failed at 4096, 256 bytes");
    assert_eq!(Refusal { kind: Kind::Offer, code: 99, values: (1, 2) }.to_string(), "reason 99, values 1 and 2");
}

#[test]
fn the_link_is_small() {
    let sizes =
        [size_of::<Link<32, 0>>(), size_of::<Link<51, 4>>(), size_of::<Link<64, 4>>(), size_of::<Link<250, 7>>()];
    println!(
        "bytes of RAM: 32 and 0: {}, 51 and 4: {}, 64 and 4: {}, 250 and 7: {}",
        sizes[0], sizes[1], sizes[2], sizes[3]
    );
    assert!(sizes[2] < 640, "{sizes:?}");
    assert!(sizes[3] < 2400, "{sizes:?}");
}

#[test]
fn lengths_are_what_they_are_said_to_be() {
    assert_eq!([32, 51, 64, 242, 250].map(message_room), [26, 45, 58, 236, 244]);
    assert_eq!(max_chunk(51), 41);
    for (value, len) in [(0, 1), (127, 1), (128, 2), (16383, 2), (16384, 3), (u32::MAX, 5)] {
        assert_eq!((varint::len(value), to_slice(&value, &mut [0; 8]).unwrap().len()), (len, len));
    }
}
