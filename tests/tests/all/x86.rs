//! Code for x86-64, which only gateways and hosts know.

use codec_core::predict::prior::PRIOR;
use host_trainer::codec::{Format, Profile, compress, inspect};
use host_trainer::fit::encode::{Job, encode, with_big_stack};
use host_trainer::fit::search::{LEAST_MAPPED, alignments};
use tests::data::{options, read};
use tests::device::decode;

/// The instruction set that the update of the library names for readers of `profile`, and the update.
fn update(old: &[u8], new: &[u8], profile: Profile) -> (String, Vec<u8>) {
    let made = compress(new, Some(old), &options(profile, Format::V2)).unwrap().bytes;
    let outcome = decode(profile, old, &made, new.len());
    assert_eq!(outcome.accepted(), Some(new), "{:?}", outcome.end);
    (inspect(&made, Some(old), None).unwrap().isa.unwrap(), made)
}

#[test]
fn a_shared_library_is_relocated_for_hosts_and_for_nobody_else() {
    let (old, new) = (read("x86-64/v1.so"), read("x86-64/v2.so"));
    for profile in [Profile::Tiny, Profile::Small, Profile::Medium] {
        let (isa, _) = update(&old, &new, profile);
        assert!(!isa.contains("x86"), "{isa} in profile {}", profile.name());
    }
    let (isa, made) = update(&old, &new, Profile::Host);
    assert!(isa.contains("x86-64"), "{isa}");

    // What the sets for devices make of it, with all that a host has.
    let job = Job { new: &new, old: Some(&old), profile: Profile::Host, prior: PRIOR, base: None };
    let most = Profile::Host.parameters().segments as usize;
    let without = alignments(&old, &new, Profile::Small)
        .into_iter()
        .map(|found| found.split(most, LEAST_MAPPED))
        .map(|found| with_big_stack(|| encode(&job, &found, true)).unwrap().bytes.len());
    let without = without.min().unwrap();
    assert!(made.len() * 5 < without * 4, "{} bytes, {without} without it", made.len());
    println!("{isa}: {} bytes, {without} without it", made.len());
}
