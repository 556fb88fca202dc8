//! How input and output are cut into pieces never changes the result. `feed` itself checks that nothing beyond what
//! was written is touched, and fills the output with something else each time.

use codec_core::container::v2::{Header, MAGIC};
use host_trainer::codec::{Format, Profile, compress};
use proptest::collection::vec;
use proptest::prelude::*;
use tests::craft;
use tests::data::{lines, noise, options, pair_named};
use tests::device::{Cut, End, feed, with_device};

/// An update, and what it must give.
struct Update {
    profile: Profile,
    old: Vec<u8>,
    new: Vec<u8>,
    container: Vec<u8>,
}

impl Update {
    fn new(profile: Profile, old: Option<&[u8]>, new: Vec<u8>) -> Self {
        let container = compress(&new, old, &options(profile, Format::V2)).unwrap().bytes;
        Self { profile, old: old.unwrap_or(&[]).to_vec(), new, container }
    }

    fn bundled(name: &str, profile: Profile) -> Self {
        let pair = pair_named(name);
        let container = pair.container(profile).to_vec();
        Self { profile, old: pair.old().to_vec(), new: pair.new.clone(), container }
    }

    /// Must come out right when `cuts` say, call by call, what is shown and lent; what comes after is not cut.
    fn check(&self, cuts: impl IntoIterator<Item = Cut> + Send) {
        let everything = (usize::MAX, usize::MAX);
        let outcome = with_device(self.profile, &self.old, |device| {
            let mut cuts = cuts.into_iter();
            feed(device, &self.container, self.new.len(), || cuts.next().unwrap_or(everything), |_| true)
        });
        assert_eq!(outcome.end, End::Done { left: 0 });
        assert!(outcome.output == self.new, "other bytes");
    }
}

/// A delta, a whole file and a stored one, each of less than two hundred bytes.
fn small_updates() -> [Update; 3] {
    let old = lines(160);
    let mut new = old.clone();
    new.splice(60..70, *b"something else");
    new[150] ^= 1;
    [
        Update::new(Profile::Tiny, Some(&old), new),
        Update::new(Profile::Small, None, lines(120)),
        Update::new(Profile::Tiny, None, noise(60, 1)),
    ]
}

#[test]
fn every_split_of_input_and_output_of_small_containers() {
    for update in small_updates() {
        for shown in 0..=update.container.len() {
            for lent in 0..=update.new.len() {
                update.check([(shown, lent)]);
            }
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    for update in small_updates() {
        let (input, output) = (update.container.len(), update.new.len());
        update.check(std::iter::repeat_n((1, usize::MAX), 2 * input));
        update.check(std::iter::repeat_n((usize::MAX, 1), 2 * output));
        update.check(std::iter::repeat_n((1, 1), 2 * (input + output)));
        // Calls that show and lend nothing change nothing.
        update.check([(0, 0), (1, 0), (0, 1), (0, 0)].into_iter().cycle().take(4 * (input + output)));
    }
}

#[test]
fn every_split_of_a_delta_of_text() {
    let update = Update::bundled("txt-cp-neopixel", Profile::Small);
    for shown in 0..=update.container.len() {
        update.check([(shown, usize::MAX)]);
    }
    for lent in (0..=update.new.len()).step_by(7).chain(update.new.len() - 8..=update.new.len()) {
        update.check([(usize::MAX, lent)]);
    }
}

/// The error too is the same, in its fields and all.
#[test]
fn refusals_do_not_depend_on_the_cuts() {
    let update = Update::bundled("txt-cp-neopixel", Profile::Small);
    let (header, header_len) = Header::parse(&update.container).unwrap();
    let payload = &update.container[header_len..];
    let with = |header: Header, payload: &[u8]| craft::container(header, payload);
    let mut other_digest = header;
    other_digest.digest.0[0] ^= 1;
    let zero_behind = [payload, &[0]].concat();
    let last = |mask: u8| [&payload[..payload.len() - 1], &[payload[payload.len() - 1] ^ mask]].concat();
    let no_isa = craft::payload(|coder| craft::head(coder, 31, 0));
    let cases: [(&[u8], Vec<u8>); 9] = [
        (&update.old, b"PK\x03\x04 no GMCF file".to_vec()),
        (&update.old, [&[MAGIC, 0xff][..], payload].concat()),
        (&[], update.container.clone()),
        (&update.new, update.container.clone()),
        (&update.old, with(other_digest, payload)),
        (&update.old, with(header, &zero_behind)),
        (&update.old, with(header, &last(1))),
        (&update.old, with(header, &last(0x80))),
        (&update.old, with(header, &[&no_isa[..], &[0]].concat())),
    ];
    for (i, (old, container)) in cases.iter().enumerate() {
        let refusal = |cut: Cut| {
            let slot = update.new.len();
            with_device(update.profile, old, |device| feed(device, container, slot, || cut, |_| true)).refusal()
        };
        let whole = refusal((usize::MAX, usize::MAX));
        for cut in [(1, 1), (1, usize::MAX), (usize::MAX, 1), (7, 3), (200, 100)] {
            assert_eq!(refusal(cut), whole, "case {i}, {cut:?}");
        }
    }
}

/// Small numbers and large ones, so that pieces are crossed in every way.
fn cut() -> impl Strategy<Value = Cut> {
    let size = || prop_oneof![0..4usize, 0..40usize, 0..400usize, Just(usize::MAX)];
    (size(), size())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_cuts_of_firmware(cuts in vec(cut(), 1..200), which in 0..3usize) {
        let name = ["fw-espboot-c3 2.1.0", "fw-espboot-c3 3.3.0", "fw-nodepixel"][which];
        let profile = [Profile::Small, Profile::Medium, Profile::Tiny][which];
        let update = Update::bundled(name, profile);
        let calls = 8 * update.new.len();
        // A list that shows or lends nothing on its own would never end.
        let cuts = cuts.into_iter().chain([(1, 1)]).collect::<Vec<_>>();
        update.check(cuts.into_iter().cycle().take(calls));
    }
}
