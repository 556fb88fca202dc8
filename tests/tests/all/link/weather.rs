//! A simulated radio that loses, doubles, reorders and damages.

use std::time::Duration;

use host_trainer::push::{PushError, Sender, Settings, Task, Update};
use proptest::prelude::*;
use tests::data::noise;
use tests::link::{Dice, Radio, Recorder, Weather, state};
use update_core::link::message::Kind;

use super::MANIFEST;

/// An update of `len` bytes, sent, installed, restarted into and confirmed through `weather`, by two senders.
fn through<const N: usize, const W: usize>(
    len: usize,
    rate: u32,
    weather: Weather,
    seed: u64,
    settings: Settings,
    cuts: Vec<u64>,
) -> Radio<N, W> {
    let payload = noise(len, seed);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let mut radio = Radio::<N, W>::new(Recorder::expecting(update), rate);
    radio.half_duplex = !settings.full_duplex;
    radio.cuts = cuts;
    let mut fate = weather.fate(Dice::new(seed));
    let key = noise(101, 1);
    let before = [Task::Query, Task::Rotate(&key), Task::Store(update), Task::Install, Task::Query, Task::Reboot];
    let mut sender = Sender::new(settings, &before, seed);
    match radio.run(&mut sender, &mut fate) {
        Ok(()) => assert!(matches!(sender.infos().last().unwrap().state, state::INSTALLED | state::TRIAL)),
        // Installed, cut off before the answer, and started anew.
        Err(PushError::Refused(refusal)) if refusal.kind == Kind::Install && radio.cut > 0 => {}
        Err(error) => panic!("{error}: {sender:?}"),
    }
    let after = [Task::Query, Task::Confirm, Task::Query];
    let mut sender = Sender::new(settings, &after, seed + 1);
    radio.run(&mut sender, &mut fate).unwrap_or_else(|error| panic!("{error}: {sender:?}"));

    assert_eq!(radio.target.stored, payload);
    assert_eq!(radio.target.received, len as u64, "bytes were stored twice");
    let [_, installed, confirmed, restarted] = radio.target.counts;
    assert_eq!((installed, confirmed), (1, 1));
    // A device that was cut off after installing need not be restarted. One that is told to in its trial, and comes up
    // with the same seed, does it again when greeting and request come once more.
    assert!(restarted == 1 || radio.cut > 0, "{restarted} restarts");
    assert_eq!((radio.target.info.version, radio.target.info.state), (2, state::IDLE));
    radio
}

fn lossy(percent: u32) -> Weather {
    Weather { lost: 10 * percent, ..Weather::default() }
}

#[test]
fn an_update_gets_through_loss_whole() {
    println!("frame  loss  payload  air bytes  overhead  seconds at 5470 bit/s");
    let settings = Settings::default();
    for len in [2639, 20_000] {
        for percent in [0, 1, 20] {
            for (frame, radio) in [
                (51, sums(&through::<51, 7>(len, 5470, lossy(percent), 1, settings, vec![]))),
                (250, sums(&through::<250, 7>(len, 5470, lossy(percent), 1, settings, vec![]))),
            ] {
                let (bytes, seconds) = radio;
                let overhead = 100.0 * bytes as f64 / (len + 132) as f64 - 100.0;
                println!("{frame:5}  {percent:3} %  {len:7}  {bytes:9}  {overhead:6.1} %  {seconds:8.1}");
                let most = [50.0, 55.0, 130.0][[0, 1, 20].iter().position(|&p| p == percent).unwrap()];
                assert!(overhead < most, "{overhead} % on top");
            }
        }
    }
}

fn sums<const N: usize, const W: usize>(radio: &Radio<N, W>) -> (u64, f64) {
    (radio.sent[0].0 + radio.sent[1].0, radio.now.as_secs_f64())
}

#[test]
fn a_clean_link_sends_nothing_twice_at_any_rate() {
    for rate in [250, 1200, 5470, 50_000, 1_000_000] {
        for full_duplex in [false, true] {
            let payload = noise(3000, 5);
            let update = Update { manifest: &MANIFEST, payload: &payload };
            let mut radio = Radio::<51, 4>::new(Recorder::expecting(update), rate);
            radio.half_duplex = !full_duplex;
            radio.delay = Duration::from_millis(30);
            let tasks = [Task::Query, Task::Store(update), Task::Install, Task::Reboot];
            let mut sender = Sender::new(Settings { full_duplex, ..Settings::default() }, &tasks, 1);
            radio.run(&mut sender, &mut |frame| vec![(Duration::ZERO, frame.to_vec())]).unwrap();
            assert_eq!(sender.traffic().frames_again, 0, "{rate} bit/s, full duplex: {full_duplex}");
        }
    }
}

#[test]
fn a_restart_in_the_middle_does_not_start_again() {
    // In the middle of the payload, twice, at the smallest frames.
    let radio = through::<32, 3>(4000, 5470, lossy(1), 3, Settings::default(), vec![60, 150]);
    assert!(radio.target.counts[0] >= 3, "offered {} times", radio.target.counts[0]);
    // `through` checks that no byte was stored twice.
}

#[test]
fn a_silent_device_is_given_up_after_a_bounded_number_of_tries() {
    let mut radio = Radio::<51, 4>::new(Recorder::new(), 5470);
    let tasks = [Task::Query];
    let mut sender = Sender::new(Settings::default(), &tasks, 1);
    let error = radio.run(&mut sender, &mut |_| Vec::new()).unwrap_err();
    let PushError::Silent { tries, waited, .. } = error else { panic!("{error}") };
    assert!((12..=40).contains(&tries) && waited < Duration::from_secs(90), "{tries} tries in {waited:?}");
    assert_eq!(radio.sent[0].1, u64::from(tries));
}

#[test]
fn a_refusal_reaches_the_sender() {
    let payload = [1; 100];
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let mut target = Recorder::expecting(update);
    target.trouble = Some(update_core::Error::Downgrade { least: 4, found: 2 });
    let mut radio = Radio::<51, 4>::new(target, 5470);
    let tasks = [Task::Query, Task::Store(update)];
    let mut sender = Sender::new(Settings::default(), &tasks, 1);
    let error = radio.run(&mut sender, &mut |frame| vec![(Duration::ZERO, frame.to_vec())]).unwrap_err();
    let PushError::Refused(refusal) = error else { panic!("{error}") };
    assert_eq!((refusal.kind, refusal.code, refusal.values), (Kind::Offer, 7, (2, 4)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_the_weather_the_payload_is_right(
        len in 0..6000usize,
        seed: u32,
        lost in 0..250u32,
        doubled in 0..300u32,
        late in 0..300u32,
        damaged in 0..100u32,
        full_duplex: bool,
        shape in 0..4u8,
        frame in 32..=250u16,
        window in 1..=33u8,
        cuts in prop::collection::vec(1..200u64, 0..3),
    ) {
        let weather = Weather { lost, doubled, late, damaged };
        let settings = Settings { full_duplex, frame, window, tries: 40, ..Settings::default() };
        let mut cuts = cuts;
        cuts.sort_unstable();
        let seed = u64::from(seed);
        match shape {
            0 => drop(through::<51, 4>(len, 5470, weather, seed, settings, cuts)),
            1 => drop(through::<32, 0>(len / 4, 1200, weather, seed, settings, cuts)),
            2 => drop(through::<64, 32>(len, 50_000, weather, seed, settings, cuts)),
            _ => drop(through::<1024, 3>(len, 1_000_000, weather, seed, settings, cuts)),
        }
    }
}
