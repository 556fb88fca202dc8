//! What the report says an update costs, against the simulated radio.

use std::time::Duration;

use host_trainer::push::{Sender, Settings, Task, Update};
use host_trainer::report::link::{FRAMES, WINDOW, cost, costs, table};
use tests::data::noise;
use tests::link::{Dice, Radio, Recorder, Weather};

use super::MANIFEST;

const W: usize = WINDOW as usize - 1;

/// Mean bytes and frames of host and device over `runs` simulated updates of `len` bytes.
fn measured<const N: usize>(len: usize, loss: f64, runs: u64) -> [f64; 4] {
    let payload = noise(len, 3);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let mut sums = [0.0; 4];
    for run in 0..runs {
        let mut radio = Radio::<N, W>::new(Recorder::expecting(update), 5470);
        let weather = Weather { lost: (1000.0 * loss).round() as u32, ..Weather::default() };
        let mut fate = weather.fate(Dice::new(run + 1));
        let before = [Task::Query, Task::Store(update), Task::Install, Task::Query, Task::Reboot];
        for (tasks, seed) in [(&before[..], 2 * run), (&[Task::Query], 2 * run + 1)] {
            let mut sender = Sender::new(Settings { tries: 40, ..Settings::default() }, tasks, seed);
            radio.run(&mut sender, &mut fate).unwrap_or_else(|error| panic!("{error}"));
        }
        let [(host, out), (device, back)] = radio.sent;
        for (sum, value) in sums.iter_mut().zip([host, device, out, back]) {
            *sum += value as f64 / runs as f64;
        }
    }
    sums
}

/// Compares with `cost`; each of the four may be off by `bound`.
fn check<const N: usize>(len: usize, loss: f64, runs: u64, bound: f64) {
    let found = measured::<N>(len, loss, runs);
    let record = cost(len as u64, N as u16, WINDOW, loss);
    let expected = [record.bytes_out, record.bytes_in, record.frames_out, record.frames_in];
    let off = |i: usize| expected[i] / found[i] - 1.0;
    println!(
        "{N:4} {len:6} {:3.0} %: {:+.2} % of {:.0} bytes out, {:+.2} % of {:.0} in; frames {:+.2} %, {:+.2} %",
        100.0 * loss,
        100.0 * off(0),
        found[0],
        100.0 * off(1),
        found[1],
        100.0 * off(2),
        100.0 * off(3)
    );
    for i in 0..4 {
        assert!(off(i).abs() <= bound, "figure {i}: {} expected, {} found", expected[i], found[i]);
    }
}

#[test]
fn without_loss_the_figures_are_exact() {
    for len in [0, 1, 41, 400, 2639, 5249, 20_000] {
        check::<51>(len, 0.0, 1, 1e-9);
        check::<242>(len, 0.0, 1, 1e-9);
        check::<250>(len, 0.0, 1, 1e-9);
    }
}

#[test]
fn with_one_percent_lost_they_are_within_two_percent() {
    for len in [400, 2639, 20_000] {
        check::<51>(len, 0.01, 200, 0.02);
        check::<250>(len, 0.01, 200, 0.02);
    }
}

#[test]
fn with_a_fifth_lost_they_are_within_five_percent() {
    for len in [400, 2639, 20_000] {
        check::<51>(len, 0.2, 200, 0.05);
        check::<250>(len, 0.2, 200, 0.05);
    }
}

#[test]
fn the_table_has_a_row_for_each_frame_and_loss() {
    let records = costs(2639);
    assert_eq!(records.len(), 3 * FRAMES.len());
    let text = table(&records);
    assert_eq!(text.lines().filter(|line| line.contains('%')).count(), records.len());
    for word in ["250 bit/s", "5470 bit/s", "1 Mbit/s", "2,639"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let of = |index: usize| records[index].times.last().map(|time| Duration::from_secs_f64(time.seconds));
    assert!(of(0) < of(1) && of(1) < of(2));
    // Huge payloads are counted, not gone through.
    assert!(cost(u32::MAX.into(), 51, WINDOW, 0.2).chunks_again > 1e7);
}
